"""Base64 is decoded strictly: tolerant of layout, not of foreign characters."""

from __future__ import annotations

import tracemalloc

import pytest

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.base64_text import decode


@pytest.mark.parametrize(
    ("text", "data"),
    [
        pytest.param("R0lGODlh", b"GIF89a", id="payload alone"),
        pytest.param("data:image/gif;base64,R0lGODlh", b"GIF89a", id="data URI"),
        pytest.param("DATA:image/gif;BASE64,R0lGODlh", b"GIF89a", id="in capitals"),
        pytest.param(" data:image/gif;base64,R0lGODlh", b"GIF89a", id="indented"),
        pytest.param("data:;base64,R0lGODlh", b"GIF89a", id="no media type"),
        pytest.param("data:text/plain;charset=utf-8;base64,R0lG", b"GIF", id="a wrong claim"),
        pytest.param("data:image/gif,%47%49F", b"GIF", id="percent-coded"),
        pytest.param("R0lG\r\nODlh\n", b"GIF89a", id="lines"),
        pytest.param("R 0 l G\tO D l h", b"GIF89a", id="spaces"),
        pytest.param("-_-_", b"\xfb\xff\xbf", id="URL-safe"),
        pytest.param("+/+/", b"\xfb\xff\xbf", id="the same, standard"),
        pytest.param("R0k", b"GI", id="unpadded"),
        pytest.param("R0k=", b"GI", id="padded"),
        pytest.param("Rw=", b"G", id="padded by half"),
        pytest.param("R0lG==", b"GIF", id="padded in vain"),
        pytest.param("data:image/gif;base64,R0k%3D", b"GI", id="percent-coded padding"),
        pytest.param("%2B/%2b/", b"\xfb\xff\xbf", id="percent-coded letters"),
    ],
)
def test_every_tolerated_spelling_gives_the_bytes(text: str, data: bytes) -> None:
    assert decode(text, max_bytes=100, where="$") == data


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("R0lG<cut>", "9 characters", id="foreign characters"),
        pytest.param("R0lG.ODlh", "9 characters", id="a dot"),
        pytest.param("R0lGO", "5 characters", id="one character too many"),
        pytest.param("R0=G", "4 characters", id="padding inside"),
        pytest.param("R0lGé", "5 characters", id="beyond ASCII"),
        pytest.param("R0lG\0", "5 characters", id="NUL"),
        pytest.param("data:image/gif;base64,", "0 characters", id="nothing after the comma"),
        pytest.param("data:image/gif;base64", "a data URI without a comma", id="no comma"),
        pytest.param("data:image/gif,", "an empty data URI", id="nothing, percent-coded"),
        pytest.param("====", "4 characters", id="padding alone"),
        pytest.param("", "0 characters", id="nothing"),
    ],
)
def test_anything_else_is_refused_without_its_body(text: str, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        decode(text, max_bytes=100, where="$.image")

    assert caught.value.args == (Reason.IMAGE_NOT_BASE64, "$.image", seen)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AAAA", id="padded"),
        pytest.param("AAA", id="unpadded"),
        pytest.param("data:,%00%00%00", id="percent-coded"),
        pytest.param("A A A A", id="with spaces"),
        pytest.param("!" * 400, id="not even base64"),
    ],
)
def test_what_would_be_too_large_is_refused(text: str) -> None:
    with pytest.raises(RowError) as caught:
        decode(text, max_bytes=1, where="$.image")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$.image", "over 1 bytes")


@pytest.mark.parametrize("start", range(4))
def test_percent_codes_are_decoded_over_the_edges_of_pieces(start: int) -> None:
    data = b"A" * start + bytes(range(256)) * 400
    text = "A" * start + "".join(f"%{byte:02X}" for byte in data[start:])

    assert decode(f"data:image/png,{text}", max_bytes=len(data), where="$") == data


def test_percent_codes_take_no_more_memory_than_their_bytes_are_worth() -> None:
    text = "data:," + "%41" * 2_000_000
    tracemalloc.start()

    data = decode(text, max_bytes=2_000_000, where="$")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(data), peak < 20_000_000) == (2_000_000, True)


def test_percent_codes_beyond_the_limit_are_not_decoded() -> None:
    with pytest.raises(RowError) as caught:
        decode("data:," + "%41" * 1_001, max_bytes=1_000, where="$")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "over 1000 bytes")


@pytest.mark.parametrize(
    "meta", ["image/png; base64", "image/png;BASE64 ", ";base64", ";a=b;base64"]
)
def test_the_word_base64_may_have_spaces_around_it(meta: str) -> None:
    assert decode(f"data:{meta},QUJD", max_bytes=3, where="$") == b"ABC"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A " * 2_000_000, id="spaces"),
        pytest.param("AA\n" * 1_000_000 + "AA==", id="lines"),
    ],
)
def test_white_space_takes_no_more_memory_than_the_text(text: str) -> None:
    tracemalloc.start()

    decode(text, max_bytes=2_000_000, where="$")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(text)
