"""What a person at a terminal sees: a bar while it runs, words that stay, nothing painted."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

QA = [{"text": f"{n} + {n}?", "response": str(2 * n)} for n in range(2_000)]
ERASE_LINE = "\x1b[2K"


@pytest.fixture
def on_terminal(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run a command with standard error on a terminal; return its code and what was shown."""

    def run(args: list[str], *, interrupt_at: str | None = None) -> tuple[int, str]:
        screen, stderr = pty.openpty()
        command = [sys.executable, "-m", "vlm_datakit", *args]
        with subprocess.Popen(
            command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=stderr, env={**os.environ, **TERM}
        ) as process:
            os.close(stderr)
            shown = b""
            while piece := read(screen):
                shown += piece
                if interrupt_at and interrupt_at.encode() in shown:
                    process.send_signal(signal.SIGINT)
                    interrupt_at = None
            assert process.stdin is not None
        os.close(screen)
        return process.returncode, shown.decode().replace("\r\n", "\n")

    return run


TERM = {"TERM": "xterm-256color", "COLUMNS": "100"}


def read(screen: int) -> bytes:
    try:
        return os.read(screen, 65_536)
    except OSError:  # Linux: the other side is closed
        return b""


def test_a_bar_is_shown_and_leaves_no_trace(on_terminal, write_jsonl, tmp_path):
    write_jsonl(tmp_path / "qa.jsonl", QA)

    code, shown = on_terminal(["import", "qa.jsonl", "-o", "out"])

    assert code == 0, shown
    assert ERASE_LINE in shown
    assert shown.rstrip().endswith(
        "out: 2,000 rows written (train 2,000), 0 refused, 0 pictures, 0.0 MiB"
    )


def test_quiet_shows_no_bar(on_terminal, write_jsonl, tmp_path):
    write_jsonl(tmp_path / "qa.jsonl", QA)

    code, shown = on_terminal(["import", "qa.jsonl", "-o", "out", "-q"])

    assert (code, "\x1b" in shown) == (0, False)


def test_values_of_rows_cannot_paint_the_screen(on_terminal, write_jsonl, tmp_path):
    hostile = {"messages": [{"role": "\x1b[31mred[/foo]", "content": "?"}]}
    write_jsonl(tmp_path / "qa.jsonl", [hostile])

    code, shown = on_terminal(["import", "qa.jsonl", "-o", "out", "--from", "openai"])

    assert code == 6
    assert r"\x1b[31mred[/foo]" in shown
    assert "\x1b[31mred" not in shown


def test_ctrl_c_ends_the_bar_and_says_one_line(on_terminal, write_jsonl, tmp_path):
    write_jsonl(tmp_path / "qa.jsonl", [{**row, "source": "?"} for row in QA * 100])  # seconds

    code, shown = on_terminal(["import", "qa.jsonl", "-o", "out"], interrupt_at=ERASE_LINE)

    assert code == 130
    assert "Traceback" not in shown
    assert shown.rstrip().endswith("vlm-datakit: interrupted; the same command goes on")
