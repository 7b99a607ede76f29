"""Sources that lie elsewhere: addresses such as s3://bucket/rows.jsonl, read through fsspec.

Each backend raises errors of its own and of the libraries below it; whatever comes from there
becomes one `SourceError` here. Credentials are the backend's business, which finds them in the
environment: an address that holds some is refused, since addresses are shown and stored.
"""

from __future__ import annotations

import io
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from typing import IO, Any

from vlm_datakit.errors import SourceError, UsageError
from vlm_datakit.globs import is_pattern
from vlm_datakit.hub.names import pinned
from vlm_datakit.images.resolver import without_secrets
from vlm_datakit.plan import SourceFile

_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.:_-]+)://(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_LOCAL = "file"
_WEB = frozenset({"ftp", "http", "https"})
_WRAPPERS = frozenset(
    {"async_wrapper", "asyncwrapper", "blockcache", "cached", "data", "dir", "filecache"}
    | {"generic", "libarchive", "reference", "simplecache", "tar", "zip"}
)
_EXTRAS = {"gcs": "gcs", "gs": "gcs", "s3": "s3", "s3a": "s3"}  # of our own pyproject.toml
# A password may hold a slash. A query may be a signature; so may a fragment, mistyped.
_CREDENTIALS = re.compile(r"[^/@]*:.*@|.*[?#]", re.DOTALL)
_URL, _QUERY = re.compile(r"\w+://\S+"), re.compile(r"\?\S+")
_QUIET = logging.NullHandler()  # Python prints warnings where nobody listens at all
_WORDS_CHARS = 160  # of what a backend says; some quote whole answers
#: What backends call that by which they tell versions of a file apart, surest first.
_ETAGS = (
    *("ETag", "etag", "blob_id", "sha"),
    *("LastModified", "last_modified", "mtime", "modificationTime"),
    "created",  # all that a file system in memory knows; a new version is a new file there
)


def is_address(name: str) -> bool:
    """Whether a name is an address of another file system; ``file://`` is this machine's.

    Example:
        >>> is_address("s3://bucket/rows.jsonl"), is_address("file:///rows.jsonl")
        (True, False)
    """
    parts = _ADDRESS.fullmatch(name)
    return parts is not None and parts["scheme"].lower() != _LOCAL


def check_address(address: str) -> None:
    """Hold an address to what may be read, and what may be shown.

    Raises:
        UsageError: for the web, for one file system inside another (``::``), and for a
            password, a query or a fragment.
    """
    scheme, shown = address.partition("://")[0].lower(), without_secrets(address)
    if scheme in _WEB:
        raise UsageError(
            f"{shown}: {scheme}:// is not read as a source; download it in a pipe: "
            "curl ADDRESS | vlm-datakit ... -"
        )
    if "::" in address or scheme in _WRAPPERS:
        raise UsageError(f"{shown}: one file system inside another is not read as a source")
    if _CREDENTIALS.match(address.partition("://")[2]):
        raise UsageError(
            f"{shown}: an address has no password, no query (?) and no fragment (#) here; "
            "backends find credentials in the environment"
        )


def check_output(place: str) -> None:
    """Hold what will be written to lie on a disk; as a path an address would be a strange folder.

    Raises:
        UsageError: for an address, ``file://`` as well.
    """
    if _ADDRESS.fullmatch(place):
        shown = without_secrets(place)
        raise UsageError(f"{shown}: an address is only read from; write to a path on a disk")


def trimmed(address: str) -> str:
    """Return an address without slashes at its end, and its scheme in lower case.

    Example:
        >>> trimmed("s3://bucket/set/")
        's3://bucket/set'
    """
    scheme, _, rest = address.partition("://")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def relative_names(addresses: Iterable[str]) -> dict[str, str]:
    """Return what the rows of each file are known by: addresses below their common parent.

    Each scheme has a parent of its own; users are left out.

    Example:
        >>> relative_names(["s3://bucket/set/a.jsonl", "s3://bucket/set/more/b.jsonl"])
        {'s3://bucket/set/a.jsonl': 'a.jsonl', 's3://bucket/set/more/b.jsonl': 'more/b.jsonl'}
    """
    schemes: dict[str, dict[str, list[str]]] = {}
    for address in addresses:
        shown = address if pinned(address) is not None else without_secrets(address)
        scheme, _, path = shown.partition("://")
        schemes.setdefault(scheme, {})[address] = path.split("/")
    names: dict[str, str] = {}
    for paths in schemes.values():
        levels = zip(*(path[:-1] for path in paths.values()), strict=False)
        shared = len([*takewhile(lambda level: len({*level}) == 1, levels)])
        names |= {address: "/".join(path[shared:]) for address, path in paths.items()}
    return names


def names_in(address: str) -> list[str] | None:
    """Return the names of the files that lie directly in a folder, sorted; None: no folder.

    Raises:
        UsageError, SourceError: as `identity_at`.
    """
    file_system, path, shown = _reached(address)
    with _speaking_of(shown):
        if file_system.info(path)["type"] != "directory":
            return None
        entries = file_system.ls(path, detail=True)
    return sorted(entry["name"].rpartition("/")[2] for entry in entries if _is_file(entry))


def identity_at(address: str) -> tuple[int, str]:
    """Return size in bytes and etag of a file, as they are now.

    Raises:
        UsageError: for a scheme that is unknown, or whose package is not installed.
        SourceError: if it is missing, no file, out of reach, or of a file system that tells
            nothing by which a change could be seen.
    """
    file_system, path, shown = _reached(address)
    with _speaking_of(shown):
        file_system.invalidate_cache()  # of listings
        info = file_system.info(path)
    if not _is_file(info):
        raise SourceError(f"{shown}: not a file")
    etags = (str(info[key]).strip('"') for key in _ETAGS if info.get(key) is not None)
    size, etag = info.get("size"), next(etags, None)
    if not isinstance(size, int) or not etag:
        raise SourceError(f"{shown}: its size or version is not told, so no change could be seen")
    return size, etag


def open_remote(file: SourceFile, end: int | None, piece_bytes: int) -> IO[bytes]:
    """Open a file that lies elsewhere, at its head; whoever calls closes it.

    Args:
        file: Whose path is an address.
        end: Where the stream ends, at most; nothing behind it is transferred. None: at the
            size that the plan states.
        piece_bytes: How much is asked for at once.

    Raises:
        UsageError, SourceError: as `identity_at`; `SourceError` from reading as well, also if
            the bytes end before their time.
    """
    file_system, path, _ = _reached(file.path)
    with _speaking_of(file.name):
        # No cache of fsspec's: the buffer is one, and none of theirs stops at the end of a slice.
        stream = file_system.open(path, "rb", cache_type="none")
    size = file.size_bytes or 0
    extent = _Extent(stream, file.name, size if end is None else min(end, size))
    return io.BufferedReader(extent, piece_bytes)


def _reached(address: str) -> tuple[Any, str, str]:
    """Return the file system of an address, the path in it, and how to spell it in an error."""
    from fsspec.core import url_to_fs
    from fsspec.registry import get_filesystem_class

    check_address(address)
    scheme, shown = address.partition("://")[0], without_secrets(address)
    try:
        backend = get_filesystem_class(scheme)
    except ValueError as error:
        raise UsageError(f"{shown}: no file system is known by {scheme}://") from error
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        cure = f"pip install 'vlm-datakit[{extra}]'" if extra else _words(error)
        missing = f"{scheme}:// needs a package that is not there ({error.__cause__ or error})"
        raise UsageError(f"{shown}: {missing}: {cure}") from error
    # What it logs, tracebacks too, is for those who ask for logs; what it raises is told here.
    logging.getLogger(backend.__module__.partition(".")[0]).addHandler(_QUIET)
    with _speaking_of(shown):
        file_system, path = url_to_fs(address)
    return file_system, path, shown


def _is_file(info: Mapping[str, Any]) -> bool:
    return info.get("type") == "file"


@contextmanager
def _speaking_of(shown: str) -> Iterator[None]:
    """Turn whatever a backend raises inside into a `SourceError`: for calls of fsspec's alone."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"{shown}: no such file{_more(error, shown)}") from error
    except PermissionError as error:
        raise SourceError(f"{shown}: no permission: {_words(error)}") from error
    except Exception as error:
        raise SourceError(f"{shown}: cannot be read: {_words(error)}") from error


def _more(error: FileNotFoundError, shown: str) -> str:
    """Return what may explain that a file is missing: a bucket that is, or a pattern."""
    if is_pattern(shown):
        return ": wildcards are read in the last name alone"
    words = _words(error)
    is_sentence = " " in words and shown.rpartition("/")[2] not in words
    return f": {words}" if is_sentence else ""


def _words(error: Exception) -> str:
    """Return what a backend says on one line, without what addresses in it might give away."""
    # The number that s3fs gives an answer of S3 is that of some other fault here.
    said = error.strerror if type(error) is OSError and error.strerror else error
    text = _URL.sub(lambda url: without_secrets(url[0]), " ".join(f"{said}".split()))
    return _QUERY.sub("", text)[:_WORDS_CHARS] or type(error).__name__


class _Extent(io.RawIOBase):
    """A stream of another file system up to an end, whose errors are ours.

    Args:
        stream: What fsspec opened; closed with this.
        name: Of the source, for errors.
        end: In bytes.
    """

    def __init__(self, stream: Any, name: str, end: int) -> None:
        self._stream, self._name, self._end = stream, name, end
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte, from the head, from here or from the end; nothing is transferred."""
        self._at = offset + {os.SEEK_CUR: self._at, os.SEEK_END: self._end}.get(whence, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the bytes come.

        Raises:
            SourceError: whatever happens, also if the bytes end too early.
        """
        wanted = min(len(buffer), self._end - self._at)
        if wanted <= 0:
            return 0
        with _speaking_of(self._name):
            self._stream.seek(self._at)
            data = self._stream.read(wanted)
        if not data:
            raise SourceError(f"{self._name}: ended at byte {self._at:,} of {self._end:,}")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the stream below."""
        if not self.closed:
            with _speaking_of(self._name):
                self._stream.close()
        super().close()
