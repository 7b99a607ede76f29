"""Write a set of pictures in a format that is not Parquet, for the reading side.

python packing.py webdataset|litdata FILE OUT
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pybase64


def columns(line: bytes) -> dict[str, Any]:
    user, answer = (message["content"] for message in orjson.loads(line)["messages"])
    image = pybase64.b64decode(user[0]["image_url"]["url"].partition(",")[2], validate=True)
    return {"image": image, "question": user[1]["text"], "answer": answer[0]["text"]}


def rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as lines:
        yield from map(columns, lines)


def write_webdataset(file: Path, out: Path) -> None:
    from webdataset import ShardWriter

    with ShardWriter(str(out / "%05d.tar"), maxsize=64 << 20, maxcount=1 << 20, verbose=0) as tar:
        for number, row in enumerate(rows(file)):
            texts = json.dumps({"question": row["question"], "answer": row["answer"]})
            tar.write({"__key__": f"{number:08d}", "jpg": row["image"], "json": texts.encode()})


def row_at(offset: int, file: Path) -> dict[str, Any]:
    with file.open("rb") as lines:
        lines.seek(offset)
        return columns(lines.readline())


def write_litdata(file: Path, out: Path) -> None:
    from litdata import optimize

    offsets, end = [], 0
    with file.open("rb") as lines:
        for line in lines:
            offsets.append(end)
            end += len(line)
    optimize(
        partial(row_at, file=file), offsets, str(out), chunk_bytes="64MB", num_workers=1,
        verbose=False,
    )  # fmt: skip


if __name__ == "__main__":
    write = {"webdataset": write_webdataset, "litdata": write_litdata}[sys.argv[1]]
    write(Path(sys.argv[2]), Path(sys.argv[3]))
