"""The first rows tell format, layout and pictures, before anything is written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from vlm_datakit import formats
from vlm_datakit.conversation import Origin, Row
from vlm_datakit.errors import SourceError
from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.pipe import Pipe
from vlm_datakit.sources.survey import Survey, first_rows, survey

SIMPLE = {"text": "?", "response": "!"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def rows(*fields: dict[str, Any]) -> list[Row]:
    return [Row(Origin("a.jsonl", index), one) for index, one in enumerate(fields)]


@pytest.mark.parametrize(
    ("fields", "layout", "with_images", "names_pictures"),
    [
        pytest.param([SIMPLE], "conversation", False, False, id="text"),
        pytest.param([SIMPLE, {**SIMPLE, "image": PNG}], "conversation", True, False, id="base64"),
        pytest.param([{**SIMPLE, "image": "a.png"}], "conversation", True, True, id="paths"),
        pytest.param([{**SIMPLE, "image": "s3://a"}], "conversation", True, True, id="URLs"),
        pytest.param([{"prompt": "?", "completion": "!"}], "answer", False, False, id="answers"),
    ],
)
def test_rows_tell_layout_and_pictures(
    fields: list[dict[str, Any]], layout: str, with_images: bool, names_pictures: bool
) -> None:
    found = survey(rows(*fields), "a.jsonl", None)

    assert (found.layout, found.with_images) == (layout, with_images)
    assert (found.names_pictures, found.rows) == (names_pictures, len(fields))


def test_a_format_that_was_asked_for_is_not_guessed() -> None:
    found = survey(rows(SIMPLE), "a.jsonl", formats.get("openai"))

    assert found == Survey("openai", "as asked for", "conversation", False, False, 1)


def test_rows_that_will_be_refused_do_not_stop_the_look() -> None:
    found = survey(rows(SIMPLE, {**SIMPLE, "text": 7}), "a.jsonl", None)

    assert found == Survey(
        "simple", "rows have text and response", "conversation", False, False, 2, row_bytes=1.0
    )


def test_rows_of_no_known_format_stop_it() -> None:
    with pytest.raises(
        SourceError, match=r"^a\.jsonl: no known format fits rows with the columns q"
    ):
        survey(rows({"q": 1}), "a.jsonl", None)


def test_the_first_thousand_rows_of_a_file_are_looked_at(tmp_path: Path) -> None:
    lines = b"".join(b'{"n": %d}\n' % n for n in range(1500))
    (tmp_path / "a.jsonl").write_bytes(b"not JSON\n[]\n" + lines)
    file = SourceFile("train", "a.jsonl", f"{tmp_path}/a.jsonl", 1, 1)

    found = first_rows(file, None)

    assert [row.fields["n"] for row in found] == list(range(1000))


def test_a_look_into_a_pipe_leaves_it_whole() -> None:
    data = b"".join(json.dumps({**SIMPLE, "id": n}).encode() + b"\n" for n in range(1500))
    pipe = Pipe(io.BytesIO(data))

    found = first_rows(SourceFile("train", "stdin", "-", None, None), pipe)

    assert len(found) == 1000
    assert b"".join(iter(lambda: pipe.readline(99), b"")) == data
