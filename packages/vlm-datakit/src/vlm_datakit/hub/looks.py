"""A look here and there into a file of the Hub that is not whole on this disk: ranges of bytes."""

from __future__ import annotations

import io
import os
from typing import Any

from vlm_datakit.errors import RemoteError
from vlm_datakit.hub.names import Pinned
from vlm_datakit.hub.partial import Partial
from vlm_datakit.hub.trouble import speaking_of, token, tried

_SKIP_BYTES = 64 * 1024
_PARTIAL = 206


class Looks(io.RawIOBase):
    """A file of the Hub, of which each read asks for a range, if it is not among what has come.

    It is held to nothing: for a look only, never for what is committed.

    Args:
        file: What to look into.
        size: In bytes.
        parts: Of it, of which some may be here.
    """

    def __init__(self, file: Pinned, size: int, parts: Partial | None = None) -> None:
        self._file, self._size, self._at = file, size, 0
        self._parts = parts

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte; nothing is asked."""
        self._at = offset + {os.SEEK_CUR: self._at, os.SEEK_END: self._size}.get(whence, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from one answer.

        Raises:
            SourceError, RemoteError: if the Hub gives none, or one that is too short.
        """
        wanted = min(len(buffer), self._size - self._at)
        if wanted <= 0:
            return 0
        data = self._parts.look(self._at, wanted) if self._parts else b""
        if not data:
            with speaking_of(self._file.repo, f"::{self._file.path}"):
                data = tried(lambda: _range(self._file, self._at, wanted))
        if len(data) < wanted:
            words = f"{self._file.path}: ended at byte {self._at + len(data):,}"
            raise RemoteError(words, retryable=True)
        buffer[:wanted] = data
        self._at += wanted
        return wanted


def _range(file: Pinned, start: int, count: int) -> bytes:
    import huggingface_hub

    utils: Any = huggingface_hub.utils  # its stubs name no function as public

    url = huggingface_hub.hf_hub_url(
        file.repo, file.path, repo_type="dataset", revision=file.commit
    )
    headers = utils.build_hf_headers(token=token()) | {
        "Range": f"bytes={start}-{start + count - 1}",
        "Accept-Encoding": "identity",
    }
    # Redirects are followed by httpx2, which takes the token out where the host is another.
    with utils.http_stream_backoff(
        "GET", url, headers=headers, follow_redirects=True, timeout=30
    ) as answer:
        utils.hf_raise_for_status(answer)
        data, skipped = bytearray(), 0 if answer.status_code == _PARTIAL else start
        for piece in answer.iter_bytes(_SKIP_BYTES):
            data += piece[skipped:]
            skipped = max(0, skipped - len(piece))
            if len(data) >= count:
                break
    return bytes(data[:count])
