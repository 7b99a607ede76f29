"""Pictures as characters: which, in which colours, and where none are shown."""

from __future__ import annotations

import io
import re

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_datakit.cli.pictures import Canvas, abreast, canvas_of, drawn
from vlm_datakit.images.thumbnail import Pixels, thumbnail

RED, BLUE, GREY, WHITE = (255, 0, 0), (0, 0, 255), (118, 118, 118), (255, 255, 255)


def pixels(*rows: list[tuple[int, int, int]]) -> Pixels:
    return Pixels(len(rows[0]), len(rows), bytes(c for row in rows for p in row for c in p))


def encoded(image: PIL.Image.Image, kind: str = "PNG", **more: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **more)
    return sink.getvalue()


def test_two_pixels_are_a_character_and_a_colour_is_said_where_it_changes() -> None:
    picture = pixels([RED, RED, BLUE], [WHITE, BLUE, BLUE], [BLUE, BLUE, RED])

    assert drawn(picture, has_true_colour=True) == [
        "\x1b[38;2;255;0;0m\x1b[48;2;255;255;255m▀\x1b[48;2;0;0;255m▀\x1b[38;2;0;0;255m▀\x1b[0m",
        "\x1b[38;2;0;0;255m▀▀\x1b[38;2;255;0;0m▀\x1b[0m",
    ]


def test_256_colours_are_the_nearest_of_cube_and_greys() -> None:
    picture = pixels([RED, BLUE], [GREY, (250, 250, 90)])

    assert drawn(picture, has_true_colour=False) == [
        "\x1b[38;5;196m\x1b[48;5;243m▀\x1b[38;5;21m\x1b[48;5;227m▀\x1b[0m"
    ]


@given(st.integers(1, 9), st.integers(1, 9), st.randoms(), st.booleans())
def test_each_line_shows_as_many_columns_as_the_picture_has(
    width: int, height: int, random: object, has_true_colour: bool
) -> None:
    data = random.randbytes(3 * width * height)  # type: ignore[attr-defined]
    lines = drawn(Pixels(width, height, data), has_true_colour=has_true_colour)

    assert len(lines) == (height + 1) // 2
    assert {re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines} == {"▀" * width}
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_pictures_stand_side_by_side() -> None:
    assert abreast([(1, ["a"]), (2, ["bb", "cc", "dd"])]) == ["a  bb", "   cc", "   dd"]
    assert abreast([]) == []


@pytest.mark.parametrize(
    ("environment", "size", "expected"),
    [
        ({"TERM": "xterm"}, (80, 40), Canvas(64, 20, has_true_colour=False)),
        ({"TERM": "xterm", "COLORTERM": "24bit"}, (30, 3), Canvas(26, 2, has_true_colour=True)),
        ({"TERM": "xterm", "NO_COLOR": ""}, (80, 40), Canvas(64, 20, has_true_colour=False)),
        ({"TERM": "xterm", "NO_COLOR": "1"}, (80, 40), None),
        ({"TERM": "dumb"}, (80, 40), None),
        ({}, (80, 40), None),
        ({"TERM": "xterm"}, (9, 40), None),
    ],
    ids=str,
)
def test_what_a_terminal_can_show(
    environment: dict[str, str], size: tuple[int, int], expected: Canvas | None
) -> None:
    assert canvas_of(environment, size) == expected


def test_pictures_of_a_row_share_its_columns() -> None:
    paper = Canvas(64, 20, has_true_colour=True)

    assert [paper.box(n) for n in (1, 2, 4, 9)] == [(64, 40), (31, 40), (14, 40), (14, 40)]


def test_a_thumbnail_is_upright_over_white_and_keeps_its_proportions() -> None:
    wide = PIL.Image.new("RGB", (400, 100), RED)
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    clear = PIL.Image.new("RGBA", (2, 1), (0, 0, 0, 0))

    assert thumbnail(encoded(wide), 40, 40) == Pixels(40, 10, bytes(RED) * 400)
    upright = thumbnail(encoded(wide, "JPEG", exif=turned), 40, 40)
    assert upright is not None
    assert (upright.width, upright.height) == (10, 40)
    assert thumbnail(encoded(clear), 40, 40) == Pixels(2, 1, bytes(WHITE) * 2)
    assert thumbnail(encoded(wide)[:60], 40, 40) is None
    assert thumbnail(b"no picture", 40, 40) is None
