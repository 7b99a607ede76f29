"""A stream of any length goes through in bounded memory."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path

import PIL.Image
import pytest

pytestmark = pytest.mark.slow

STREAM_MB, MOST_RSS_MB = 400, 300
WRITER = """
import sys
(head, line), rows = open("row.jsonl", "rb").read().split(b"ID", 1), int(sys.argv[1])
try:
    for row in range(rows):
        sys.stdout.buffer.writelines((head, b"%d" % row, line))
except BrokenPipeError:
    pass
"""
# A process of its own: a child's peak is never below its parent's at the fork.
JUDGE = """
import os, subprocess, sys
writer = subprocess.Popen([sys.executable, "writer.py", sys.argv[1]], stdout=subprocess.PIPE)
tool = subprocess.Popen(
    [sys.executable, "-m", "vlm_datakit", *sys.argv[2:]],
    stdin=writer.stdout, stdout=subprocess.DEVNULL, stderr=open("said", "w"),
)
_, status, usage = os.wait4(tool.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024)
"""


@pytest.fixture
def stream(tmp_path: Path, data_uri) -> int:
    """Put a writer of a stream of 300 KB rows in tmp_path; return how many rows make it up."""
    noise = random.Random(0).randbytes(64 * 48)
    picture = PIL.Image.frombytes("L", (64, 48), noise).resize((2_000, 1_500))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=75)
    row = {"id": "ID", "text": "?", "image": data_uri(file.getvalue(), "image/jpeg")}
    line = json.dumps({**row, "response": "!"}) + "\n"
    (tmp_path / "row.jsonl").write_text(line)
    (tmp_path / "writer.py").write_text(WRITER)
    (tmp_path / "judge.py").write_text(JUDGE)
    assert 200_000 < len(line) < 400_000
    return STREAM_MB * 1_000_000 // len(line)


@pytest.mark.parametrize(
    "command",
    [["convert", "--to", "openai"], ["import", "-", "-o", "out"]],
    ids=lambda command: command[0],
)
def test_400_mb_through_a_pipe_stay_under_300_mb(stream, tmp_path, command):
    judge = [sys.executable, "judge.py", str(stream), *command]

    done = subprocess.run(judge, cwd=tmp_path, capture_output=True, check=True, timeout=300)

    code, peak_mb = map(int, done.stdout.split())
    assert code == 0, done.stderr
    assert peak_mb < MOST_RSS_MB
    assert f"{stream:,} rows" in (tmp_path / "said").read_text()
