"""What became of the rows of a conversion, counted and said."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vlm_datakit.cli.talk import say, say_counts, say_refused
from vlm_datakit.errors import Reason, TooManyRejects

if TYPE_CHECKING:
    from vlm_datakit.conversion import ConvertRequest
    from vlm_datakit.portions import Portion

_HOPELESS_ROWS = 1_000


class Counts:
    """Counts what became of the rows, and says it."""

    def __init__(self) -> None:
        self._rows = self._refused_first = 0
        self._reasons, self._warnings = Counter[str](), Counter[str]()
        self._losses, self._columns = Counter[str](), Counter[str]()

    def add(self, portion: Portion) -> None:
        """Count the rows of a portion."""
        if self._refused_first == self._rows:
            self._refused_first += portion.refused_first
        self._rows += portion.rows
        self._reasons.update(portion.by_reason)
        self._warnings.update(portion.warnings)
        self._losses.update(portion.losses)
        self._columns.update(portion.columns)

    def say_first(self, portion: Portion) -> None:
        """Name the refused rows of the next portion if they are among the first of all."""
        from vlm_datakit.portions import SHOWN

        say_refused(portion.refused[: max(0, SHOWN - self._reasons.total())])

    def hold_hope(self, request: ConvertRequest, *, is_over: bool = False) -> None:
        """Stop where no row goes out: the call is wrong, not the rows.

        Raises:
            TooManyRejects: if the first 1,000 rows, or all that there are, were refused.
        """
        refused, is_all = self._refused_first, self._refused_first == self._rows
        if refused < _HOPELESS_ROWS and not (is_over and refused and is_all):
            return
        wrong = f"the format (read as {request.source}) or the image root is wrong"
        if request.mapping is not None:
            wrong = "the mapping or the image root is wrong"
        if self._reasons.keys() == {Reason.DOES_NOT_FIT_FORMAT}:
            wrong = f"{request.target} has no place for them"
        which = f"all {refused:,}" if is_over else f"the first {_HOPELESS_ROWS:,}"
        text = f"{which} rows were refused, and nothing is written: {wrong}"
        raise TooManyRejects(text, self._rows, self._reasons)

    def enter(self, info: Path, output: Path, target: str) -> None:
        """Enter the file of rows in LLaMA-Factory's list, by its name without the ending."""
        from vlm_datakit.formats.dataset_info import dataset_entry
        from vlm_datakit.sinks.dataset_info import put_entry

        rows = self._rows - self._reasons.total()
        if not rows:
            return
        name = Path(os.path.relpath(output.resolve(), info.resolve().parent)).as_posix()
        put_entry(info, output.name.split(".")[0], dataset_entry(target, name, self._columns, rows))

    def conclude(self, hopeless: TooManyRejects | None, *, quiet: bool) -> None:
        """Say how it went.

        Raises:
            TooManyRejects: if a row was refused.
        """
        refused = self._reasons.total()
        if not quiet:
            say_counts("refused, by reason:", self._reasons)
            say_counts("warned, rows by reason:", self._warnings, hints=False)
            say_counts("left out, rows by loss:", self._losses, hints=False)
        if hopeless is not None:
            raise hopeless
        if refused:
            text = f"{refused:,} of {self._rows:,} rows were refused; the others are written"
            raise TooManyRejects(text, self._rows, self._reasons)
        if not quiet:
            say(f"{self._rows:,} rows converted")
