"""DuckDB: one SELECT from JSON to Parquet.

    python with_duckdb.py KIND FILE OUT plain|tuned

plain: the columns are guessed. tuned: they are given, and pictures are not compressed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

CHAT = (
    "STRUCT(role VARCHAR, content STRUCT(type VARCHAR, text VARCHAR, "
    "image_url STRUCT(url VARCHAR))[])[]"
)
COLUMNS = {
    "pictures": f"{{messages: '{CHAT}'}}",
    "pairs": "{prompt: 'VARCHAR', chosen: 'VARCHAR', rejected: 'VARCHAR'}",
}
SELECTED = {
    "pictures": """
        from_base64(split_part(messages[1].content[1].image_url.url, ',', 2)) AS image,
        messages[1].content[2].text AS question, messages[2].content[1].text AS answer""",
    "pairs": "prompt, chosen, rejected",
}


def main() -> None:
    kind, file, out, how = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    reader, packed = f"read_json('{file}')", "COMPRESSION zstd"
    if how == "tuned":
        reader = f"read_json('{file}', format = 'newline_delimited', columns = {COLUMNS[kind]})"
        packed = "COMPRESSION uncompressed" if kind == "pictures" else packed
    target = out / "rows.parquet"
    duckdb.sql(
        f"COPY (SELECT {SELECTED[kind]} FROM {reader}) TO '{target}' (FORMAT parquet, {packed})"
    )


if __name__ == "__main__":
    main()
