"""What does a picture cost between the JSON parse and the shard? CPU milliseconds a row.

    python benchmarks/pictures.py [--rows 200] [--rounds 7] [--json]

Rows hold one JPEG of about 300 kB each as a data URI, all different. Each way is timed over
all rows in interleaved rounds; the figure is the median round's CPU time a row, and the
memory is what the process held at its most. The floor is what nobody can avoid: strict base64
of the same text. The peers are what scripts do: the standard library's lenient base64, then
Pillow's header alone, or all pixels. "Read to checked" is a row's whole way to the writer, as an
import takes it: its payload is cut out, so that JSON never sees it.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import orjson
import PIL
import PIL.Image
import pybase64
from skimage import data as photos

from vlm_datakit.checks import check
from vlm_datakit.formats import simple
from vlm_datakit.images.base64_text import decode
from vlm_datakit.images.containers.jpeg import walk
from vlm_datakit.images.header import check_decodes, parse_header
from vlm_datakit.images.kind import classify
from vlm_datakit.images.resolver import Opener, not_fetched
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.sources.jsonl import Span, read_rows
from vlm_datakit.walk import Stages, convert_rows

LIMITS = Limits()


def jpegs(count: int) -> list[bytes]:
    """Make photographs of about 300 kB, 1200 x 1600, each with a noise of its own."""
    photo = PIL.Image.fromarray(photos.astronaut()).resize((1200, 1600))
    pixels = np.asarray(photo).astype(np.int16)
    noise = np.random.default_rng(0)
    made = []
    for _ in range(count):
        grain = noise.normal(0, 4, (1600, 1200, 1)).astype(np.int16)
        file = io.BytesIO()
        grainy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
        PIL.Image.fromarray(grainy).save(file, "JPEG", quality=84)
        made.append(file.getvalue())
    return made


def ways(lines: list[bytes]) -> dict[str, Callable[[], object]]:
    """Return each way over all rows, by name."""
    texts = [orjson.loads(line)["image"] for line in lines]
    files = [decode(text, max_bytes=LIMITS.max_image_bytes, where="$") for text in texts]
    structure = Opener(LIMITS, ImagePolicy(), not_fetched)
    decoding = Opener(LIMITS, ImagePolicy(check="decode"), not_fetched)

    def with_pillow(*, pixels: bool) -> None:
        for text in texts:
            with PIL.Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))) as image:
                image.getexif()
                if pixels:
                    image.load()

    whole = b"\n".join(lines)
    stages = Stages(simple.FORMAT.parse, structure, check)

    def as_imported() -> None:
        for _ in convert_rows(read_rows(io.BytesIO(whole), Span("rows")), stages):
            pass

    return {
        "ours, read to checked, JSON and all": as_imported,
        "the JSON parse of the line": lambda: [orjson.loads(line) for line in lines],
        "floor: strict base64": lambda: [pybase64.b64decode(t[23:], validate=True) for t in texts],
        "ours, --check-images structure": lambda: [structure(classify(t, "$")) for t in texts],
        "  of it: base64": lambda: [decode(t, max_bytes=1 << 30, where="$") for t in texts],
        "  of it: header and structure": lambda: [parse_header(f, LIMITS, "$") for f in files],
        "    of that: the walk": lambda: [walk(file) for file in files],
        "ours, --check-images decode": lambda: [decoding(classify(t, "$")) for t in texts],
        "  of it: decoding at 1/8": lambda: [check_decodes(file, "$") for file in files],
        "script: lenient base64, header": lambda: with_pillow(pixels=False),
        "script: lenient base64, all pixels": lambda: with_pillow(pixels=True),
    }


def measured(rows: int, rounds: int) -> dict[str, float]:
    """Return the median CPU milliseconds a row of each way."""
    pictures = jpegs(rows)
    print(f"{rows} rows, {sum(map(len, pictures)) / rows / 1000:.0f} kB a picture")
    uri = "data:image/jpeg;base64,"
    lines = [
        orjson.dumps({"text": "?", "image": uri + base64.b64encode(data).decode(), "response": "!"})
        for data in pictures
    ]
    timed = ways(lines)
    spent: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, run in timed.items():
            start = time.process_time()
            run()
            spent[name].append((time.process_time() - start) * 1000 / rows)
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments, _ = parser.parse_known_args()  # the session gives all benchmarks the same
    found = measured(arguments.rows, arguments.rounds)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if arguments.json:
        print(json.dumps({"cpu_ms_a_row": found, "peak_mib": peak_mib}))
        return
    for name, milliseconds in found.items():
        print(f"{name:<38} {milliseconds:7.3f} ms")
    print(
        f"Python {platform.python_version()}, Pillow {PIL.__version__}, "
        f"pybase64 {pybase64.__version__}, peak {peak_mib:.0f} MiB with all rows in memory"
    )


if __name__ == "__main__":
    main()
