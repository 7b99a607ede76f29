"""Where an import lies: a folder of this machine, or an address that fsspec knows.

An address is shown, and stored with a run, so it may hold no credentials: backends find these in
the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vlm_trainer.errors import UsageError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.+", re.DOTALL | re.IGNORECASE)
# A password may hold a slash. A query may be a signature; so may a fragment, mistyped.
_CREDENTIALS = re.compile(r"[^/@]*:.*@|.*[?#]", re.DOTALL)
_QUERY = re.compile(r"[?#]\S*")
_USER = re.compile(r"(\w://)[^/@\s]*:\S*@")


@dataclass(frozen=True, slots=True)
class Address:
    """A place on another file system, joined like a path.

    Example:
        >>> print(Address("s3://bucket/forms") / "manifest.json")
        s3://bucket/forms/manifest.json
    """

    text: str

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.text}/{name}")

    def __str__(self) -> str:
        return self.text


def is_address(name: str) -> bool:
    """Say whether a name is an address; ``file://`` is one, so that it streams too.

    Example:
        >>> is_address("s3://bucket/forms"), is_address("forms"), is_address("file:///forms")
        (True, False, True)
    """
    return _ADDRESS.fullmatch(name) is not None


def place_of(name: str) -> Path | Address:
    """Return the place of a folder as the user named it.

    Raises:
        UsageError: An address with a password, a query or a fragment, or of one file system
            inside another.
    """
    if not is_address(name):
        return Path(name)
    if "::" in name:
        raise UsageError(f"{shown(name)}: one file system inside another is not read")
    if _CREDENTIALS.match(name.partition("://")[2]):
        raise UsageError(
            f"{shown(name)}: an address has no password, no query (?) and no fragment (#) here; "
            "backends find credentials in the environment"
        )
    scheme, _, rest = name.partition("://")
    return Address(f"{scheme.lower()}://{rest.rstrip('/')}")


def disk_path(name: str) -> Path:
    """Return the path to write to; an address would become a strange folder here.

    Raises:
        UsageError: An address.
    """
    if is_address(name):
        raise UsageError(f"{shown(name)}: an address is only read from; write to a path on a disk")
    return Path(name)


def shown(text: str) -> str:
    """Return a text without what addresses in it might give away.

    Example:
        >>> shown("GET https://me:pw@host/a?X-Signature=1 failed")
        'GET https://host/a failed'
    """
    return _QUERY.sub("", _USER.sub(r"\1", text))
