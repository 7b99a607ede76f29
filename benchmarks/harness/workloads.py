"""The rows that are measured: made once on the spot, the same on every machine.

Pictures carry a noise of their own, as cameras and scanners add it: no two are equal, and no
codec of a file makes their JPEGs smaller.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
from harness.contents import Contents, contents_of, read_rows
from harness.processes import CACHE, say

FIELDS = ("Invoice", "Customer", "Date of issue", "Street", "Net amount", "Tax", "Total", "Terms")
SYLLABLES = "ka lo mi ter ven dra sol pe ri un ta gel ost ba ne cho fi wur ling a im est o re é ü"


@dataclass(frozen=True, slots=True)
class Workload:
    """A file of rows and what it holds; ``kind`` is pictures or pairs."""

    name: str
    kind: str
    path: Path
    contents: Contents

    @property
    def mb(self) -> float:
        """Size of the file in 10^6 bytes."""
        return self.path.stat().st_size / 1e6


def _form(number: int, width_px: int, height_px: int) -> PIL.Image.Image:
    """Draw a filled form on paper that is lit from one side."""
    light = np.linspace(238, 198 + number % 8 * 4, height_px)[:, None]
    paper = np.repeat(np.repeat(light, width_px, axis=1)[..., None], 3, axis=2)
    image = PIL.Image.fromarray(paper.astype(np.uint8))
    pen = PIL.ImageDraw.Draw(image)
    step = height_px // 16
    for line in range(1, 15):
        text = f"{FIELDS[(line + number) % len(FIELDS)]}: {number * 7919 + line * 104729}"
        left, top = width_px // 20, line * step
        pen.rectangle((left, top, width_px - left, top + step * 3 / 4))
        pen.text((left + 9, top + 4), text, "white", font_size=max(8, step // 2))
    return image


def _jpegs(count: int, size: tuple[int, int], grain: float, quality: int) -> Iterator[bytes]:
    """Yield forms as JPEG files, each with grain of its own place in a large field of it."""
    width_px, height_px = size
    random = np.random.default_rng(20261121)
    field = random.normal(0, grain, (height_px + 256, width_px + 256, 3)).astype(np.int16)
    forms = [np.asarray(_form(number, *size)).astype(np.int16) for number in range(64)]
    for number in range(count):
        y, x = random.integers(0, 256, 2)
        pixels = forms[number % 64] + field[y : y + height_px, x : x + width_px]
        file = io.BytesIO()
        image = PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(file, "JPEG", quality=quality)
        yield file.getvalue()


def _picture_rows(count: int, size: tuple[int, int], grain: float, quality: int) -> Iterator[Any]:
    """Yield chat rows; contents are part lists throughout, as typed readers need them."""
    for number, jpeg in enumerate(_jpegs(count, size, grain, quality)):
        uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        question = f"What is the total of form {number}? Answer as JSON."
        answer = json.dumps({"total": f"{number * 37 % 9973}.50", "form": number})
        picture = {"type": "image_url", "image_url": {"url": uri}}
        user = [picture, {"type": "text", "text": question}]
        yield {
            "messages": [
                {"role": "user", "content": user},
                {"role": "assistant", "content": [{"type": "text", "text": answer}]},
            ]
        }


def _pair_rows(count: int) -> Iterator[Any]:
    """Yield preference rows of prose-like texts, frequent words first."""
    random = np.random.default_rng(20261121)
    syllables = SYLLABLES.split()
    words = ["".join(random.choice(syllables, random.integers(1, 5))) for _ in range(8000)]
    for _ in range(count):
        texts = []
        for length in (26, 46, 46):
            ranks = (random.pareto(0.7, length + random.integers(0, 8)) * 20).astype(int) % 8000
            texts.append(" ".join(words[rank] for rank in ranks).replace(" a ", ',\n"a" ') + ".")
        yield dict(zip(("prompt", "chosen", "rejected"), texts, strict=True))


def photo_rows(count: int) -> Iterator[Any]:
    """Yield chat rows, each with the photo of a form of about 225 kB."""
    return _picture_rows(count, (1200, 1600), 7.0, 79)


MAKERS: dict[str, tuple[str, Callable[[], Iterator[Any]]]] = {
    "photos": ("pictures", lambda: photo_rows(492)),
    "small": ("pictures", lambda: _picture_rows(20_000, (112, 112), 7.0, 80)),
    "pairs": ("pairs", lambda: _pair_rows(100_000)),
}


def prepare(name: str) -> Workload:
    """Return a workload, made on the first call."""
    kind, rows = MAKERS[name]
    path, facts = CACHE / f"{name}.jsonl", CACHE / f"{name}.contents.json"
    if not facts.exists():
        say(f"making {name}: up to a minute, once")
        CACHE.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows())
        facts.write_text(json.dumps(asdict(contents_of(read_rows(path)))))
    return Workload(name, kind, path, Contents(**json.loads(facts.read_text())))
