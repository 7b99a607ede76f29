"""What the pictures of the corpus show: slopes whose pixels are known without a decoder."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import PIL.Image

WIDTH, HEIGHT = 24, 16
SIZE, TURNED = (WIDTH, HEIGHT), (HEIGHT, WIDTH)
WHITE = 255
ORIENTATION = 0x0112  # Exif 2.3, table 4
#: How pixels stored under an orientation are turned upright: flips and turns of an array.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def rgb(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return slopes to the right, down, and both; no two corners are alike."""
    y, x = np.mgrid[0:height, 0:width]
    right, down = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    return np.stack([right, down, (right + down) // 4], axis=2).astype(np.uint8)


def grey(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a slope from the first corner to the last."""
    y, x = np.mgrid[0:height, 0:width]
    return ((x + y) * 255 // max(1, width + height - 2)).astype(np.uint8)


def noise(width: int, height: int, channels: int = 3) -> np.ndarray:
    """Return pixels that do not compress, always the same."""
    return np.random.default_rng(7).integers(0, 256, (height, width, channels), np.uint8)


def over_white(pixels: np.ndarray) -> np.ndarray:
    """Lay RGBA, or grey and alpha, over white."""
    colours, alpha = pixels[:, :, :-1].astype(float), pixels[:, :, -1:] / 255
    laid = np.rint(colours * alpha + WHITE * (1 - alpha)).astype(np.uint8)
    return laid if laid.shape[2] == 3 else np.repeat(laid, 3, axis=2)


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    """Add an alpha channel that rises from left to right."""
    alpha = np.broadcast_to(rgb()[:, :, :1], (*pixels.shape[:2], 1))
    return np.concatenate([pixels if pixels.ndim == 3 else pixels[:, :, None], alpha], axis=2)


def saved(pixels: Any, kind: str, **options: Any) -> bytes:
    """Return what Pillow writes for an array or a picture of its own."""
    image = PIL.Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> PIL.Image.Exif:
    """Return Exif that holds an orientation."""
    tags = PIL.Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def xmp(orientation: int) -> bytes:
    """Return XMP that holds an orientation."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def segment(marker: int, body: bytes = b"") -> bytes:
    """Return a segment of a JPEG."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a WebP of these chunks."""
    body = b"".join(
        name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
