"""Picture files that rows name: read only inside the roots, and only if they are files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vlm_datakit.errors import Reason, RowError, quoted

_PATH_CHARS = 3 * 4096  # PATH_MAX of Linux, percent-coded: what is longer is no path
_NAME_MAX = 255  # bytes in a file name on Linux (limits.h); a path is rarely longer


def read_image_file(name: str, roots: Sequence[Path], max_bytes: int, where: str) -> bytes:
    """Read a picture file that a row names.

    A relative name is tried against each root in order. ``..``, symbolic links and
    ``file://`` are resolved first; what they lead to must lie inside one of the roots.

    Args:
        name: The text of the row: a path or a ``file://`` URI.
        roots: Folders that may be read, already resolved. None of them: nothing is read.
        max_bytes: Largest size, judged before reading.
        where: JSON path of the value, for the error.

    Raises:
        RowError: ``image-file-missing``, ``image-outside-root``, ``image-not-a-file`` (a
            folder, a device, a pipe), ``image-too-large``, ``image-unreadable`` (no
            permission).

    Source:
        RFC 8089 (file URIs).
    """
    if len(name) > _PATH_CHARS:
        raise _missing(name, roots, where)
    path = _found(_as_path(name, where), roots, where)
    if path.is_relative_to("/proc") or path.is_relative_to("/sys"):  # files in name only
        raise RowError(Reason.IMAGE_NOT_A_FILE, where, quoted(name))
    return _regular_file(path, name, max_bytes, where)


def _regular_file(path: Path, name: str, max_bytes: int, where: str) -> bytes:
    """Read a file, judged by what was opened and not by what its name led to before."""
    descriptor = _opened(path, name, where)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RowError(Reason.IMAGE_NOT_A_FILE, where, quoted(name))
        if status.st_size > max_bytes:
            raise RowError(Reason.IMAGE_TOO_LARGE, where, f"{status.st_size} bytes")
        with os.fdopen(descriptor, "rb", closefd=False) as file:  # it refuses a folder itself
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:  # it grew meanwhile
            raise RowError(Reason.IMAGE_TOO_LARGE, where, f"over {max_bytes} bytes")
        return data
    finally:
        os.close(descriptor)


def _opened(path: Path, name: str, where: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hang
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket cannot even be opened
            raise RowError(Reason.IMAGE_NOT_A_FILE, where, quoted(name)) from error
        seen = f"{error.strerror}: {quoted(name)}"
        raise RowError(Reason.IMAGE_UNREADABLE, where, seen) from error


def _as_path(name: str, where: str) -> Path:
    if name[:7].lower() != "file://":
        return Path(name)
    try:
        parts = urlsplit(name)
    except ValueError as error:  # a bracket that is no IPv6 host
        raise _missing(name, (), where) from error
    if parts.netloc not in ("", "localhost"):
        raise RowError(Reason.IMAGE_OUTSIDE_ROOT, where, quoted(name))
    return Path(unquote(parts.path))


def _found(path: Path, roots: Sequence[Path], where: str) -> Path:
    is_outside = path.is_absolute() and bool(roots) is False
    for root in roots:
        try:
            real = (root / path).resolve(strict=True)
        except (OSError, RuntimeError, ValueError):  # missing, too long, a loop of links, NUL
            continue
        if any(real.is_relative_to(allowed) for allowed in roots):
            return real
        is_outside = True
    if is_outside:
        raise RowError(Reason.IMAGE_OUTSIDE_ROOT, where, _shown(str(path)))
    raise _missing(str(path), roots, where)


def _missing(name: str, roots: Sequence[Path], where: str) -> RowError:
    """Return the refusal of a text that is neither of the two things it may be."""
    looked = f"no file below {len(roots)} root{'s' * (len(roots) != 1)}" if roots else "no file"
    seen = f"{_shown(name)}: {looked}, nor base64 of a picture"
    return RowError(Reason.IMAGE_FILE_MISSING, where, seen)


def _shown(name: str) -> str:
    """Spell a name that no file has; what is too long for one may be the body of a picture."""
    return quoted(name) if len(name) <= _NAME_MAX else f"{len(name)} characters"
