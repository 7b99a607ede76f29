"""Shards as the contract says, written by hand, and real pictures to put into them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Row = Mapping[str, Any]

TEXT = {"dtype": "string", "_type": "Value"}
SIDE = {"dtype": "int32", "_type": "Value"}
MESSAGES = [{"role": TEXT, "content": [{"type": TEXT, "text": TEXT}]}]
FEATURES = {
    "id": TEXT,
    "messages": MESSAGES,
    "prompt": MESSAGES,
    "completion": MESSAGES,
    "chosen": MESSAGES,
    "rejected": MESSAGES,
    "images": [{"_type": "Image"}],
    "image_sizes": [{"width": SIDE, "height": SIDE}],
    "tools": TEXT,
    "extras": TEXT,
}
COLUMNS = {
    "conversation": ("id", "messages", "images", "image_sizes", "tools", "extras"),
    "text": ("id", "messages", "tools", "extras"),
    "answer": ("id", "prompt", "completion", "images", "image_sizes", "tools", "extras"),
    "pair": ("id", "prompt", "chosen", "rejected", "images", "image_sizes", "tools", "extras"),
}


def arrow_type(name: str) -> Any:
    import pyarrow as pa

    part = pa.struct([("type", pa.string()), ("text", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.list_(part))])
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    size = pa.struct([("width", pa.int32()), ("height", pa.int32())])
    types = {"images": pa.list_(image), "image_sizes": pa.list_(size)}
    columns = ("messages", "prompt", "completion", "chosen", "rejected")
    messages = dict.fromkeys(columns, pa.list_(message))
    return {**types, **messages}.get(name, pa.string())


def text(words: str) -> dict[str, str | None]:
    return {"type": "text", "text": words}


IMAGE: dict[str, str | None] = {"type": "image", "text": None}


def message(role: str, *parts: str | dict[str, str | None]) -> dict[str, Any]:
    content = [text(part) if isinstance(part, str) else part for part in parts]
    return {"role": role, "content": content}


def chat_row(
    row_id: str, *messages: dict[str, Any], images: Sequence[bytes] = (), extras: str | None = None
) -> dict[str, Any]:
    """Return a row in the conversation layout; sizes are read from the pictures."""
    return {
        "id": row_id,
        "messages": list(messages),
        "images": [{"bytes": data, "path": None} for data in images],
        "image_sizes": [size_of(data) for data in images],
        "tools": None,
        "extras": extras,
    }


def pair_row(
    row_id: str, prompt: Any, chosen: Any, rejected: Any, images: Sequence[bytes] = ()
) -> dict[str, Any]:
    """Return a row in the pair layout: a list of messages, or one, for each column."""
    columns = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    row = chat_row(row_id, images=images)
    del row["messages"]
    return row | {k: v if isinstance(v, list) else [v] for k, v in columns.items()}


def shade_pairs(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return light and dark pictures with the right word chosen and the wrong one rejected."""
    import numpy as np

    rows = []
    for number in numbers:
        words = ["yellow", "blue"] if number % 2 else ["blue", "yellow"]
        shade = np.full((56, 56, 3), 150 + number if number % 2 else 60 + number, dtype=np.uint8)
        chosen, rejected = (message("assistant", word) for word in words)
        asked = message("user", IMAGE, "Which?")
        rows.append(pair_row(f"shade-{number}", asked, chosen, rejected, [picture(shade)]))
    return rows


def size_of(data: bytes) -> dict[str, int]:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as picture:
        width, height = ImageOps.exif_transpose(picture).size
    return {"width": width, "height": height}


def picture(array: Any, form: str = "PNG") -> bytes:
    """Return an array of uint8 as the bytes of a picture file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, form)
    return file.getvalue()


def write_split(folder: Path, split: str, rows: Sequence[Row], layout: str, group: int) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = COLUMNS[layout]
    features = {name: FEATURES[name] for name in names}
    schema = pa.schema(
        [pa.field(name, arrow_type(name), nullable=name != "id") for name in names],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    path = folder / "data" / f"{split}-00000-000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows], schema)
    pq.write_table(table, path, row_group_size=group)
    content = path.read_bytes()
    shard = {
        "file": f"data/{path.name}",
        "rows": len(rows),
        "row_groups": -(-len(rows) // group),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {"rows": len(rows), "bytes": len(content), "shards": [shard]}


def write_import(
    folder: Path,
    splits: Mapping[str, Iterable[Row]],
    *,
    layout: str = "conversation",
    group: int = 16,
) -> Path:
    """Write what an import writes: data/*.parquet and manifest.json."""
    written = {
        name: write_split(folder, name, list(rows), layout, group) for name, rows in splits.items()
    }
    manifest = {"schema_version": 1, "layout": layout.replace("text", "conversation")}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "splits": written}))
    return folder


def digit_rows(
    numbers: Iterable[int], *, question: str = "Which digit is this?", form: str = "{}"
) -> list[dict[str, Any]]:
    """Return real handwritten digits at 56x56 as questions with their answers."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    rows = []
    for number in numbers:
        small = Image.fromarray((pixels[number].reshape(8, 8) / 16 * 255).astype(np.uint8))
        data = picture(np.asarray(small.resize((56, 56), Image.Resampling.BICUBIC)))
        asked = message("user", IMAGE, question)
        answered = message("assistant", form.format(digits[number]))
        rows.append(chat_row(f"digit-{number}", asked, answered, images=[data]))
    return rows


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2.5-VL with its weights."""
    from vlm_trainer.tiny import write_tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a tiny Qwen2.5-VL but its weights."""
    from vlm_trainer.tiny import write_tiny_words

    folder = tmp_path_factory.mktemp("words") / "tiny"
    write_tiny_words(folder)
    return folder


@pytest.fixture(scope="session")
def chat(tiny_words: Path) -> Any:
    from vlm_trainer.chat import read_chat

    return read_chat(tiny_words, reads_pictures=True)


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """Three real photographs of unequal size, as PNG, JPEG and a narrow crop."""
    from skimage import data

    astronaut, coffee = data.astronaut(), data.coffee()
    return [
        picture(astronaut[100:260, 120:300]),
        picture(coffee[:200, :300], "JPEG"),
        picture(coffee[50:82, 20:400]),
    ]


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """An import of 24 digits to train on and 8 held out."""
    return write_import(
        tmp_path / "digits", {"train": digit_rows(range(24)), "test": digit_rows(range(24, 32))}
    )


@pytest.fixture
def make_import(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as an import in a new folder of tmp_path."""

    def make(rows: Iterable[Row], *, name: str = "rows", **options: Any) -> Path:
        return write_import(tmp_path / name, {"train": rows}, **options)

    return make


@pytest.fixture(scope="session")
def rows() -> Any:
    """The builders above, for tests: ``rows.chat_row(...)``, ``rows.message(...)``."""
    return SimpleNamespace(
        IMAGE=IMAGE,
        chat_row=chat_row,
        digit_rows=digit_rows,
        message=message,
        pair_row=pair_row,
        picture=picture,
        shade_pairs=shade_pairs,
        write_import=write_import,
    )
