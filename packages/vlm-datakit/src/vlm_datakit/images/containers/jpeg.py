"""The walk over a JPEG: from marker to marker, through every scan, to the end marker.

Source:
    ITU-T T.81: annex B (markers and segments), F.1.2 (each Huffman code has a bit or more).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vlm_datakit.images.containers.walk import Broken, Endless, Walk, broken, part

_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # any number of fill bytes may stand before it
# Inside a scan 0xff is followed by 0x00 (stuffing) or a restart marker, else the scan ends.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_EOI, _SOS, _DHT = 0xD9, 0xDA, 0xC4
_FRAMES = frozenset(range(0xC0, 0xD0)) - {_DHT, 0xC8, 0xCC}  # SOF0 to SOF15
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2  # Huffman-coded, 8 or 12 bits
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a body: none may stand here
# A real file has tens of segments; profiles and previews may take 255 each. Pillow joins
# Exif segments in quadratic time, and decoders pass over all pixels for every scan.
_MAX_SEGMENTS, _MAX_SCANS = 1_000, 64


class _Segment(NamedTuple):
    marker: int
    body: memoryview
    scan_bytes: int  # coded pixels behind it; 0 unless it starts a scan


def walk(data: bytes) -> Walk:
    r"""Walk a JPEG; bytes behind its end (previews, a phone's video) are let be.

    Example:
        >>> walk(b"\xff\xd8\xff\xd9").fault
        'no picture before the end marker'
    """
    try:
        segments = list(_segments(data))
        frame = _frame(segments)
        scans = [segment.scan_bytes for segment in segments if segment.marker == _SOS]
        _check_amount(frame, sum(scans))
    except Broken as fault:
        return broken(fault)
    has_tables = any(segment.marker == _DHT for segment in segments)
    is_common = frame.marker in (*_SEQUENTIAL, _PROGRESSIVE)
    return Walk(is_proof=is_common and has_tables and bool(scans))


def _segments(data: bytes) -> Iterator[_Segment]:
    at, scans = 2, 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.match(data, at)
        if found is None:
            where = "cut short" if at >= len(data) - 1 else f"no marker at byte {at}"
            raise Broken(f"{where}, and no end marker before")
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            return
        if marker in _BARE:
            raise Broken(f"marker 0x{marker:02x} at byte {at}, where none may stand")
        size = int.from_bytes(part(data, at, 2), "big")
        body = part(data, at + 2, max(0, size - 2))
        start = at = at + max(2, size)
        if marker == _SOS:
            scans += 1
            at = _scan_end(data, start)
        if scans > _MAX_SCANS:
            raise Endless(f"over {_MAX_SCANS} scans")
        yield _Segment(marker, body, at - start)
    raise Endless(f"over {_MAX_SEGMENTS:,} segments")


def _scan_end(data: bytes, start: int) -> int:
    found = _SCAN_END.search(data, start)
    if found is None:
        raise Broken("cut short inside its pixels: no end marker")
    return found.start()


def _frame(segments: list[_Segment]) -> _Segment:
    frames = [segment for segment in segments if segment.marker in _FRAMES]
    if not frames:
        raise Broken("no picture before the end marker")
    if len(frames) > 1:
        raise Broken(f"{len(frames)} frame headers")
    if len(frames[0].body) < 6 + 3 * frames[0].body[5]:
        raise Broken("a frame header that is cut short")
    return frames[0]


def _check_amount(frame: _Segment, scan_bytes: int) -> None:
    """Hold the coded pixels to the least that so many blocks can take.

    A cut file that was given an end marker decodes to grey without an error. A block takes
    two bits or more (its average and its end), in progressive files one bit.
    """
    if frame.marker not in (*_SEQUENTIAL, _PROGRESSIVE):
        return
    bits = 2 if frame.marker in _SEQUENTIAL else 1
    blocks = _blocks(frame.body)
    if scan_bytes * 8 < blocks * bits:
        raise Broken(f"pixels are missing: {scan_bytes} bytes for {blocks:,} blocks")


def _blocks(frame: memoryview) -> int:
    """Return how many 8 x 8 blocks a frame has at least, over all components."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    factors = [frame[7 + 3 * n] for n in range(frame[5])]
    across = max((factor >> 4 for factor in factors), default=1) or 1
    down = max((factor & 15 for factor in factors), default=1) or 1
    return sum(
        (width * (factor >> 4) // (8 * across)) * (height * (factor & 15) // (8 * down))
        for factor in factors
    )
