"""Daft: JSON in, base64 to binary, Parquet out, on its native runner.

python with_daft.py KIND FILE OUT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["DAFT_PROGRESS_BAR"] = "0"
os.environ["DO_NOT_TRACK"] = "true"

import daft
from daft import col
from daft.functions import decode, get, split_part


def main() -> None:
    kind, file, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    daft.set_execution_config(maintain_order=True)  # in vain: large files come in pieces
    rows = daft.read_json(file)
    if kind == "pictures":
        user, answer = (get(get(col("messages"), number), "content") for number in (0, 1))
        url = get(get(get(user, 0), "image_url"), "url")
        image = decode(split_part(url, ",", 2).cast(daft.DataType.binary()), "base64")
        rows = rows.select(
            image.alias("image"),
            get(get(user, 1), "text").alias("question"),
            get(get(answer, 0), "text").alias("answer"),
        )
    rows.write_parquet(str(out), compression="zstd")


if __name__ == "__main__":
    main()
