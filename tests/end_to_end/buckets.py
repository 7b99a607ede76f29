"""A file system for fsspec with buckets in a folder, and the troubles that real ones have.

``bucket://name/key`` is the file ``name/key`` below $BUCKETS. What stands in ``name/key.trouble``
befalls whoever reads it: ``reset N`` (the connection, at byte N), ``cut N`` (no byte comes from
there on), ``forbidden``, ``changing`` (every look gives another ETag).
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

LOOKS = itertools.count()
SECRET = "https://bucket.example/a?X-Signature=secret"


class ClientError(Exception):
    """As botocore's: no OSError, and it does not pickle."""

    def __init__(self, response: dict[str, str], operation: str) -> None:
        super().__init__(f"An error ({response['code']}) when calling\n{operation} of {SECRET}")


class Bucket(AbstractFileSystem):
    protocol = "bucket"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        place = self.place(path)
        if self.trouble(path) == ["forbidden"]:
            logging.getLogger("buckets.core").warning("Traceback of a secret")
            raise PermissionError("Forbidden")
        if place.is_dir():
            return {"name": path, "size": 0, "type": "directory"}
        etag = hashlib.md5(place.read_bytes()).hexdigest()
        if self.trouble(path) == ["changing"]:
            etag = f"{etag}-{next(LOOKS)}"
        return {"name": path, "size": place.stat().st_size, "type": "file", "ETag": f'"{etag}"'}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        names = [f"{path}/{place.name}" for place in self.place(path).iterdir()]
        return [self.info(name) for name in names] if detail else names

    def place(self, path: str) -> Path:
        return Path(os.environ["BUCKETS"], self._strip_protocol(path))

    def trouble(self, path: str) -> list[str]:
        note = self.place(f"{path}.trouble")
        return note.read_text().split() if note.exists() else []

    def _open(self, path: str, mode: str = "rb", **options: Any) -> BucketFile:
        return BucketFile(self, path, mode, cache_type=options["cache_type"])


class BucketFile(AbstractBufferedFile):
    def _fetch_range(self, start: int, end: int) -> bytes:
        match self.fs.trouble(self.path):
            case ["reset", at] if start <= int(at) < end:
                raise ClientError({"code": "RequestTimeout"}, "GetObject")
            case ["cut", at] if start <= int(at):
                end = min(end, int(at))
        return self.fs.place(self.path).read_bytes()[start:end]
