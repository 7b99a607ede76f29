"""Rows to try things on: really drawn shapes and filled-in forms, the same for the same seed."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from vlm_datakit.conversation import Conversation, Image, ImageRef, Message, Text

_COLOURS = {"red": "#d62728", "green": "#2ca02c", "blue": "#1f77b4", "orange": "#ff7f0e"}
_SHAPES = ("circle", "square", "triangle")
_NAMES = ("Ana Silva", "Bo Lindqvist", "Chidi Okafor", "Dana Müller", "Emi Tanaka")
_ITEMS = ("paper", "lamp", "cable", "chair", "notebook")


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A picture, what is asked about it, and the true answer."""

    picture: PIL.Image.Image
    question: str
    answer: str


def make_samples(count: int, seed: int = 0) -> Iterator[Conversation]:
    """Draw rows, shapes and forms in turn; each has one picture, one question, one answer.

    The answers of forms are JSON texts with values such as ``"007"``, which careless
    readers turn into numbers.

    Args:
        count: How many rows.
        seed: Equal seeds give equal rows (with equal Pillow versions).

    Example:
        >>> [row.messages[1].content[0].text for row in make_samples(1)]
        ['4 blue squares']
    """
    for index in range(count):
        chance = random.Random(f"{seed}/{index}")  # noqa: S311 - drawings, not secrets
        sheet = _shapes(chance) if index % 2 == 0 else _form(chance)
        yield _conversation(sheet, f"sample-{index:04d}", is_photo=index % 3 == 2)


def _conversation(sheet: _Sheet, row_id: str, *, is_photo: bool) -> Conversation:
    out = io.BytesIO()
    if is_photo:
        sheet.picture.save(out, "JPEG", quality=92)
    else:
        sheet.picture.save(out, "PNG")
    kind = "image/jpeg" if is_photo else "image/png"
    image = Image(out.getvalue(), kind, *sheet.picture.size)
    question = Message("user", (ImageRef(), Text(sheet.question)))
    answer = Message("assistant", (Text(sheet.answer),))
    return Conversation((question, answer), (image,), row_id)


def _shapes(chance: random.Random) -> _Sheet:
    colour, shape = chance.choice(list(_COLOURS)), chance.choice(_SHAPES)
    count = chance.randint(1, 5)
    picture = PIL.Image.new("RGB", (224, 224), "white")
    draw = PIL.ImageDraw.Draw(picture)
    places = [(x, y) for x in range(3) for y in range(3)]
    for x, y in chance.sample(places, count):
        _draw_shape(draw, shape, (14 + 70 * x, 14 + 70 * y), _COLOURS[colour])
    answer = f"{count} {colour} {shape}{'s' if count > 1 else ''}"
    return _Sheet(picture, "What is in the picture? Answer with count, colour, shape.", answer)


def _draw_shape(
    draw: PIL.ImageDraw.ImageDraw, shape: str, at: tuple[int, int], colour: str
) -> None:
    left, top, right, bottom = at[0], at[1], at[0] + 56, at[1] + 56
    if shape == "circle":
        draw.ellipse((left, top, right, bottom), fill=colour)
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), fill=colour)
    else:
        draw.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=colour)


def _form(chance: random.Random) -> _Sheet:
    values = {
        "number": f"{chance.randint(1, 999):05d}",
        "name": chance.choice(_NAMES),
        "item": chance.choice(_ITEMS),
        "total": f"{chance.randint(100, 99999) / 100:.2f}",
        "paid": chance.choice(["yes", "no"]),
    }
    question = f"Read the form. Answer as JSON with the keys {', '.join(values)}."
    answer = json.dumps(values, ensure_ascii=False)
    return _Sheet(_drawn_form(values), question, answer)


def _drawn_form(values: dict[str, str]) -> PIL.Image.Image:
    picture = PIL.Image.new("RGB", (420, 300), "#fdfdf8")
    draw = PIL.ImageDraw.Draw(picture)
    heading, label = PIL.ImageFont.load_default(22), PIL.ImageFont.load_default(16)
    draw.text((20, 14), "ORDER FORM", fill="black", font=heading)
    for line, (name, value) in enumerate(values.items()):
        top = 60 + 46 * line
        draw.text((20, top + 6), f"{name.capitalize()}:", fill="#444444", font=label)
        draw.rectangle((130, top, 400, top + 34), outline="#888888")
        draw.text((140, top + 8), value, fill="#10308c", font=label)
    return picture
