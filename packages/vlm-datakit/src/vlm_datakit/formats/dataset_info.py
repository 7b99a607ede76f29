"""The entry by which LLaMA-Factory finds a file of rows: what ``dataset_info.json`` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlm_datakit.errors import SourceError

#: What LLaMA-Factory calls a column, and what the rows call it, by format.
COLUMNS = {
    "sharegpt": {"messages": "conversations"},
    "alpaca": {
        "prompt": "instruction",
        "query": "input",
        "response": "output",
        "history": "history",
        "system": "system",
    },
}
_SHARED = ("tools", "images", "chosen", "rejected")
_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}


def dataset_entry(
    format_: str, file_name: str, columns: Mapping[str, int], rows: int
) -> dict[str, Any]:
    """Return the entry of a file of rows.

    Only columns that a row of the file has are named: LLaMA-Factory stops with a KeyError at
    one that is named and stands in no row.

    Args:
        format_: sharegpt or alpaca.
        file_name: The file, from the folder of ``dataset_info.json``.
        columns: How many rows have a column, by its name.
        rows: How many rows there are.

    Raises:
        SourceError: for pairs among other rows; LLaMA-Factory reads a file as one of both.

    Source:
        LLaMA-Factory, ``data/parser.py`` and ``data/converter.py``.

    Example:
        >>> dataset_entry("alpaca", "a.jsonl", {"instruction": 7, "output": 7}, 7)["columns"]
        {'prompt': 'instruction', 'response': 'output'}
    """
    pairs = columns.get("rejected", 0)
    if 0 < pairs < rows:
        raise SourceError(
            f"{file_name}: {pairs:,} of {rows:,} rows are pairs, and LLaMA-Factory reads a file "
            "of pairs or one of others: convert them apart; no entry was written"
        )
    names = {**COLUMNS[format_], **{name: name for name in _SHARED}}
    entry: dict[str, Any] = {"file_name": file_name, "formatting": format_}
    if pairs:
        entry["ranking"] = True
    entry["columns"] = {theirs: ours for theirs, ours in names.items() if columns.get(ours)}
    if format_ == "sharegpt":
        entry["tags"] = {**_TAGS}
    return entry
