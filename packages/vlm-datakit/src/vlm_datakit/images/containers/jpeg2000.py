"""The walk over a JPEG 2000 file: from box to box to the end of the codestream.

Source:
    ISO/IEC 15444-1: annexes A.4.4 (end of codestream) and I.4 (boxes).
"""

from __future__ import annotations

from vlm_datakit.images.containers.walk import Walk

_CODESTREAM, _END = b"\xff\x4f", b"\xff\xd9"
_MAX_BOXES = 1_000


def walk(data: bytes) -> Walk:
    """Walk a JPEG 2000 file or a bare codestream; what it holds only decoding tells.

    The decoder fills in what a cut took away, so the end marker is looked for here.
    """
    is_whole = data.endswith(_END) if data.startswith(_CODESTREAM) else _has_whole_stream(data)
    return Walk(None if is_whole else "the codestream has no end", is_proof=False)


def _has_whole_stream(data: bytes) -> bool:
    at = 0
    for _ in range(_MAX_BOXES):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + size if size else len(data)
        if kind == b"jp2c" or end <= at or end > len(data):
            return kind == b"jp2c" and end <= len(data) and data[:end].endswith(_END)
        at = end
    return False
