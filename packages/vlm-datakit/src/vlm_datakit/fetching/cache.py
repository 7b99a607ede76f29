"""Fetched pictures on the disk, so that a run killed or refused fetches none of them twice.

``urls/`` has a file for each URL, named by the hash of the URL and holding the hash of the
picture; ``content/`` has each picture once. Nothing here is trusted: what does not hash to
its name is not there.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vlm_datakit.fetching.bodies import Write

_DIGEST = re.compile(r"[0-9a-f]{64}")


class FetchCache:
    """The pictures below one folder; safe for the threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._urls, self._content = folder / "urls", folder / "content"
        for place in (self._urls, self._content):
            place.mkdir(parents=True, exist_ok=True)
            for leftover in place.glob(".*"):  # of a run that was killed
                leftover.unlink()

    def has(self, url: str) -> bool:
        """Whether a picture seems to be there; `read` looks at its bytes."""
        return self._picture(url) is not None

    def read(self, url: str, max_bytes: int) -> bytes | None:
        """Return a picture; None if it is not there, is broken, or is over the limit."""
        path = self._picture(url)
        if path is None or path.stat().st_size > max_bytes:
            return None
        data = path.read_bytes()
        return data if hashlib.sha256(data).hexdigest() == path.name else None

    def forget(self, url: str) -> None:
        """Let a URL be fetched anew, though its picture seemed to be there."""
        if (path := self._picture(url)) is not None:
            path.unlink(missing_ok=True)
        self._entry(url).unlink(missing_ok=True)

    @contextmanager
    def adding(self, url: str) -> Iterator[Write]:
        """Yield what takes the bytes of a picture; it is there when the block ends well."""
        digest = hashlib.sha256()
        with _settled(self._content, digest.hexdigest) as write:

            def both(piece: bytes) -> None:
                digest.update(piece)
                write(piece)

            yield both
        entry = self._entry(url)
        with _settled(self._urls, lambda: entry.name) as write:
            write(digest.hexdigest().encode())

    def _entry(self, url: str) -> Path:
        return self._urls / hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()

    def _picture(self, url: str) -> Path | None:
        try:
            name = self._entry(url).read_text()
        except (FileNotFoundError, UnicodeDecodeError):
            return None
        path = self._content / name
        return path if _DIGEST.fullmatch(name) and path.is_file() else None


@contextmanager
def _settled(folder: Path, name: Callable[[], str]) -> Iterator[Write]:
    """Write a file under a dot-name; it gets its own when the block ends well.

    Not synced to the disk: after a power cut its hash is wrong, and it is fetched anew.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        path = Path(file.name)
        try:
            yield file.write
            file.flush()
            path.rename(folder / name())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
