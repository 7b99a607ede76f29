"""Processes of our own import Arrow without NumPy; those of others are left as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAY = "print('numpy' in sys.modules, 'pyarrow' in sys.modules)"
USE = "import numpy; print(numpy.asarray([1]).sum())"


def said(code: str) -> list[str]:
    command = [sys.executable, "-c", f"import sys; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[:-1]


def test_arrow_comes_without_numpy_which_can_be_imported_later() -> None:
    assert said(f"from vlm_datakit.lean import *; import_arrow(); {SAY}; {USE}") == [
        "False True",
        "1",
    ]


@pytest.mark.parametrize("first", ["numpy", "pyarrow"])
def test_what_is_there_stays(first: str) -> None:
    code = f"import {first}; from vlm_datakit.lean import *; import_arrow(); print(is_lean())"

    assert said(f"{code}; {SAY}")[0] == "False"


def test_an_import_is_lean(tmp_path: Path) -> None:
    (tmp_path / "watch.py").write_text(
        "import atexit, os, sys\n"
        "@atexit.register\n"
        "def tell():\n"
        "    open(f'seen-{os.getpid()}', 'w').write(f\"{'numpy' in sys.modules}\")\n"
    )
    (tmp_path / "a.jsonl").write_text('{"text": "?", "response": "!"}\n')
    code = (
        "import sys, watch; from vlm_datakit.cli import main; "
        "sys.argv[1:] = ['import', 'a.jsonl', '-o', 'set', '-q']; main()"
    )

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)

    (seen,) = tmp_path.glob("seen-*")
    assert seen.read_text() == "False"
