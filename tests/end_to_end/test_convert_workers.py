"""``vlm-datakit convert --workers N``: the same bytes as one process, whatever happens to one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .watching import PATIENCE_S, children, eventually, held, is_alive, put_down

ENV = {"PYTHONPATH": str(Path(__file__).parent)}  # where traps.py is
MIB = 2**20
BLOCK_ROWS = 64
CONVERT = ["convert", "--to", "openai", "--from"]
TRAPS = [*CONVERT, "traps:FORMAT"]
TWO, THREE = ["--workers", "2"], ["--workers", "3"]


def qa(number: int, **more: object) -> bytes:
    return json.dumps({"text": f"{number}?", "response": f"{number}!", **more}).encode()


#: More than standard output keeps to itself.
LARGE = qa(1, system="z" * 100_000) + b"\n"


def rows_with(traps: dict[int, str], count: int = 4 * BLOCK_ROWS) -> bytes:
    """Return simple rows; ``{1: "die"}`` sets a trap in the second, which is a block of its own."""
    rows = [qa(n, **({"trap": traps[n]} if n in traps else {})) for n in range(count)]
    return b"".join(row + b"\n" for row in rows)


def messy() -> bytes:
    """Return lines of all kinds, refused ones on both sides of every border between blocks."""
    lines = [qa(n) for n in range(5 * BLOCK_ROWS)]
    for bad in range(0, len(lines), BLOCK_ROWS // 4):
        lines[bad], lines[bad - 1], lines[bad + 2] = b'{"text": "cut', b"[1]", b""
    lines[BLOCK_ROWS : BLOCK_ROWS + 2] = [b"", b" \r"]
    lines[20] = qa(20) + b"\r"
    lines[21] = b'{"text": "\xff", "response": "not UTF-8"}'
    lines[22] = qa(22, extra=1)  # a warning
    lines[100:100] = [b"x" * size for size in (MIB + 1, MIB, MIB - 1, 5 * MIB)]
    lines[150:150] = [qa(n, system="y" * 900_000) for n in range(8)]
    return b"\xef\xbb\xbf" + b"\n".join([*lines, b"[" * (MIB + 1), qa(1), b"[" * (MIB + 7)])


def picture_rows(folder: Path, png: bytes) -> bytes:
    (folder / "pictures").mkdir()
    (folder / "pictures/a.png").write_bytes(png)
    names = ["pictures/a.png", "pictures/no.png", "/etc/passwd", "../a.png"]
    return b"".join(qa(n, image=names[n % 4]) + b"\n" for n in range(2 * BLOCK_ROWS + 3))


@pytest.fixture
def both(cli, tmp_path) -> Callable[..., tuple[object, object]]:
    """Convert with one process and with three; return all that each left behind."""

    def run(source: str, stdin: bytes, *options: str) -> tuple[object, object]:
        found = []
        for workers in (["--workers", "1"], THREE):
            done = cli([*CONVERT, "auto", source, *options, *workers], input=stdin)
            ledger = tmp_path / "ledger.jsonl"
            found.append((done, ledger.read_bytes() if ledger.exists() else None))
            ledger.unlink(missing_ok=True)
        return found[0], found[1]

    return run


@pytest.fixture
def begun(tmp_path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a conversion with traps and leave it running; nothing of it outlives the test."""
    started = []

    def begin(rows: bytes, *more: str) -> subprocess.Popen[bytes]:
        (tmp_path / "in.jsonl").write_bytes(rows)
        command = [sys.executable, "-m", "vlm_datakit", *TRAPS, "in.jsonl", *TWO, *more]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, **ENV}, stdout=pipe, stderr=pipe,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    put_down(started)


class TestTheBytes:
    @pytest.mark.parametrize("source", ["in.jsonl", "-"])
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param([], id="refusals shown"),
            pytest.param(["--rejects", "ledger.jsonl", "--rejects-raw"], id="refusals kept"),
        ],
    )
    def test_are_those_of_one_process(self, both, tmp_path, source, options):
        (tmp_path / "in.jsonl").write_bytes(messy())

        one, three = both(source, messy(), "--limit", "line-mib=1", *options)

        assert one == three
        done, ledger = one
        assert (done.code, b"line-too-long" in done.err) == (6, True)
        assert done.err.count(b"refused  ") == (0 if options else 20)
        assert (ledger is not None) == bool(options)

    def test_with_pictures_named_beside_the_file(self, both, tmp_path, png_bytes):
        (tmp_path / "in.jsonl").write_bytes(picture_rows(tmp_path, png_bytes()))

        one, three = both("in.jsonl", b"")

        assert one == three
        assert one[0].out.count(b"data:image/png;base64,") == BLOCK_ROWS // 2 + 1

    @pytest.mark.parametrize("stdin", [b"", b"\n\n", qa(1)], ids=["none", "blank", "one row"])
    def test_of_next_to_nothing(self, both, stdin):
        one, three = both("-", stdin)

        assert one == three


class TestAKilledWorker:
    def test_leaves_the_same_bytes(self, begun, run_cli, tmp_path):
        process = begun(rows_with({0: "hold", 1: "hold"}))
        assert eventually(lambda: len(held(tmp_path)) == 2)
        assert sorted(children(process.pid)) == sorted(held(tmp_path))

        for pid in held(tmp_path):
            os.kill(pid, signal.SIGKILL)
        (tmp_path / "go").touch()

        out, err = process.communicate(timeout=PATIENCE_S)
        alone = run_cli([*TRAPS, "in.jsonl", "--workers", "1"], env=ENV)
        assert (process.returncode, out, err) == (0, alone.out, alone.err)

    def test_leaves_the_same_bytes_in_a_pipe(self, run_cli, tmp_path):
        rows = rows_with({70: "die-once"})

        done = run_cli([*TRAPS, *TWO], input=rows, env=ENV)

        alone = run_cli([*TRAPS, "--workers", "1"], input=rows, env=ENV)
        assert (tmp_path / "died").exists()
        assert done == alone

    def test_three_times_by_the_same_rows_ends_it_after_the_rows_before(self, run_cli):
        rows = rows_with({1: "die"})

        done = run_cli([*TRAPS, *TWO, "-q"], input=rows, env=ENV)

        start, end = (len(rows_with({1: "die"}, count)) for count in (1, 2))
        assert (done.code, done.out.count(b"\n")) == (3, 1)
        assert done.err.decode() == (
            f"vlm-datakit: error: stdin: bytes {start:,} to {end:,}: the worker that converts them "
            "was killed by SIGKILL (no memory left?), 3 times, the last time alone: look at these "
            "rows, or give it more memory\n"
        )


class TestTheEnd:
    @pytest.mark.parametrize("source", ["many.jsonl", "- < many.jsonl"], ids=["file", "pipe"])
    def test_a_reader_that_leaves_ends_it_quietly_with_141(self, shell, tmp_path, source):
        (tmp_path / "many.jsonl").write_bytes(rows_with({}, 30_000))

        done = shell(
            f"vlm-datakit convert --to openai --workers 2 {source} | head -1 | wc -l; "
            "exit ${PIPESTATUS[0]}"
        )

        assert (done.code, done.out) == (141, "1\n")
        assert "rror" not in done.err

    def test_a_bug_says_where_and_ends_the_others_at_once(self, begun, tmp_path):
        process = begun(rows_with({0: "bug", 1: "hold"}))

        said = process.communicate(timeout=PATIENCE_S)[1].decode()

        assert process.returncode == 1
        assert "ZeroDivisionError: a bug of the format\nwhile converting in.jsonl:1\n" in said
        assert 'in a worker: Traceback (most recent call last):\n  File "' in said
        assert not any(map(is_alive, held(tmp_path)))

    @pytest.mark.parametrize(
        ("number", "code", "words"),
        [
            pytest.param(signal.SIGINT, 130, "vlm-datakit: interrupted\n", id="Ctrl-C"),
            pytest.param(signal.SIGTERM, -signal.SIGTERM, "", id="SIGTERM"),
            pytest.param(signal.SIGKILL, -signal.SIGKILL, "", id="SIGKILL"),
        ],
    )
    def test_a_signal_ends_all_within_a_second(self, begun, tmp_path, number, code, words):
        process = begun(rows_with({0: "hold", 1: "hold"}), "-q")
        assert eventually(lambda: len(held(tmp_path)) == 2)

        process.send_signal(number)

        _, err = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, err.decode()) == (code, words)
        assert eventually(lambda: not any(map(is_alive, held(tmp_path))), within_s=1)

    def test_an_upstream_that_says_no_more_is_left_by_ctrl_c(self):
        command = [sys.executable, "-m", "vlm_datakit", *CONVERT, "simple", *TWO, "-q"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        process.stdin.write(LARGE)
        process.stdin.flush()
        first = process.stdout.read(10)  # it has begun

        process.send_signal(signal.SIGINT)

        _, err = process.communicate(timeout=PATIENCE_S)
        assert (first[:9], process.returncode) == (b'{"message', 130)
        assert err == b"vlm-datakit: interrupted\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_row_goes_through_before_the_next_one_comes(workers):
    """As far as standard output does not keep it to itself."""
    command = [sys.executable, "-m", "vlm_datakit", *CONVERT, "simple", "--workers", workers]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
    process.stdin.write(LARGE)
    process.stdin.flush()

    assert process.stdout.read(50_000).startswith(b'{"messages":')
    process.communicate(LARGE, timeout=PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["rows.jsonl", "--fetch"], b"--fetch is done by one process", id="fetch"),
        pytest.param(["set"], b"a finished import is done by one process", id="an import"),
    ],
)
def test_what_takes_one_process_only(cli, tmp_path, arguments, words):
    (tmp_path / "rows.jsonl").write_bytes(rows_with({}, 2))
    assert cli(["import", "rows.jsonl", "-o", "set"]).code == 0
    convert = ["convert", "--to", "openai", *arguments]

    refused, one, default = cli([*convert, *TWO]), cli([*convert, "--workers", "1"]), cli(convert)

    assert (refused.code, refused.out, words in refused.err) == (2, b"", True)
    assert one == default
    assert one.out.count(b"\n") == 2
