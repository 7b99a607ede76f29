"""How data sets on the Hub are named: ``OWNER/NAME[@REVISION][::FILE]``, or as an address.

A file of a repository at one commit has an address of its own, ``hf://datasets/OWNER/NAME@COMMIT/
FILE``, under which it stands in a plan.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from vlm_datakit.errors import UsageError

PREFIX = "hf://datasets/"
# Source: huggingface_hub's validate_repo_id (letters, digits, - _ . and 96 characters at most).
_PART = r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_REPO = rf"(?P<repo>{_PART}/{_PART})"
_NAME = re.compile(rf"{_REPO}(@(?P<revision>[^\s:@?*]+))?(::(?P<path>[^:]+))?", re.ASCII)
_ADDRESS = re.compile(rf"{PREFIX}{_REPO}(@(?P<revision>[^/]+))?(/(?P<path>.+))?", re.ASCII)
_PINNED = re.compile(r"[0-9a-f]{40}")
_ROWS = re.compile(
    r"\.(arrow|csv|jpe?g|json|jsonl|md|ndjson|parquet|png|py|tar|tgz|tsv|txt|ya?ml|zip)"
    r"(\.(gz|zst|zstd))?$",
    re.IGNORECASE,
)


class HubName(NamedTuple):
    """A data set on the Hub, at a revision (None: its main branch), or one file of it."""

    repo: str
    revision: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{revision}" + (f"::{self.path}" if self.path else "")


class Pinned(NamedTuple):
    """A file of a data set on the Hub at one commit."""

    repo: str
    commit: str
    path: str

    @property
    def address(self) -> str:
        """Return the address under which it stands in a plan."""
        return f"{PREFIX}{self.repo}@{self.commit}/{self.path}"


def hub_name(name: str) -> HubName | None:
    """Return what a name on a command line says of the Hub; None if it means a file.

    What is there on this machine is what is meant; so is a name that ends as files of rows do,
    and one whose first part is a folder here. An address always means the Hub.

    Raises:
        UsageError: for an address below ``hf://datasets/`` that names no data set.

    Example:
        >>> hub_name("owner/name@v1.0::train.jsonl")
        HubName(repo='owner/name', revision='v1.0', path='train.jsonl')
        >>> hub_name("data/train.jsonl") is None
        True
    """
    if name.lower().startswith(PREFIX):
        return _of_address(PREFIX + name[len(PREFIX) :].rstrip("/"), name)
    match = _NAME.fullmatch(name)
    if match is None or (_ROWS.search(match["repo"]) and match["path"] is None):
        return None
    if Path(name).exists() or Path(match["repo"]).exists() or _is_below_a_folder(match["repo"]):
        return None
    return HubName(match["repo"], match["revision"], match["path"])


def repo_name(name: str) -> str:
    """Return the name of a repository that is to be written to.

    Raises:
        UsageError: for anything but ``OWNER/NAME``.

    Example:
        >>> repo_name("owner/name")
        'owner/name'
    """
    plain = name.removeprefix(PREFIX)
    if not re.fullmatch(_REPO, plain, re.ASCII):
        raise UsageError(f"{name}: a data set on the Hub is named OWNER/NAME")
    return plain


def pinned(address: str) -> Pinned | None:
    """Return the file that an address of a plan names; None for any other.

    Example:
        >>> pinned("hf://datasets/owner/name@" + "0" * 40 + "/train.jsonl").path
        'train.jsonl'
    """
    match = _ADDRESS.fullmatch(address) if address.startswith(PREFIX) else None
    if match is None or not match["path"] or not _PINNED.fullmatch(match["revision"] or ""):
        return None
    return Pinned(match["repo"], match["revision"], match["path"])


def _of_address(address: str, shown: str) -> HubName:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{shown}: a data set on the Hub is {PREFIX}OWNER/NAME[@REVISION][/FILE]")
    revision = match["revision"] and match["revision"].replace("%2F", "/")
    return HubName(match["repo"], revision, match["path"])


def _is_below_a_folder(repo: str) -> bool:
    return Path(repo.partition("/")[0]).is_dir()
