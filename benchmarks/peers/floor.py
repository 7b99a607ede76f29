"""The physical limit: read the file, find the payload, decode it strictly, write the bytes.

    python floor.py KIND FILE OUT

Nothing is parsed that need not be, nothing checked but the base64. Preference rows have no
payload: there it is the JSON parse and the texts written one after the other.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import orjson
import pybase64

SIGN = b";base64,"


def write_pictures(file: Path, out: Path) -> None:
    with file.open("rb") as lines, (out / "pictures.bin").open("wb") as pictures:
        for line in lines:
            start = line.index(SIGN) + len(SIGN)
            payload = memoryview(line)[start : line.index(b'"', start)]
            pictures.write(pybase64.b64decode(payload, validate=True))


def write_pairs(file: Path, out: Path) -> None:
    with file.open("rb") as lines, (out / "texts.bin").open("wb") as texts:
        for line in lines:
            row = orjson.loads(line)
            whole = f"{row['prompt']}\0{row['chosen']}\0{row['rejected']}\0"
            texts.write(whole.encode())


def main() -> None:
    kind, file, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    start, cpu_start = time.perf_counter(), time.process_time()
    (write_pictures if kind == "pictures" else write_pairs)(file, out)
    took = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu_start}
    (out / "inside.json").write_text(json.dumps(took))


if __name__ == "__main__":
    main()
