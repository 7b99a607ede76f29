"""Cutting payloads out of a line is a shortcut: what comes of a row never depends on it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import hypothesis.strategies as st
import PIL.Image
import pytest
from hypothesis import event, example, given

from vlm_datakit import formats
from vlm_datakit.checks import check
from vlm_datakit.conversation import Converted, Rejected, Row
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.resolver import Opener
from vlm_datakit.payloads import MARK, cut
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.walk import Stages, convert_rows


def noise(kind: str, seed: int) -> bytes:
    """Return a picture whose base64 is longer than what is worth cutting."""
    picture = PIL.Image.effect_noise((72, 64 + seed), 90).convert("RGB")
    file = io.BytesIO()
    picture.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


def no_file(name: str, max_bytes: int, where: str) -> bytes:
    raise RowError(Reason.IMAGE_FILE_MISSING, where, f"{len(name)} characters")


PICTURES = [noise(kind, seed) for kind in ("JPEG", "PNG", "WEBP", "GIF") for seed in (0, 1)]
STAGES = {
    name: Stages(formats.get(name).parse, Opener(Limits(), ImagePolicy(), no_file), check)
    for name in ("simple", "openai")
}

SPELLINGS = {
    "data URI": lambda text: f"data:image/png;base64,{text}",
    "upper case": lambda text: f"DATA:IMAGE/PNG;BASE64,{text}",
    "bare": lambda text: text,
    "URL-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "unpadded": lambda text: f"data:image/png;base64,{text.rstrip('=')}",
    "in lines": lambda text: (
        "data:image/png;base64," + "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    ),
    "short": lambda text: f"data:image/png;base64,{text[:40]}",
    "broken": lambda text: f"data:image/png;base64,{text[:-90]}*{text[-89:]}",
    "a cut": lambda text: f"data:image/png;base64,{text[: len(text) // 8 * 4]}",
    "a mark": lambda _: f"data:image/png;base64,{MARK}0",
    "bare and a mark": lambda text: f"{text[:16]}{MARK}0",
    "no scheme": lambda text: f"image/png;base64,{text}",
    "a path": lambda text: f"/a;base64,{text}",
    "a URL": lambda text: f"https://a.example/;base64,{text}",
    "behind another comma": lambda text: f"data:image/png,;base64,{text}",
    "bare before": lambda text: f"{text[:16]};base64,{text}",
    "bare before, longer": lambda text: f"{text[:80]};base64,{text}",
    "in capitals before": lambda text: f"DATA:,;base64,;base64,{text}",
    "two in one": lambda text: f"data:image/png;base64,{text};base64,{text}",
}
pictures = st.builds(
    lambda spelling, data: SPELLINGS[spelling](base64.b64encode(data).decode()),
    st.sampled_from(list(SPELLINGS)),
    st.sampled_from(PICTURES),
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from([MARK, f"{MARK}0", "é", '"', "\\", ";base64,", "/9j/", f"a{MARK}1", "\u2028"]),
    pictures,
)
simple_rows = st.builds(
    lambda text, image, answer, extra: {
        "text": text,
        "image": image,
        "response": answer,
        **extra,
    },
    texts,
    pictures,
    texts,
    st.dictionaries(st.sampled_from(["id", "thumb", "note"]), texts, max_size=2),
)


def chat(parts: list[Any], answer: str, extra: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **extra}


parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(lambda url: {"type": "image_url", "image_url": {"url": url}}, pictures),
    st.builds(lambda url: {"type": "image", "image": url}, pictures),
)
chat_rows = st.builds(
    chat,
    st.lists(parts, min_size=1, max_size=3),
    texts,
    st.dictionaries(st.sampled_from(["id", "tools", "thumb"]), texts, max_size=1),
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a format and a line of it, spelled in one of the ways of JSON, perhaps damaged."""
    name, rows = draw(st.sampled_from([("simple", simple_rows), ("openai", chat_rows)]))
    line = json.dumps(
        draw(rows),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])),
    )
    spelled = draw(st.sampled_from(["as it is", "slashes", "marks", "cut"]))
    if spelled == "slashes":
        line = line.replace("/", "\\/")
    if spelled == "marks":
        line = line.replace(MARK, "\\u007f")
    data = line.encode()
    if spelled == "cut":
        data = data[: draw(st.integers(0, len(data)))]
    return name, data


def outcomes(name: str, line: bytes, *, cut_payloads: bool) -> list[Converted | Rejected]:
    span = Span("in.jsonl", cut_payloads=cut_payloads, keep_raw=True)
    return list(convert_rows(read_rows(io.BytesIO(line + b"\n"), span), STAGES[name]))


@given(lines())
@example(
    (
        "simple",
        json.dumps(
            {
                "image": f"data:image/png;base64,{MARK}0",
                "thumb": SPELLINGS["data URI"](base64.b64encode(PICTURES[0]).decode()),
                "text": "?",
                "response": "!",
            }
        )
        .replace(MARK, "\\u007F")
        .encode(),
    )
)
def test_what_comes_of_a_row_does_not_depend_on_the_shortcut(found: tuple[str, bytes]) -> None:
    name, line = found
    event("cut" if cut(line) else "whole")

    assert outcomes(name, line, cut_payloads=True) == outcomes(name, line, cut_payloads=False)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_comes_out_as_if_it_were_parsed_whole(spelling: str) -> None:
    image = SPELLINGS[spelling](base64.b64encode(PICTURES[0]).decode())
    line = json.dumps({"text": "?", "image": image, "response": "!"}).encode()

    assert outcomes("simple", line, cut_payloads=True) == outcomes(
        "simple", line, cut_payloads=False
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_the_shortcut_is_taken(kind: str, prefix: str) -> None:
    text = prefix + base64.b64encode(noise(kind, 3)).decode()
    part = {"type": "image", "image": text}
    line = json.dumps(chat([part, part, {"type": "text", "text": "é?"}], "!", {})).encode()

    (row,) = read_rows(io.BytesIO(line), Span("in.jsonl", cut_payloads=True))

    assert isinstance(row, Row)
    assert [len(payload) for payload in row.payloads] == [len(text) - len(prefix)] * 2
    assert isinstance(outcomes("openai", line, cut_payloads=True)[0], Converted)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b'{"text": "' + b"word " * 2_000 + b'"}', id="a long text"),
        pytest.param(b'{"image": "data:image/png;base64,' + b"A" * 900 + b'"}', id="a short line"),
        pytest.param(
            b'{"image": "data:image/png;base64,' + b"A" * 9_000 + b'", "a": "\x7f"}', id="a mark"
        ),
        pytest.param(
            b'{"image": "data:image/png;base64,' + b"A" * 9_000 + b'", "a": "\\u007f"}',
            id="a mark, escaped",
        ),
        pytest.param(b'{"image": "data:image/png;base64,' + b"A" * 9_000, id="cut short"),
        pytest.param(
            b'{"image": "data:image/png;base64,' + b"A" * (16 << 20) + b'"}', id="a huge line"
        ),
    ],
)
def test_what_is_not_worth_it_or_not_safe_is_not_cut(line: bytes) -> None:
    assert cut(line) is None
