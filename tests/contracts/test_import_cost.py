"""Help appears at once: heavy libraries are loaded by those who use them, when they do.

Counted in sys.modules, not by a stopwatch, which a busy machine would fool.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "vlm_datakit": {
        "datasets",
        "fsspec",
        "httpx2",
        "huggingface_hub",
        "jsonschema",
        "numpy",
        "pandas",
        "PIL",
        "pyarrow",
        "ray",
        "rich",
        "torch",
        "transformers",
        "yaml",
    },
    "vlm_trainer": {
        "accelerate",
        "bitsandbytes",
        "datasets",
        "fsspec",
        "numpy",
        "pandas",
        "peft",
        "PIL",
        "pyarrow",
        "torch",
        "transformers",
        "trl",
    },
}
RUN_HELP = """
import sys
from {package}.cli import main
sys.argv = ["{package}", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def loaded_by(code: str) -> set[str]:
    """Return the top-level names in sys.modules after running code in a new process."""
    report = "\nimport sys; print('|', *{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return set(done.stdout.decode().rpartition("|")[2].split())


@pytest.mark.parametrize("package", HEAVY)
def test_importing_the_package_loads_nothing_heavy(package: str) -> None:
    loaded = loaded_by(f"import {package}")

    assert package in loaded
    assert loaded & HEAVY[package] == set()


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        pytest.param("vlm_datakit", ["--help"], id="datakit"),
        pytest.param("vlm_datakit", ["import", "--help"], id="datakit import"),
        pytest.param("vlm_datakit", ["convert", "--help"], id="datakit convert"),
        pytest.param("vlm_trainer", ["--help"], id="trainer"),
        pytest.param("vlm_trainer", ["train", "--help"], id="trainer train"),
    ],
)
def test_help_loads_nothing_heavy(package: str, arguments: list[str]) -> None:
    loaded = loaded_by(RUN_HELP.format(package=package, arguments=arguments))

    assert loaded & HEAVY[package] == set()
