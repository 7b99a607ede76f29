"""Files that are no pictures, or of kinds that nobody here opens, under any name."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import PIL.Image

from .cases import UNREADABLE, UNSUPPORTED, Built, Case, refused, stored
from .drawings import rgb, saved
from .jpegs import photo
from .png_writer import TRUE, png

PAGE = b"<!DOCTYPE html><html><head><title>403 Forbidden</title></head><body>Sorry.</body></html>"
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    b'<image href="file:///etc/passwd"/></svg>'
)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n%%EOF\n"
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(12)
JXL = b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30)


def archive() -> bytes:
    """Return a zip with a picture inside."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        whole.writestr("a.png", png(rgb(), TRUE))
    return file.getvalue()


def array() -> bytes:
    """Return a file of numpy's."""
    file = io.BytesIO()
    np.save(file, rgb())
    return file.getvalue()


def as_text(data: bytes) -> bytes:
    """Spoil a file as an editor does that takes it for UTF-8."""
    return data.decode(errors="replace").encode()


def by(kind: str) -> bytes:
    """Return what Pillow writes in a kind that is not opened."""
    return saved(PIL.Image.fromarray(rgb()), kind)


def named(name: str, data: bytes) -> Case:
    """Return a case of a stranger under a picture's file name."""
    return Case(
        f"stranger named {name}",
        "stranger",
        UNSUPPORTED,
        lambda folder: Built(stored(folder, data, name)),
    )


UNKNOWN: dict[str, bytes] = {
    "empty file": b"",
    "one byte": b"\xff",
    "two bytes of a jpeg": b"\xff\xd8",
    "text": b"A photo of a cat.\n",
    "json": b'{"error": {"code": 404, "message": "no such picture"}}',
    "page": PAGE,
    "pointer of git lfs": POINTER,
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "postscript": EPS,
    "postscript of dos": b"\xc5\xd0\xd3\xc6" + bytes(26) + EPS,
    "photoshop": PSD,
    "svg": SVG,
    "svg without a head": SVG[21:],
    "film": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(40),
    "film of apple": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(40),
    "raw of canon": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(40),
    "sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(24),
    "film of riff": b"RIFF\x24\0\0\0AVI LIST" + bytes(24),
    "jpeg xl": JXL,
    "jpeg xl bare": b"\xff\x0a" + bytes(30),
    "zeros": bytes(1000),
    "gzip of a png": gzip.compress(png(rgb(), TRUE), mtime=0),
    "pickle": b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x02os\x94\x8c\x06system\x94\x93\x94.",
    "program": b"\x7fELF\2\1\1" + bytes(60),
    "parquet": b"PAR1" + bytes(60) + b"PAR1",
    "multi-picture png": b"\x8aMNG\r\n\x1a\n" + bytes(40),
    "bitmap with words in it": b"BMW 320i, 1998, one owner, and so on" + bytes(40),
    "farbfeld": b"farbfeld" + struct.pack(">II", 1, 1) + bytes(8),
    "dicom": bytes(128) + b"DICM" + bytes(60),
    "base64 in a file": b"iVBORw0KGgoAAAANSUhEUgAAABgAAAAQCAIAAACDRijCAAAA",
    "data uri in a file": b"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABgAAAAQ",
    "gif of 1990": b"GIF90a" + bytes(60),
    "pcx": by("PCX"),
    "ppm": by("PPM"),
    "tga": by("TGA"),
    "icon": by("ICO"),
    "icon of apple": by("ICNS"),
    "dds": by("DDS"),
    "sgi": by("SGI"),
    "qoi": by("QOI"),
    "spider": by("SPIDER"),
    "pdf by pillow": by("PDF"),
    "eps by pillow": by("EPS"),
    "dib": by("DIB"),
    "zip": archive(),
    "numpy array": array(),
    "png read as text": as_text(png(rgb(), TRUE)),
    "png with unix lines": png(rgb(), TRUE).replace(b"\r\n", b"\n"),
    "jpeg read as text": as_text(photo()),
    "jpeg behind a line end": b"\n" + photo(),
    "png behind a byte order mark": b"\xef\xbb\xbf" + png(rgb(), TRUE),
    "png without its first byte": png(rgb(), TRUE)[1:],
}
CASES: list[Case] = [
    *(refused(f"stranger {name}", UNSUPPORTED, lambda d=data: d) for name, data in UNKNOWN.items()),
    *(named(name, PAGE) for name in ("photo.jpg", "photo.png", "photo.webp")),
    refused("stranger jpeg ls", UNREADABLE, lambda: b"\xff\xd8\xff\xf7\0\x0b\x08" + bytes(40)),
    refused("stranger heic without a body", UNREADABLE, lambda: b"\0\0\0\x18ftypheic" + bytes(40)),
]
