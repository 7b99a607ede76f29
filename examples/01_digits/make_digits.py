"""Write scikit-learn's 1,797 real handwritten digits as rows people bring: OpenAI messages.

Two tasks from the same scans: read the digit as a word, and as JSON. Every fifth scan is
held out of both. A few training rows are spoiled on purpose, as in real data.

    python make_digits.py FOLDER
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE_PX = 56
HELD_OUT_EVERY = 5
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPOILED_EVERY = 120  # one row in so many, in four ways by turns


def scan_as_png(pixels: np.ndarray) -> bytes:
    """Return an 8 x 8 scan of values 0 to 16 as a grey PNG of 56 x 56 pixels."""
    grey = Image.fromarray(np.uint8(np.round(pixels * (255 / 16))))
    out = io.BytesIO()
    grey.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def row(png: bytes, question: str, answer: str) -> dict[str, object]:
    """Return one row of OpenAI messages, its picture a data URI."""
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": question},
    ]
    return {
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": answer},
        ]
    }


def spoiled(line: str, way: int) -> str:
    """Return a row as it arrives on a bad day: cut, mistyped, or without its answer."""
    fields = json.loads(line)
    image = fields["messages"][0]["content"][0]["image_url"]
    if way == 0:
        image["url"] = image["url"][:80] + "*cut*"
    elif way == 1:
        image["url"] = "scans/digit_0815.png"
    elif way == 2:
        del fields["messages"][1]
    else:
        return line[: len(line) // 2]
    return json.dumps(fields)


def lines(task: str, *, held_out: bool) -> Iterator[str]:
    """Yield the rows of a task as JSON lines, without the line ends."""
    digits = load_digits()
    for index, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        if (index % HELD_OUT_EVERY == 0) != held_out:
            continue
        if task == "words":
            fields = row(scan_as_png(pixels), "Which digit is this?", WORDS[digit])
        else:
            answer = json.dumps({"digit": str(digit)})
            fields = row(scan_as_png(pixels), "Read the digit as JSON.", answer)
        yield json.dumps(fields)


def main(folder: Path) -> None:
    """Write train and test rows of both tasks into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in ("words", "json"):
        good = list(lines(task, held_out=False))
        train = [
            spoiled(line, (index // SPOILED_EVERY) % 4) if index % SPOILED_EVERY == 60 else line
            for index, line in enumerate(good)
        ]
        for split, rows in (("train", train), ("test", lines(task, held_out=True))):
            path = folder / f"{task}-{split}.jsonl"
            path.write_text("".join(f"{line}\n" for line in rows))
            print(f"{path}: {len(path.read_text().splitlines()):,} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
