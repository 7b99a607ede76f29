"""The walk over a JPEG: from marker to marker, through every scan, to the end marker.

Source:
    ITU-T T.81: annex B (markers and segments), F.1.2 (each Huffman code has a bit or more).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache

from vlm_datakit.images.containers.walk import Broken, Endless, Frame, Walk, broken, part

_HEAD = struct.Struct(">BBH")  # 0xff, the marker, the size of the segment behind it
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # any number of fill bytes may stand before it
# Inside a scan 0xff is followed by 0x00 (stuffing) or a restart marker, else the scan ends.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EOI, _SOS, _DHT, _DQT, _DRI, _APP0, _COM = 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE0, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}  # SOF0 to SOF15
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # Huffman-coded, 8 or 12 bits
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a body: none may stand here
# A real file has tens of segments; profiles and previews may take 255 each. Pillow joins
# Exif segments in quadratic time, and decoders pass over all pixels for every scan.
_MAX_SEGMENTS, _MAX_SCANS = 1_000, 64
_WITH_BODY = frozenset(range(0x02, 0xFF)) - _BARE - {_EOI}
_END = b"\xff\xd9"
_SCAN, _HEAD_BYTES = b"\xff\xda", 2048  # where the first scan is looked for
_MODES = {1: "L", 3: "RGB"}
_TABLE_BYTES = 65  # of a quantization table of 8 bits, with its number


@dataclass(slots=True)
class _Found:
    """What stands in a file: frame headers, scans with the bytes of their pixels, tables.

    ``is_ordinary`` is whether nothing else that changes size, mode or turn stands before the
    first scan: no Exif, profile or transform, and nothing that Pillow refuses.
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list)  # marker and body
    scans: int = 0
    scan_bytes: int = 0
    has_tables: bool = False
    is_ordinary: bool = True


def walk(data: bytes) -> Walk:
    r"""Walk a JPEG; bytes behind its end (previews, a phone's video) are let be.

    Example:
        >>> walk(b"\xff\xd8\xff\xd9").fault
        'no picture before the end marker'
    """
    try:
        return _walk_of_one_scan(data) or _judged(_walked(data))
    except Broken as fault:
        return broken(fault)


def _walk_of_one_scan(data: bytes) -> Walk | None:
    """Return the walk of a file with nothing behind its first scan, if that is long enough."""
    scan = data.find(_SCAN, 0, _HEAD_BYTES)
    size = int.from_bytes(data[scan + 2 : scan + 4], "big")
    if scan < 0 or size < 2 or (known := _known(data[: scan + 2 + size], scan)) is None:
        return None
    start, least_bytes, walked = known
    end = _SCAN_END.search(data, start)
    if end is None or not data.startswith(_END, at := end.start()):
        return None
    return walked if at - start >= least_bytes else None


@lru_cache(maxsize=64)  # pictures of one size from one encoder begin with the same bytes
def _known(start: bytes, scan: int) -> tuple[int, int, Walk] | None:
    """Return what is known of a file by its bytes up to the pixels of its first scan.

    Args:
        start: These bytes.
        scan: Where in them the scan's segment begins, if it is not inside another one.

    Returns:
        How many they are, how many bytes of pixels there must be at least, and the walk if there
        are, and nothing behind them; None if it takes more to know.
    """
    if _head(start[:scan]) is None:
        return None
    try:
        found = _walked(start + _END)
        found.scan_bytes = _least_bytes(*_frame(found.frames))
        return len(start), found.scan_bytes, _judged(found)
    except Broken:
        return None


def _judged(found: _Found) -> Walk:
    marker, head = _frame(found.frames)
    if found.scan_bytes < _least_bytes(marker, head):
        raise Broken(f"pixels are missing: {found.scan_bytes} bytes for {_blocks(head):,} blocks")
    is_common = marker in (*_SEQUENTIAL, _PROGRESSIVE)
    is_proof = is_common and found.has_tables and found.scans > 0
    is_ordinary = is_proof and found.is_ordinary
    return Walk(is_proof=is_proof, frame=_ordinary(marker, head) if is_ordinary else None)


def _walked(data: bytes) -> _Found:
    found, at = _Found(), 2
    first_scan = data.find(_SCAN, 0, _HEAD_BYTES)
    if first_scan > 0 and (head := _head(data[:first_scan])) is not None:
        found = _Found([*head.frames], 0, 0, head.has_tables, head.is_ordinary)
        at = first_scan
    for _ in range(_MAX_SEGMENTS):
        marker, start, end = _segment(data, at)
        at = end
        if marker == _SOS:
            found.scans += 1
            at = _scan_end(data, end)
            found.scan_bytes += at - end
            if found.scans > _MAX_SCANS:
                raise Endless(f"over {_MAX_SCANS} scans")
            if data.startswith(_END, at):
                return found
        elif marker == _EOI:
            return found
        else:
            _note(found, data, (marker, start, end))
    raise Endless(f"over {_MAX_SEGMENTS:,} segments")


@lru_cache(maxsize=64)  # pictures of one size from one encoder begin with the same bytes
def _head(data: bytes) -> _Found | None:
    """Return what stands before the first scan; None unless segments end where the bytes do."""
    found, at = _Found(), 2
    try:
        while at < len(data):
            marker, start, at = _segment(data, at)
            if marker in (_SOS, _EOI):
                return None
            _note(found, data, (marker, start, at))
    except Broken:
        return None
    return found


def _note(found: _Found, data: bytes, segment: tuple[int, int, int]) -> None:
    """Note what a segment says that is no scan."""
    marker, start, end = segment
    if marker == _DHT:
        found.has_tables = True
    elif marker in _FRAMES:
        found.frames.append((marker, data[start:end]))
        found.is_ordinary &= not found.scans
    elif found.is_ordinary and not found.scans:
        found.is_ordinary = _says_nothing(data, marker, start, end - start)


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the marker of the segment at a place, and where its body starts and ends."""
    if at + _HEAD.size <= len(data):
        sign, marker, size = _HEAD.unpack_from(data, at)
        end = at + 2 + size
        if sign == 0xFF and marker in _WITH_BODY and size >= 2 and end <= len(data):
            return marker, at + _HEAD.size, end
    return _strange_segment(data, at)


def _strange_segment(data: bytes, at: int) -> tuple[int, int, int]:
    found = _MARKER.match(data, at)
    if found is None:
        where = "cut short" if at >= len(data) - 1 else f"no marker at byte {at}"
        raise Broken(f"{where}, and no end marker before")
    marker, at = found[1][0], found.end()
    if marker == _EOI:
        return marker, at, at
    if marker in _BARE:
        raise Broken(f"marker 0x{marker:02x} at byte {at}, where none may stand")
    size = int.from_bytes(part(data, at, 2), "big")
    part(data, at + 2, max(0, size - 2))
    return marker, at + 2, at + max(2, size)


def _scan_end(data: bytes, start: int) -> int:
    found = _SCAN_END.search(data, start)
    if found is None:
        raise Broken("cut short inside its pixels: no end marker")
    return found.start()


def _frame(frames: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Return the marker and the body of the one frame header."""
    if not frames:
        raise Broken("no picture before the end marker")
    if len(frames) > 1:
        raise Broken(f"{len(frames)} frame headers")
    marker, body = frames[0]
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise Broken("a frame header that is cut short")
    return marker, body


def _says_nothing(data: bytes, marker: int, start: int, size: int) -> bool:
    """Whether a segment changes neither size, mode nor turn, and is as it should be."""
    if marker == _DQT:
        numbers = data[start : start + size : _TABLE_BYTES]
        return size % _TABLE_BYTES == 0 and max(numbers, default=0) < 16
    if marker == _APP0:
        return size == 14 and data.startswith(b"JFIF\0", start)
    return marker in (_DRI, _COM)


@lru_cache(maxsize=64)
def _ordinary(marker: int, head: bytes) -> Frame | None:
    """Return what a frame header says, if it is of a kind that Pillow opens (13.0)."""
    depth, height, width, channels = struct.unpack_from(">BHHB", head)
    is_known = depth == 8 and channels in _MODES and len(head) == 6 + 3 * channels
    if not (is_known and width and height):
        return None
    return Frame(width, height, _MODES[channels], is_progressive=marker == _PROGRESSIVE)


def _least_bytes(marker: int, head: bytes) -> int:
    """Return the least that the coded pixels of a frame can take.

    A cut file that was given an end marker decodes to grey without an error. A block takes
    two bits or more (its average and its end), in progressive files one bit.
    """
    if marker not in (*_SEQUENTIAL, _PROGRESSIVE):
        return 0
    bits = 2 if marker in _SEQUENTIAL else 1
    return -(-_blocks(head) * bits // 8)


@lru_cache(maxsize=64)
def _blocks(frame: bytes) -> int:
    """Return how many 8 x 8 blocks a frame has at least, over all components."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    factors = [frame[7 + 3 * n] for n in range(frame[5])]
    across = max((factor >> 4 for factor in factors), default=1) or 1
    down = max((factor & 15 for factor in factors), default=1) or 1
    return sum(
        (width * (factor >> 4) // (8 * across)) * (height * (factor & 15) // (8 * down))
        for factor in factors
    )
