"""What the help says is what there is."""

from __future__ import annotations

from vlm_datakit.cli.options import FORMAT_NAMES
from vlm_datakit.formats import FORMATS


def test_the_help_names_every_format() -> None:
    assert FORMAT_NAMES.split(", ") == [*FORMATS]
