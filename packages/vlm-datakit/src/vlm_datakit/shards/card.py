"""The README.md of an output folder: what it is for people, and for `load_dataset`.

Without the front matter `load_dataset(folder)` takes a rejects file for the training set.
Without the digest in it, `load_dataset` would give the cached rows of whatever set of the
same folder name it has loaded before: its cache key is the name and the front matter, not
the files (datasets 5.2, ``LocalDatasetModuleFactory``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def card(manifest: Mapping[str, Any], name: str) -> str:
    """Return the dataset card of a finished run.

    Args:
        manifest: As `vlm_datakit.shards.manifest.manifest_of` returns it.
        name: The heading: the folder's name.
    """
    rows = "\n".join(
        f"| {split} | {facts['rows']:,} | {facts['bytes']:,} |"
        for split, facts in manifest["splits"].items()
    )
    return (
        f"---\n{_front_matter(manifest)}---\n\n# {name}\n\n"
        f"Normalized shards, layout `{manifest['layout']}`, written by vlm-datakit "
        f"{manifest['versions'].get('vlm-datakit', '')} from rows in the format "
        f"`{manifest['source']['format']}`.\n\n"
        f"| split | rows | bytes |\n|---|---:|---:|\n{rows}\n\n{_rejects(manifest['rejects'])}\n"
        "```python\nfrom datasets import load_dataset\n\n"
        f'rows = load_dataset("path/to/{name}")\n```\n'
    )


def _front_matter(manifest: Mapping[str, Any]) -> str:
    """Return what `load_dataset` reads of the card: YAML, written without its library.

    Importing that takes a twentieth of the time of a start. Names of splits are letters, digits,
    dots and underlines, and in quotation marks they stay texts: ``no`` would be a boolean.
    """
    lines = ["configs:", "- config_name: default", f"  description: {_digest(manifest)}"]
    files = [split for split, facts in manifest["splits"].items() if facts["rows"]]
    lines.append("  data_files:" if files else "  data_files: []")
    for split in files:
        lines += [f'  - split: "{split}"', f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "tags:", "- vlm-datakit", ""])


def _digest(manifest: Mapping[str, Any]) -> str:
    """Return what tells this set from every other, as the config's description."""
    shards = [shard for facts in manifest["splits"].values() for shard in facts["shards"]]
    digest = hashlib.sha256("".join(shard["sha256"] for shard in shards).encode())
    return f"shards {digest.hexdigest()[:16]}"


def _rejects(rejects: Mapping[str, Any]) -> str:
    if not rejects["total"]:
        return "No row was refused.\n"
    lines = "\n".join(f"- `{reason}`: {count:,}" for reason, count in rejects["by_reason"].items())
    return f"{rejects['total']:,} rows were refused; `rejects/` says which and why:\n\n{lines}\n"
