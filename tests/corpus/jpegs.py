"""JPEG files that are pictures, as cameras, phones, printers and web pages write them."""

from __future__ import annotations

import struct

import numpy as np
import PIL.Image
import PIL.ImageCms

from .cases import Case, picture
from .drawings import SIZE, TURNED, exif, grey, noise, rgb, saved, segment, xmp

EOI = b"\xff\xd9"
MIB = 1 << 20


def photo(**options: object) -> bytes:
    """Return a whole JPEG of slopes."""
    return saved(rgb(), "JPEG", quality=90, **options)


def profile(kind: str = "sRGB") -> bytes:
    """Return an ICC profile."""
    return PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile(kind)).tobytes()


def with_segments(*segments: bytes, data: bytes | None = None) -> bytes:
    """Put segments behind the start of a JPEG."""
    whole = data or photo()
    return whole[:2] + b"".join(segments) + whole[2:]


def inks(pixels: np.ndarray) -> PIL.Image.Image:
    """Return RGB pixels as the inks that print them, without black."""
    full = np.concatenate([255 - pixels, np.zeros_like(pixels[:, :, :1])], axis=2)
    return PIL.Image.frombytes("CMYK", (pixels.shape[1], pixels.shape[0]), full.tobytes())


def flat_blocks(width: int, height: int) -> bytes:
    """Return a mid-grey RGB JPEG without an encoder: each block is the same 14 bits.

    A block of zeros takes ``00 1010`` in the standard tables for brightness, ``00 00`` in
    those for colour; four groups of blocks take seven bytes. Sides of whole blocks only.
    """
    mould = saved(np.full((8, 8, 3), 128, np.uint8), "JPEG", subsampling=0)
    frame = mould.index(b"\xff\xc0")
    start = mould.index(b"\xff\xda")
    start += 2 + int.from_bytes(mould[start + 2 : start + 4], "big")
    sizes = struct.pack(">HH", height, width)
    blocks = (width // 8) * (height // 8)
    four = int("00101000000000" * 4, 2).to_bytes(7, "big")
    assert blocks % 4 == 0
    return mould[: frame + 5] + sizes + mould[frame + 9 : start] + four * (blocks // 4) + EOI


def without_tables() -> bytes:
    """Return a frame as Motion JPEG has it: the standard tables go without saying."""
    data = photo()
    while (at := data.find(b"\xff\xc4")) >= 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    return data


def filled() -> bytes:
    """Put fill bytes in front of every marker up to the first scan."""
    data, at, out = photo(), 2, b"\xff\xd8"
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        out, at = out + b"\xff\xff\xff" + data[at:end], end
    return out + data[at:]


def large(size: int) -> bytes:
    """Return a JPEG of exactly so many bytes, with a video behind its end."""
    whole = photo()
    return whole + bytes(size - len(whole))


def of_mode(mode: str, **options: object) -> bytes:
    """Return a JPEG in a mode of Pillow's."""
    return saved(PIL.Image.fromarray(rgb()).convert(mode), "JPEG", **options)


def mpo() -> bytes:
    """Return a photo with two previews behind it, as phones write it."""
    previews = [PIL.Image.fromarray(rgb(12, 8)), PIL.Image.fromarray(rgb(6, 4))]
    return saved(rgb(), "MPO", save_all=True, append_images=previews)


def big_endian_exif() -> bytes:
    """Return Exif of orientation 6 in the other byte order, with a thumbnail's directory."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def two_exifs() -> bytes:
    """Return Exif in two segments of their own: the first is the one that counts."""
    return with_segments(
        segment(0xE1, b"Exif\0\0" + exif(3).tobytes().removeprefix(b"Exif\0\0")),
        segment(0xE2, b"words"),
    )


def cmyk(**options: object) -> bytes:
    """Return a printer's JPEG."""
    return saved(inks(rgb()), "JPEG", quality=95, subsampling=0, **options)


def ycck() -> bytes:
    """Return inks coded as brightness and colour, as Photoshop writes them."""
    cmy = np.asarray(PIL.Image.fromarray(255 - rgb()).convert("YCbCr"))
    coded = np.concatenate([255 - cmy, np.zeros_like(cmy[:, :, :1])], axis=2)
    data = bytearray(
        saved(PIL.Image.frombytes("CMYK", SIZE, coded.tobytes()), "JPEG", quality=95, subsampling=0)
    )
    data[data.index(b"Adobe") + 11] = 2  # the transform, Adobe's TN 5116
    return bytes(data)


AS_IT_CAME = [
    picture("jpeg rgb", photo, SIZE),
    picture("jpeg grey", lambda: saved(grey(), "JPEG"), SIZE),
    picture("jpeg grey progressive", lambda: saved(grey(), "JPEG", progressive=True), SIZE),
    picture("jpeg progressive", lambda: photo(progressive=True), SIZE),
    picture("jpeg optimized", lambda: photo(optimize=True), SIZE),
    picture("jpeg 444", lambda: photo(subsampling=0), SIZE),
    picture("jpeg 422", lambda: photo(subsampling=1), SIZE),
    picture("jpeg 420", lambda: photo(subsampling=2), SIZE),
    picture("jpeg 411", lambda: photo(subsampling="4:1:1"), SIZE),
    picture("jpeg quality 1", lambda: saved(noise(40, 30), "JPEG", quality=1), (40, 30)),
    picture("jpeg quality 100", lambda: saved(noise(40, 30), "JPEG", quality=100), (40, 30)),
    picture("jpeg colours kept as rgb", lambda: photo(keep_rgb=True), SIZE),
    picture("jpeg restart markers", lambda: photo(restart_marker_blocks=1), SIZE),
    picture(
        "jpeg restart markers progressive",
        lambda: photo(restart_marker_rows=1, progressive=True),
        SIZE,
    ),
    picture("jpeg profile", lambda: photo(icc_profile=profile()), SIZE),
    picture("jpeg profile of 200 kB", lambda: photo(icc_profile=bytes(200_000)), SIZE),
    picture("jpeg comment", lambda: photo(comment=b"\xff\xd9 no end"), SIZE),
    picture("jpeg bytes behind the end", lambda: photo() + bytes(100), SIZE),
    picture("jpeg zip behind the end", lambda: photo() + b"PK\3\4" + bytes(60), SIZE),
    picture("jpeg page behind the end", lambda: photo() + b"<script>alert(1)</script>", SIZE),
    picture("jpeg fill bytes", filled, SIZE),
    picture("jpeg two ends", lambda: photo() + EOI, SIZE),
    picture("jpeg previews of a phone", mpo, SIZE),
    picture("jpeg motion frame without tables", without_tables, SIZE),
    picture("jpeg one pixel", lambda: saved(rgb(1, 1), "JPEG"), (1, 1)),
    picture("jpeg strip of 200 to 1", lambda: saved(rgb(2000, 10), "JPEG"), (2000, 10)),
    picture("jpeg strip upright", lambda: saved(rgb(1, 200), "JPEG"), (1, 200)),
    picture("jpeg long side", lambda: flat_blocks(65_504, 400), (65_504, 400)),
    picture("jpeg empty comment", lambda: with_segments(segment(0xFE)), SIZE),
    picture("jpeg 900 segments", lambda: with_segments(segment(0xFE, b"a") * 900), SIZE),
    picture("jpeg of exactly 20 MiB", lambda: large(20 * MIB), SIZE),
]
EXIF = [
    *(
        picture(f"jpeg exif {n}", lambda n=n: photo(exif=exif(n)), TURNED if n > 4 else SIZE)
        for n in range(1, 9)
    ),
    picture("jpeg exif 0", lambda: photo(exif=exif(0)), SIZE),
    picture("jpeg exif 9", lambda: photo(exif=exif(9)), SIZE),
    picture("jpeg exif big-endian", lambda: photo(exif=big_endian_exif()), TURNED),
    picture("jpeg exif and more", two_exifs, SIZE),
    picture("jpeg exif of no bytes", lambda: photo(exif=b"Exif\0\0"), SIZE),
    picture("jpeg exif of words", lambda: photo(exif=b"Exif\0\0no directory at all"), SIZE),
    picture("jpeg xmp 6", lambda: photo(xmp=xmp(6)), TURNED),
    picture("jpeg xmp 3", lambda: photo(xmp=xmp(3)), SIZE),
    picture("jpeg exif 6 progressive", lambda: photo(exif=exif(6), progressive=True), TURNED),
]
REWRITTEN = [
    picture("jpeg cmyk of adobe", cmyk, SIZE, "colour", pixels=rgb(), off_by=24),
    picture("jpeg ycck of adobe", ycck, SIZE, "colour", pixels=rgb(), off_by=24),
    picture(
        "jpeg cmyk with a broken profile",
        lambda: cmyk(icc_profile=b"none"),
        SIZE,
        *("colour",),
        pixels=rgb(),
        off_by=24,
    ),
    picture(
        "jpeg cmyk turned",
        lambda: cmyk(exif=exif(6)),
        TURNED,
        *("colour",),
        pixels=rgb().swapaxes(0, 1)[:, ::-1],
        off_by=24,
    ),
]
HUGE = [
    picture("huge jpeg of 120 megapixels", lambda: flat_blocks(12_000, 10_000), (12_000, 10_000)),
]
CASES: list[Case] = [*AS_IT_CAME, *EXIF, *REWRITTEN]
