"""Answers on one page a person reads: figures, fields, and each miss beside its pictures.

The page needs no script, no font and no network, and forbids them: what stands in rows and
answers comes from anybody.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

THUMBNAIL_PX = 360
MOST_MARKED_CHARS = 4_000  # finding what differs takes the square of the length

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 1080px;
  margin: 32px auto; padding: 0 16px }
h1 { font-size: 22px } h2 { font-size: 17px; margin-top: 32px }
.muted { color: #57606a }
.figures { display: flex; flex-wrap: wrap; gap: 12px }
.figures div { border: 1px solid #d0d7de; border-radius: 8px; padding: 8px 16px }
.figures b { display: block; font-size: 22px; font-variant-numeric: tabular-nums }
table { border-collapse: collapse } td, th { padding: 4px 16px 4px 0; text-align: left }
td.number { text-align: right; font-variant-numeric: tabular-nums }
article { display: flex; gap: 20px; border-top: 1px solid #d0d7de; padding: 16px 0 }
article .pictures { flex: 0 0 360px } article .said { flex: 1; min-width: 0 }
img { max-width: 100%; border: 1px solid #d0d7de; margin-bottom: 8px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 4px 0 12px; padding: 8px 12px;
  background: #f6f8fa; border-radius: 6px; font: 13px/1.5 ui-monospace, monospace }
mark.wanted { background: #aceebb } mark.wrong { background: #ffcecb }
@media (max-width: 720px) { article { flex-direction: column } article .pictures { flex: none } }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Miss:
    """A row that was answered wrong.

    Args:
        row_id: Of the row.
        question: The text of its last question.
        expected: Its last answer.
        given: What the model said.
        pictures: As data URIs, see `thumbnail`.
    """

    row_id: str
    question: str
    expected: str
    given: str
    pictures: tuple[str, ...] = ()


def answer_page(
    title: str,
    figures: Mapping[str, str],
    by_field: Mapping[str, tuple[int, int]],
    misses: Sequence[Miss],
    missed: int,
) -> str:
    """Write the page.

    Args:
        title: What was judged on what.
        figures: Name to value, as they are shown.
        by_field: Of JSON answers: path of a field to right and expected; worst ones first.
        misses: To show, in this order.
        missed: How many there are in all.

    Returns:
        An HTML document.
    """
    boxes = [f"<div>{escape(name)}<b>{escape(value)}</b></div>" for name, value in figures.items()]
    body = [f"<h1>{escape(title)}</h1>", '<div class="figures">', *boxes, "</div>"]
    if by_field:
        body += ["<h2>Fields</h2>", *_field_table(by_field)]
    more = "" if len(misses) == missed else f" The first {len(misses):,} are shown."
    body.append(f'<h2>Wrong answers</h2><p class="muted">{missed:,} of them.{more}</p>')
    body += map(_article, misses)
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    return "\n".join([head, *body, "</html>", ""])


def thumbnail(picture: Image.Image) -> str:
    """Return a small copy of an upright RGB picture as a data URI."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = io.BytesIO()
    small.save(file, "PNG" if max(small.size) <= 64 else "JPEG", quality=85)
    kind = "png" if max(small.size) <= 64 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _field_table(by_field: Mapping[str, tuple[int, int]]) -> Iterable[str]:
    yield "<table><tr><th>field<th>right<th>of<th>share"
    ordered = sorted(by_field.items(), key=lambda item: (item[1][0] / item[1][1], item[0]))
    for path, (right, wanted) in ordered:
        yield (
            f'<tr><td>{escape(path)}<td class="number">{right:,}<td class="number">{wanted:,}'
            f'<td class="number">{right / wanted:.1%}'
        )
    yield "</table>"


def _article(miss: Miss) -> str:
    wanted, wrong = marked(miss.expected, miss.given)
    pictures = "".join(f'<img src="{escape(uri)}" alt="">' for uri in miss.pictures)
    shown = f'<div class="pictures">{pictures}</div>' if pictures else ""
    return (
        f'<article>{shown}<div class="said"><p class="muted">{escape(miss.row_id)}</p>'
        f"<pre>{escape(miss.question)}</pre>expected<pre>{wanted}</pre>given<pre>{wrong}</pre>"
        "</div></article>"
    )


def marked(expected: str, given: str) -> tuple[str, str]:
    """Return two texts as HTML, with what only one of them has marked in it.

    Example:
        >>> marked("17 EUR", "11 EUR")
        ('1<mark class="wanted">7</mark> EUR', '1<mark class="wrong">1</mark> EUR')
    """
    if len(expected) + len(given) > MOST_MARKED_CHARS:
        return escape(expected), escape(given)
    left, right = list[str](), list[str]()
    for kind, a, b, c, d in SequenceMatcher(None, expected, given, autojunk=False).get_opcodes():
        left.append(_mark(expected[a:b], "wanted" if kind != "equal" else ""))
        right.append(_mark(given[c:d], "wrong" if kind != "equal" else ""))
    return "".join(left), "".join(right)


def _mark(text: str, kind: str) -> str:
    return f'<mark class="{kind}">{escape(text)}</mark>' if text and kind else escape(text)
