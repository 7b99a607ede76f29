"""LLaMA-Factory's ``dataset_info.json``: a file of entries, in which one is added or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from vlm_datakit.errors import SourceError
from vlm_datakit.sinks.jsonl import open_new


def read_entries(path: Path) -> dict[str, Any]:
    """Return the entries of a file by name; none if there is no file.

    Raises:
        SourceError: if it cannot be read, or is no JSON object.
    """
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path}: not an object of entries")
    return found


def put_entry(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Add an entry to a file, or replace the one of its name; the others stay, in their order.

    Raises:
        SourceError: as `read_entries`.
        OutputError: if it cannot be written; then the file is as it was.
    """
    entries = {**read_entries(path), name: entry}
    with open_new(path, overwrite=True) as stream:
        stream.write(orjson.dumps(entries, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
