"""What people write by hand, and what is left of it when somebody has looked at a profile.

    python script.py KIND FILE OUT plain|tuned

plain: json, base64, the picture through Pillow and back into a JPEG, one table at the end.
tuned: orjson, strict pybase64, the bytes as they are, row group by row group.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pybase64

GROUP_BYTES = 16 << 20


def reencoded(url: str) -> bytes:
    data = base64.b64decode(url.split(",")[1])
    file = io.BytesIO()
    PIL.Image.open(io.BytesIO(data)).convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()


def strictly(url: str) -> bytes:
    return pybase64.b64decode(url.partition(",")[2], validate=True)


def columns(row: dict[str, Any], decode: Any) -> dict[str, Any]:
    if "messages" not in row:
        return row
    user, answer = (message["content"] for message in row["messages"])
    image = decode(user[0]["image_url"]["url"])
    return {"image": image, "question": user[1]["text"], "answer": answer[0]["text"]}


def plain(file: Path, out: Path) -> None:
    with file.open(encoding="utf-8") as lines:
        rows = [columns(json.loads(line), reencoded) for line in lines]
    pq.write_table(pa.Table.from_pylist(rows), out / "rows.parquet")


def groups(file: Path) -> Iterator[list[dict[str, Any]]]:
    rows, held_bytes = [], 0
    with file.open("rb") as lines:
        for line in lines:
            rows.append(columns(orjson.loads(line), strictly))
            held_bytes += len(line)
            if held_bytes > GROUP_BYTES:
                yield rows
                rows, held_bytes = [], 0
    yield rows


def tuned(kind: str, file: Path, out: Path) -> None:
    names = ["prompt", "chosen", "rejected"] if kind == "pairs" else ["question", "answer"]
    fields = [(name, pa.string()) for name in names]
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
    if kind == "pictures":
        fields = [("image", pa.binary()), *fields]
        compression = {"image": "none"} | dict.fromkeys(names, "zstd")
        options |= {"compression": compression, "write_statistics": names}
    schema = pa.schema(fields)
    with pq.ParquetWriter(out / "rows.parquet", schema, **options) as writer:
        for rows in groups(file):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def main() -> None:
    kind, file, out, how = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    if how == "plain":
        plain(file, out)
    else:
        tuned(kind, file, out)


if __name__ == "__main__":
    main()
