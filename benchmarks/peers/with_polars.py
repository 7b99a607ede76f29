"""Polars: NDJSON in, base64 to binary, Parquet out.

    python with_polars.py KIND FILE OUT plain|tuned

plain: read, then write, all defaults. tuned: schema given, the streaming engine, and pictures
not compressed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import polars as pl

PART = pl.Struct({"type": pl.String, "image_url": pl.Struct({"url": pl.String}), "text": pl.String})
MESSAGE = pl.Struct({"role": pl.String, "content": pl.List(PART)})
SCHEMAS: dict[str, Any] = {
    "pictures": {"messages": pl.List(MESSAGE)},
    "pairs": dict.fromkeys(("prompt", "chosen", "rejected"), pl.String),
}


def part(message: int, number: int) -> pl.Expr:
    contents = pl.col("messages").list.get(message).struct.field("content")
    return contents.list.get(number).struct


def columns() -> list[pl.Expr]:
    url = part(0, 0).field("image_url").struct.field("url")
    return [
        url.str.strip_prefix("data:image/jpeg;base64,").str.decode("base64").alias("image"),
        part(0, 1).field("text").alias("question"),
        part(1, 0).field("text").alias("answer"),
    ]


def main() -> None:
    kind, file, out, how = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    if how == "plain":
        rows = pl.read_ndjson(file)
        (rows.select(columns()) if kind == "pictures" else rows).write_parquet(out / "rows.parquet")
        return
    lazy = pl.scan_ndjson(file, schema=SCHEMAS[kind])
    lazy = lazy.select(columns()) if kind == "pictures" else lazy
    how_packed: dict[str, Any] = {"compression": "zstd", "compression_level": 1}
    if kind == "pictures":
        how_packed = {"compression": "uncompressed", "statistics": False}
    lazy.sink_parquet(out / "rows.parquet", **how_packed)


if __name__ == "__main__":
    main()
