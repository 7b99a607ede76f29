"""Bytes and Hugging Face structs as Python callers pass them."""

from __future__ import annotations

import array
import base64
import io
from collections import UserDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cases import (
    FIELD_MISSING,
    MISSING,
    OUTSIDE,
    UNREADABLE,
    UNSUPPORTED,
    Accepted,
    Built,
    Case,
    Reason,
    stored,
    uri,
)
from .drawings import SIZE, rgb, saved

WRONG_TYPE = Reason.FIELD_WRONG_TYPE
PNG = saved(rgb(), "PNG")


def taken(name: str, value: Callable[[Path], Any]) -> Case:
    """Return a case of a value that is the picture, byte for byte."""
    kind = name.partition(" ")[0]
    return Case(name, kind, Accepted(*SIZE), lambda folder: Built(value(folder), PNG))


def not_taken(name: str, reason: Reason, value: Callable[[Path], Any]) -> Case:
    kind = name.partition(" ")[0]
    return Case(name, kind, reason, lambda folder: Built(value(folder)))


def released() -> memoryview:
    """Return a memoryview that nobody can read any more."""
    view = memoryview(PNG)
    view.release()
    return view


def self_holding() -> dict[str, Any]:
    """Return a struct that holds itself."""
    struct: dict[str, Any] = {"path": None}
    struct["bytes"] = struct
    return struct


def linked(folder: Path) -> str:
    """Return the path of a link that leads out of the root."""
    (folder / "link.png").symlink_to("/etc/hostname")
    return str(folder / "link.png")


BYTES = [
    taken("bytes plain", lambda _: PNG),
    taken("bytes of a bytearray", lambda _: bytearray(PNG)),
    taken("bytes of a memoryview", lambda _: memoryview(PNG)),
    taken("bytes of a part of a memoryview", lambda _: memoryview(b"ab" + PNG + b"c")[2:-1]),
    taken("bytes of a memoryview in steps", lambda _: memoryview(PNG[::-1])[::-1]),
    taken(
        "bytes of a memoryview of two dimensions",
        lambda _: memoryview(PNG).cast("B", [1, len(PNG)]),
    ),
    not_taken("bytes of every second byte", UNSUPPORTED, lambda _: memoryview(PNG)[::2]),
    not_taken("bytes of a memoryview released", WRONG_TYPE, lambda _: released()),
    not_taken("bytes of none", FIELD_MISSING, lambda _: b""),
    not_taken("bytes of an empty bytearray", FIELD_MISSING, lambda _: bytearray()),
    not_taken("bytes of an empty memoryview", FIELD_MISSING, lambda _: memoryview(b"")),
    not_taken("bytes of base64", UNSUPPORTED, lambda _: base64.b64encode(PNG)),
    not_taken("bytes of a uri", UNSUPPORTED, lambda _: uri(PNG).encode()),
    not_taken("bytes of a path", UNSUPPORTED, lambda folder: stored(folder, PNG).encode()),
    not_taken("bytes of a url", UNSUPPORTED, lambda _: b"https://images.example/a.png"),
    not_taken("bytes cut", UNREADABLE, lambda _: PNG[:-20]),
    not_taken("bytes in a file", WRONG_TYPE, lambda _: io.BytesIO(PNG)),
    not_taken("bytes in an array", WRONG_TYPE, lambda _: array.array("B", PNG)),
    not_taken("bytes as numbers", WRONG_TYPE, lambda _: list(PNG)),
]
STRUCTS = [
    taken("struct of bytes", lambda _: {"bytes": PNG}),
    taken("struct of bytes and no path", lambda _: {"bytes": PNG, "path": None}),
    taken("struct of bytes and a path elsewhere", lambda _: {"bytes": PNG, "path": "/etc/passwd"}),
    taken("struct of bytes and more", lambda _: {"bytes": PNG, "path": "a", "width": 9, "x": None}),
    taken("struct of a bytearray", lambda _: {"bytes": bytearray(PNG)}),
    taken("struct of a path", lambda folder: {"path": stored(folder, PNG)}),
    taken("struct of no bytes and a path", lambda f: {"bytes": None, "path": stored(f, PNG)}),
    taken("struct of empty bytes and a path", lambda f: {"bytes": b"", "path": stored(f, PNG)}),
    taken(
        "struct of an absolute path",
        lambda folder: {"path": str(folder.resolve().parent / stored(folder, PNG))},
    ),
    taken("struct of base64", lambda _: {"bytes": base64.b64encode(PNG).decode()}),
    taken("struct of a uri in its path", lambda _: {"bytes": None, "path": uri(PNG)}),
    taken("struct of another kind", lambda _: UserDict({"bytes": PNG})),
    not_taken("struct of nothing", FIELD_MISSING, lambda _: {"bytes": None, "path": None}),
    not_taken("struct of empty values", FIELD_MISSING, lambda _: {"bytes": b"", "path": ""}),
    not_taken("struct without keys", WRONG_TYPE, lambda _: {}),
    not_taken("struct of other keys", WRONG_TYPE, lambda _: {"data": PNG}),
    not_taken("struct in a struct", WRONG_TYPE, lambda _: {"bytes": {"bytes": PNG}}),
    not_taken("struct in its own path", WRONG_TYPE, lambda _: {"path": {"path": "a"}}),
    not_taken("struct in itself", WRONG_TYPE, lambda _: self_holding()),
    not_taken("struct in structs", WRONG_TYPE, lambda _: nested(5000)),
    not_taken("struct of numbers", WRONG_TYPE, lambda _: {"bytes": list(PNG)}),
    not_taken("struct of a path elsewhere", OUTSIDE, lambda _: {"path": "/etc/passwd"}),
    not_taken("struct of a path up", OUTSIDE, lambda _: {"path": "../" * 40 + "etc/passwd"}),
    not_taken("struct of a link out", OUTSIDE, lambda folder: {"path": linked(folder)}),
    not_taken("struct of a path to nothing", MISSING, lambda _: {"path": "none.png"}),
    not_taken(
        "struct of a url",
        Reason.IMAGE_URL_NOT_FETCHED,
        lambda _: {"bytes": None, "path": "https://images.example/a.png"},
    ),
    not_taken("value null", FIELD_MISSING, lambda _: None),
    not_taken("value true", WRONG_TYPE, lambda _: True),
    not_taken("value zero", WRONG_TYPE, lambda _: 0),
    not_taken("value not a number", WRONG_TYPE, lambda _: float("nan")),
    not_taken("value a pair", WRONG_TYPE, lambda _: (PNG, PNG)),
    not_taken("value a set", WRONG_TYPE, lambda _: {PNG}),
    not_taken("value a path object", WRONG_TYPE, lambda folder: folder / "a.png"),
    not_taken("value a class", WRONG_TYPE, lambda _: bytes),
    not_taken("value a function", WRONG_TYPE, lambda _: saved),
]


def nested(depth: int) -> dict[str, Any]:
    """Return structs in each other."""
    struct: dict[str, Any] = {"bytes": PNG}
    for _ in range(depth):
        struct = {"bytes": struct}
    return struct


CASES: list[Case] = [*BYTES, *STRUCTS]
