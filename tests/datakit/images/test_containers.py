"""A container says itself where it ends: cuts, wrong lengths and bad checksums are found."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import PIL.Image
import pytest

from vlm_datakit.images.containers import gif, jpeg, jpeg2000, png, webp
from vlm_datakit.images.containers.walk import Frame, Walk

Saved = Callable[..., bytes]
PICTURE = PIL.Image.effect_noise((40, 30), 90)
WALKS = {"JPEG": jpeg.walk, "PNG": png.walk, "WEBP": webp.walk, "GIF": gif.walk}
KINDS = [
    pytest.param("JPEG", {}, id="JPEG"),
    pytest.param("JPEG", {"progressive": True}, id="progressive JPEG"),
    pytest.param("JPEG", {"restart_marker_rows": 1}, id="JPEG with restarts"),
    pytest.param("PNG", {}, id="PNG"),
    pytest.param("WEBP", {"quality": 90}, id="WebP"),
    pytest.param("WEBP", {"lossless": True}, id="lossless WebP"),
    pytest.param("WEBP", {"exif": b"Exif\0\0II*\0"}, id="WebP with Exif"),
    pytest.param("GIF", {}, id="GIF"),
]


def jpeg_of(*parts: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def frame(width: int = 8, height: int = 8, marker: int = 0xC0) -> bytes:
    return segment(marker, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")


SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x55"


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_whole_file_has_no_fault(saved: Saved, kind: str, options: dict[str, object]) -> None:
    data = saved(PICTURE, kind, **options)

    walked = WALKS[kind](data)._replace(frame=None)
    assert walked == Walk(canvas=(40, 30) if kind == "WEBP" else None)
    assert WALKS[kind](data + b"a phone's video").fault is None


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_every_cut_is_a_fault(saved: Saved, kind: str, options: dict[str, object]) -> None:
    data = saved(PICTURE, kind, **options)
    last = len(data) - (1 if kind == "GIF" else 0)  # many a GIF lacks its last byte

    whole = [cut for cut in range(12, last) if WALKS[kind](data[:cut]).fault is None]

    assert whole == []


def test_a_flipped_bit_anywhere_in_a_png_is_a_fault(saved: Saved) -> None:
    data = saved(PICTURE.resize((8, 6)), "PNG")

    for at in range(8, len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 4
        assert png.walk(bytes(flipped)).fault is not None, at


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(jpeg_of(frame(), SCAN), None, id="the smallest"),
        pytest.param(jpeg_of(frame()), "pixels are missing: 0 bytes for 1 blocks", id="no scan"),
        pytest.param(jpeg_of(SCAN), "no picture before the end marker", id="no frame"),
        pytest.param(jpeg_of(frame(), frame(), SCAN), "2 frame headers", id="two frames"),
        pytest.param(
            jpeg_of(frame(800, 800), SCAN),
            "pixels are missing: 1 bytes for 10,000 blocks",
            id="a cut that was given an end",
        ),
        pytest.param(
            jpeg_of(b"\xff\xd0", frame(), SCAN),
            "marker 0xd0 at byte 4, where none may stand",
            id="a restart outside a scan",
        ),
        pytest.param(jpeg_of(b"junk"), "no marker at byte 2, and no end marker before", id="junk"),
        pytest.param(
            jpeg_of(segment(0xC0, b"\x08\0\x08\0\x08\x03"), SCAN),
            "a frame header that is cut short",
            id="components without a body",
        ),
        pytest.param(jpeg_of(b"\xff\xff\xff", frame(), SCAN), None, id="fill bytes"),
        pytest.param(jpeg_of(segment(0xE1, b""), frame(), SCAN), None, id="an empty segment"),
    ],
)
def test_markers_stand_where_the_standard_has_them(data: bytes, fault: str | None) -> None:
    assert jpeg.walk(data).fault == fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        pytest.param(jpeg_of(segment(0xE1, b"Exif") * 1_001), "over 1,000 segments", id="segments"),
        pytest.param(jpeg_of(frame(), SCAN * 65), "over 64 scans", id="scans"),
        pytest.param(
            b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"") * 100_001, "over 100,000 chunks", id="PNG"
        ),
        pytest.param(
            b"RIFF" + (4 + 8 * 100_001).to_bytes(4, "little") + b"WEBP" + bytes(8 * 100_001),
            "over 100,000 chunks",
            id="WebP",
        ),
    ],
)
def test_parts_without_end_are_not_for_pillow(data: bytes, fault: str) -> None:
    walk = {0xFF: jpeg.walk, 0x89: png.walk, 0x52: webp.walk}[data[0]]

    assert walk(data) == Walk(fault, is_endless=True)


@pytest.mark.parametrize("marker", [0xC3, 0xC9, 0xCA, 0xCB])
def test_rare_codings_are_left_to_the_decoder(marker: int) -> None:
    tables = segment(0xC4, bytes(17))

    assert jpeg.walk(jpeg_of(tables, frame(marker=marker), SCAN)) == Walk(is_proof=False)
    assert jpeg.walk(jpeg_of(tables, frame(), SCAN)) == Walk(frame=Frame(8, 8, "L"))


def test_previews_behind_a_photo_are_let_be(saved: Saved) -> None:
    data = saved(PICTURE, "MPO", save_all=True, append_images=[PICTURE])

    assert jpeg.walk(data) == Walk()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_frames_are_counted(saved: Saved, kind: str) -> None:
    others = [PIL.Image.effect_noise((40, 30), 90) for _ in range(2)]

    data = saved(PICTURE, kind, save_all=True, append_images=others)

    assert WALKS[kind](data).frames == 3


@pytest.mark.parametrize("name", [b"eXIf", b"tEXt", b"iTXt"])
def test_the_head_of_a_tagged_png_has_all_but_its_pixels(saved: Saved, name: bytes) -> None:
    plain = saved(PICTURE, "PNG")

    walk = png.walk(plain[:-12] + chunk(name, b"k\0v") + plain[-12:])

    assert walk.head == plain[:33] + chunk(name, b"k\0v") + plain[-12:]


@pytest.mark.parametrize(
    ("chunks", "fault"),
    [
        pytest.param([chunk(b"IEND", b"")], "it does not begin with a header chunk", id="no head"),
        pytest.param(
            [chunk(b"IHDR", struct.pack(">IIBBBBB", 99, 99, 8, 2, 0, 0, 0)), chunk(b"IEND", b"")],
            "pixels are missing: 0 bytes for 99 x 99",
            id="no pixels",
        ),
        pytest.param(
            [
                chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0)),
                chunk(b"fdAT", bytes(4)),
                chunk(b"IDAT", bytes(9)),
                chunk(b"IEND", b""),
            ],
            "its frames stand before its pixels",
            id="frames first",
        ),
        pytest.param(
            [chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 5, 0, 0, 0)), chunk(b"IEND", b"")],
            "it does not begin with a header chunk",
            id="a colour type that is none",
        ),
        pytest.param(
            [
                chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 1, 0, 0, 0, 0)),
                chunk(b"IEND", b""),
            ],
            "pixels are missing: 0 bytes for 1 x 1",
            id="not even one pixel",
        ),
        pytest.param(
            [
                chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 2)),
                chunk(b"IDAT", b"x"),
                chunk(b"IEND", b""),
            ],
            "a header of no known method, or more than one",
            id="an interlacing that is none",
        ),
        pytest.param(
            [
                chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
                chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 0, 0, 0, 0)),
                chunk(b"IDAT", b"x"),
                chunk(b"IEND", b""),
            ],
            "a header of no known method, or more than one",
            id="two heads",
        ),
    ],
)
def test_a_png_has_a_head_and_pixels(chunks: list[bytes], fault: str) -> None:
    assert png.walk(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).fault == fault


@pytest.mark.parametrize(
    ("riff", "fault"),
    [
        pytest.param(b"VP8 \x03\0\0\0abc\0", "a picture of 0 pixels", id="no frame tag"),
        pytest.param(
            b"VP8 \x0a\0\0\0\xff\xff\xff" + bytes(7), "the pixels end behind their chunk", id="VP8"
        ),
        pytest.param(b"VP8L\x63\0\0\0", "the chunk at byte 12 ends behind the file", id="VP8L"),
        pytest.param(b"EXIF\0\0\0\0", "no picture in it", id="tags alone"),
    ],
)
def test_the_chunks_of_a_webp_hold_what_they_say(riff: bytes, fault: str) -> None:
    data = b"RIFF" + (4 + len(riff)).to_bytes(4, "little") + b"WEBP" + riff

    assert webp.walk(data).fault == fault


@pytest.mark.parametrize("data", [b"\xff\x4f\xff\x51" + bytes(9), bytes(20_000)])
def test_a_codestream_without_an_end_is_a_fault(data: bytes) -> None:
    assert jpeg2000.walk(data).fault == "the codestream has no end"


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
@pytest.mark.parametrize("size", [(1, 1), (40, 30), (4000, 3), (3, 4000)])
def test_the_canvas_of_a_webp_is_read_without_a_decoder(
    saved: Saved, size: tuple[int, int], options: dict[str, object]
) -> None:
    assert webp.walk(saved(PIL.Image.new("RGB", size), "WEBP", **options)).canvas == size
