"""What a walk says of a head that it takes for ordinary is what Pillow says of it, and no less."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import hypothesis.strategies as st
import PIL.Image
from hypothesis import assume, event, given, settings

from vlm_datakit.images.containers import jpeg, png

NOISE = PIL.Image.effect_noise((24, 17), 80)
DEEP = PIL.Image.new("I;16", (5, 6), 999)
TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
OPTIONS: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"comment": b"hello"},
    {"dpi": (72, 72)},
    {"icc_profile": b"ICC" * 50},
    {"exif": TURNED},
    {"subsampling": 0},
    {"restart_marker_rows": 1},
]
# Whole segments and chunks, fill bytes, and bytes that mean something in a marker.
PIECES = [
    *(b"\xff", b"\0", b"\xff\xfe\0\4ab", b"\xff\xdd\0\4\0\1", b"\xff\xdb\0\3\1", b"\xff\xda"),
    *(b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\xff\xe0\0\4ab", b"\xff\xe1\0\2"),
    *(b"\0\0\0\4gAMA\0\0\0\1\0\0\0\0", b"\0\0\0\1tRNS\0\0\0\0\0", b"\0\0\0\0tEXt\0\0\0\0"),
]


def saved(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (NOISE.convert(mode) if mode != "I;16" else DEEP).save(file, kind, **options)
    return file.getvalue()


JPEGS = [saved(mode, "JPEG", **options) for mode in ("L", "RGB", "CMYK") for options in OPTIONS]
PNGS = [
    *[saved(mode, "PNG") for mode in ("L", "RGB", "P", "RGBA", "LA", "1", "I;16")],
    *[saved(mode, "PNG", dpi=(72, 72)) for mode in ("L", "RGB")],
    *[saved(mode, "PNG", exif=TURNED) for mode in ("L", "RGB")],
    *[saved(mode, "PNG", transparency=3) for mode in ("L", "P")],
]


@st.composite
def edited(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draw a file with a few bytes of it changed, put in, taken out or repeated."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(8, min(len(data) - 1, draw(st.sampled_from([40, 200, 700])))))
        how = draw(st.sampled_from(["set", "set", "flip", "put", "cut", "repeat"]))
        if how == "set":
            data[at] = draw(st.sampled_from([0, 1, 3, 4, 8, 64, 254, 255]))
        elif how == "flip":
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "put":
            data[at:at] = draw(st.sampled_from(PIECES))
        elif how == "cut":
            del data[at : at + draw(st.sampled_from([1, 2, 10]))]
        else:
            data[at:at] = data[at : at + 30]
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """Return a PNG with every checksum made anew, as far as its lengths make sense."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return data
        body = data[at + 4 : at + 8 + size]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + size
    return out


def hold_to_pillow(walked: Any, data: bytes, kind: str) -> None:
    if walked.fault is not None or walked.frame is None:
        event("left to Pillow")
        return
    frame = walked.frame
    assume(frame.width_px * frame.height_px < 80_000_000)  # Pillow warns of more
    event("ordinary")
    with PIL.Image.open(io.BytesIO(data), "r", [kind]) as image:
        assert image.size == (frame.width_px, frame.height_px)
        assert image.mode == frame.mode
        assert bool(image.info.get("progressive")) == frame.is_progressive
        assert not image.has_transparency_data
        assert not PIL.Image.Image.getexif(image)
        assert not getattr(image, "is_animated", False)
        assert image.format == kind


@given(edited(JPEGS))
@settings(max_examples=400)
def test_a_head_that_was_seen_before_says_what_it_says_when_walked(data: bytes) -> None:
    comment = b"\xff\xfe\x09\0" + b"-" * (0x900 - 2)  # no scan is looked for behind so much

    seen, walked = jpeg.walk(data), jpeg.walk(data[:2] + comment + data[2:])

    assert seen._replace(fault=None) == walked._replace(fault=None)
    assert (seen.fault is None) == (walked.fault is None)


@given(edited(JPEGS))
@settings(max_examples=1_500)
def test_of_a_jpeg(data: bytes) -> None:
    hold_to_pillow(jpeg.walk(data), data, "JPEG")


@given(edited(PNGS), st.booleans())
@settings(max_examples=1_500)
def test_of_a_png(data: bytes, mended: bool) -> None:
    assume(data.startswith(b"\x89PNG\r\n\x1a\n"))
    data = with_checksums(data) if mended else data
    hold_to_pillow(png.walk(data), data, "PNG")


def test_the_usual_files_are_ordinary_and_the_others_are_not() -> None:
    ordinary = {mode: jpeg.walk(saved(mode, "JPEG")).frame for mode in ("L", "RGB", "CMYK")}
    pngs = {mode: png.walk(saved(mode, "PNG")).frame for mode in ("L", "RGB", "P", "RGBA")}

    assert {mode for mode, frame in ordinary.items() if frame} == {"L", "RGB"}
    assert {mode for mode, frame in pngs.items() if frame} == {"L", "RGB"}
    assert jpeg.walk(saved("RGB", "JPEG", exif=TURNED)).frame is None
    assert png.walk(saved("L", "PNG", transparency=3)).frame is None
