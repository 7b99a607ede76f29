"""What stands in a source beside its rows, so that nothing is left out without a word."""

from __future__ import annotations

from pathlib import Path

from vlm_datakit.plan import SourceFile
from vlm_datakit.sources.image_folder import listing
from vlm_datakit.sources.opening import open_source
from vlm_datakit.sources.zip_members import others_in

_SHOWN = 3


def left_out(file: SourceFile) -> str | None:
    """Say which parts of a source are not read; None if there are none.

    Raises:
        SourceError: if it cannot be read.
    """
    if file.kind == "zip":
        with open_source(file) as stream:
            names = others_in(stream, file.name)
        more = ", ..." if len(names) > _SHOWN else ""
        shown = f"{', '.join(names[:_SHOWN])}{more}"
        return f"{file.name}: {len(names)} members hold no JSON: {shown}" if names else None
    if file.kind == "image-folder" and (others := listing(Path(file.path)).others):
        return f"{file.name}: {others} files are no pictures by their names"
    return None
