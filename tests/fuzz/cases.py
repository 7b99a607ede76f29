"""From a number to a case: which picture, damaged how, in which row, under which plan."""

from __future__ import annotations

import base64
import io
import json
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote_from_bytes

import picture_seeds
import PIL.Image
from mutations import mutated, spoiled_text

from vlm_datakit.checks import check
from vlm_datakit.conversation import Converted, Origin, Rejected, Row
from vlm_datakit.formats import FORMATS
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.runner.stages import opener
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.walk import Stages, convert_row

ALLOWED = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")
SEEDS = picture_seeds.made()
ORIGIN = Origin("fuzz.jsonl", 0, 1)
USUAL = ImagePolicy()
POLICIES = (
    *(ImagePolicy(check="decode"), ImagePolicy(form="untouched"), ImagePolicy(form="baked")),
    *(ImagePolicy(shrink_to_pixels=100), ImagePolicy(form="baked", shrink_to_pixels=60)),
)
LIMITS = Limits()
TIGHT = Limits(max_image_bytes=700, max_image_pixels=300, max_side_px=24, max_aspect=4)
FOREVER = 1 << 40


@dataclass(frozen=True, slots=True)
class Case:
    """One row, as fields or as a line of JSON, and what it is converted under."""

    content: dict[str, Any] | bytes
    format: str
    policy: ImagePolicy
    limits: Limits
    picture: bytes  # the damaged file inside, to write down


def case(seed: int, number: int, dice: random.Random) -> Case:
    """Return a case; it depends on nothing but the two numbers (and Pillow's encoders)."""
    dice.seed(seed * FOREVER + number)
    picture = mutated(dice, dice.choice(SEEDS), SEEDS)
    policy = USUAL if dice.random() < 0.7 else dice.choice(POLICIES)
    limits = LIMITS if dice.random() < 0.95 else TIGHT
    name = dice.choice(("simple", "openai", "trl"))
    content = content_of(dice, name, picture)
    return Case(content, name, policy, limits, picture)


def content_of(dice: random.Random, name: str, picture: bytes) -> dict[str, Any] | bytes:
    """Put a picture into a row: an object, bytes, base64, a data URI, or all as JSON."""
    form = dice.random()
    if form < 0.04:
        return row(name, opened(picture))
    if form < 0.7:
        return row(name, picture if form < 0.6 else {"bytes": picture, "path": "a.png"})
    text = spelled(dice, picture)
    if dice.random() < 0.4:
        text = spoiled_text(dice, text)
    value = text.decode("latin-1")
    if form < 0.85:
        return row(name, value)
    line = json.dumps(row(name, value)).encode()
    return spoiled_text(dice, line) if dice.random() < 0.7 else line


def opened(picture: bytes) -> Any:
    """Return what a reader of Python makes of a picture: an object that decodes only later."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return PIL.Image.open(io.BytesIO(picture), formats=ALLOWED)
    except Exception:  # most are too damaged to open
        return picture


def spelled(dice: random.Random, picture: bytes) -> bytes:
    """Write a picture as text, in one of the spellings that rows hold."""
    choice = dice.random()
    if choice < 0.15:
        return b"data:image/png," + quote_from_bytes(picture).encode()
    encode = dice.choice((base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes))
    payload = encode(picture)
    return payload if choice < 0.5 else b"data:image/jpeg;base64," + payload


def row(name: str, picture: Any) -> dict[str, Any]:
    """Return a row of a format with one picture, a question and an answer."""
    if name == "simple":
        return {"text": "What is it?", "image": picture, "response": "A slope."}
    if name == "trl":
        return {"images": [picture], "prompt": "What is it?", "completion": "A slope."}
    question = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": "?"}]
    answer = {"role": "assistant", "content": "A slope."}
    return {"messages": [{"role": "user", "content": question}, answer]}


@cache
def stages(name: str, policy: ImagePolicy, limits: Limits) -> Stages:
    """Return what a run binds: no folder may be read, nothing is fetched."""
    return Stages(FORMATS[name].parse, opener(limits, policy, ()), check)


def outcomes(chosen: Case) -> Iterator[Converted | Rejected]:
    """Walk a case; a line may hold several rows once a line end was put in."""
    bound = stages(chosen.format, chosen.policy, chosen.limits)
    if isinstance(chosen.content, dict):
        yield convert_row(Row(ORIGIN, chosen.content), bound)
        return
    for found in read_rows(io.BytesIO(chosen.content), Span("fuzz.jsonl")):
        yield found if isinstance(found, Rejected) else convert_row(found, bound)
