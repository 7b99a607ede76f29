"""The page of wrong answers: what stands in rows is shown, and nothing more."""

from __future__ import annotations

from html.parser import HTMLParser

import PIL.Image
import pytest

from vlm_trainer.answer_page import Miss, answer_page, marked, thumbnail

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(1)>&amp;"'


class Tags(HTMLParser):
    """Collects tags with their attributes, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    return parser


def test_what_stands_in_rows_stays_text() -> None:
    miss = Miss(HOSTILE, HOSTILE, HOSTILE, f"{HOSTILE}!", ("data:image/png;base64,AA==",))

    found = read(answer_page(HOSTILE, {HOSTILE: "1"}, {HOSTILE: (0, 1)}, [miss], 1))

    names = {tag for tag, _ in found.tags}
    assert "script" not in names
    assert [attrs for tag, attrs in found.tags if tag == "img"] == [
        {"src": "data:image/png;base64,AA==", "alt": ""}
    ]
    assert found.text.count(HOSTILE) == 8  # title twice, figure, field, row


def test_the_page_forbids_scripts_and_the_network() -> None:
    (policy,) = [
        attrs["content"]
        for tag, attrs in read(answer_page("t", {}, {}, [], 0)).tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]

    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_worst_fields_come_first_and_how_many_misses_are_hidden_is_said() -> None:
    page = answer_page("t", {}, {"a": (2, 2), "b": (1, 2)}, [Miss("1", "?", "x", "y")], 7)

    assert page.index("<td>b<") < page.index("<td>a<")
    assert "7 of them. The first 1 are shown." in page


@pytest.mark.parametrize(
    ("expected", "given", "wanted"),
    [
        ("a", "a", ("a", "a")),
        ("", "a", ("", '<mark class="wrong">a</mark>')),
        ("a<", "a", ('a<mark class="wanted">&lt;</mark>', "a")),
        ("a" * 4_001, "b", ("a" * 4_001, "b")),
    ],
)
def test_what_differs_is_marked(expected: str, given: str, wanted: tuple[str, str]) -> None:
    assert marked(expected, given) == wanted


@pytest.mark.parametrize(("size", "kind"), [((64, 20), "png"), ((1_000, 500), "jpeg")])
def test_a_picture_is_small_on_the_page(size: tuple[int, int], kind: str) -> None:
    uri = thumbnail(PIL.Image.new("RGB", size, "red"))

    assert uri.startswith(f"data:image/{kind};base64,")
    assert len(uri) < 4_000
