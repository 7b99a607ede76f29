"""Bytes of files that lie elsewhere, through fsspec: tried again before it is an error.

A file system is asked for anew at each read. fsspec keeps one for each process, and forgets those
of the parent after a fork, so that data workers may read too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from vlm_trainer.addresses import Address, shown
from vlm_trainer.errors import SourceError, UsageError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0)  # between tries, beside the backend's own
LONGEST_S = 60.0  # no try begins later; where nothing answers a backend may take minutes for one
WORDS_CHARS = 160  # of what a backend says; some quote whole answers
QUIET = logging.NullHandler()  # Python prints warnings where nobody listens at all
T = TypeVar("T")


class MissingError(SourceError):
    """There is nothing at an address."""


class _ShortError(Exception):
    """Fewer bytes came than were asked for."""


def read_whole(address: Address) -> bytes:
    """Return all bytes of a small file.

    Raises:
        MissingError, SourceError, UsageError: As `read_range`.
    """
    return _tried(address, lambda files, path: bytes(files.cat_file(path)))


def read_range(address: Address, start: int, end: int) -> bytes:
    """Return the bytes of a file from ``start`` to ``end``; nothing else is transferred.

    Raises:
        MissingError: It is not there.
        SourceError: It cannot be read, or ends before, whenever it was tried.
        UsageError: A scheme that is unknown, or whose package is not installed.
    """

    def read(files: Any, path: str) -> bytes:
        # Files with a buffer of their own read on behind the end.
        unbuffered = {} if files.async_impl else {"cache_type": "none"}
        content = bytes(files.cat_file(path, start=start, end=end, **unbuffered))
        if len(content) != end - start:
            raise _ShortError(f"{len(content):,} bytes came for {start:,} to {end:,}")
        return content

    return _tried(address, read)


def _tried(address: Address, read: Callable[[Any, str], T]) -> T:
    begun = time.monotonic()
    for tries, wait_s in enumerate((*WAITS_S, None), start=1):
        try:
            return read(*_reached(address))
        except UsageError:
            raise
        except FileNotFoundError as error:
            raise MissingError(f"{address}: no such file") from error
        except PermissionError as error:
            raise SourceError(f"{address}: no permission: {_words(error)}") from error
        except Exception as error:  # botocore, aiohttp and others raise what they like
            if wait_s is None or time.monotonic() - begun + wait_s > LONGEST_S:
                often = "once" if tries == 1 else f"{tries} times"
                raise SourceError(
                    f"{address}: cannot be read, tried {often}: {_words(error)}"
                ) from error
            time.sleep(wait_s)
    raise AssertionError


def _reached(address: Address) -> tuple[Any, str]:
    from fsspec.core import url_to_fs
    from fsspec.registry import get_filesystem_class

    scheme = address.text.partition("://")[0]
    try:
        backend = get_filesystem_class(scheme)
    except ValueError as error:
        raise UsageError(f"{address}: no file system is known by {scheme}://") from error
    except ImportError as error:
        raise UsageError(
            f"{address}: {scheme}:// needs a package that is not installed: {_words(error)}"
        ) from error
    # What it logs, tracebacks too, is for those who ask for logs; what it raises is told here.
    logging.getLogger(backend.__module__.partition(".")[0]).addHandler(QUIET)
    files, path = url_to_fs(address.text)
    return files, path


def _words(error: Exception) -> str:
    """Return what a backend says on one line, without what might give credentials away."""
    # The number that s3fs gives an answer of S3 is that of some other fault here.
    said = error.strerror if type(error) is OSError and error.strerror else error
    return shown(" ".join(str(said).split()))[:WORDS_CHARS] or type(error).__name__
