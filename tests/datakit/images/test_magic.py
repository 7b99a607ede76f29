"""A file is what its first bytes say."""

from __future__ import annotations

from collections.abc import Callable

import PIL.Image
import pytest

from vlm_datakit.images.magic import HEAD_BYTES, media_type


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("MPO", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
        ("JPEG2000", "image/jp2"),
    ],
)
def test_twelve_bytes_of_a_real_picture_are_enough(
    saved: Callable[..., bytes], kind: str, name: str
) -> None:
    data = saved(PIL.Image.new("RGB", (16, 16), "red"), kind)

    assert media_type(data[:HEAD_BYTES]) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        pytest.param(b"MM\0*" + bytes(8), "image/tiff", id="big-endian TIFF"),
        pytest.param(b"II+\0" + bytes(8), "image/tiff", id="BigTIFF"),
        pytest.param(b"\xff\x4f\xff\x51" + bytes(8), "image/jp2", id="JPEG 2000 codestream"),
        pytest.param(b"GIF87a" + bytes(6), "image/gif", id="GIF of 1987"),
        pytest.param(b"\0\0\0\x18ftypheic", "image/heic", id="HEIC"),
        pytest.param(b"\0\0\0\x18ftypmif1", "image/heic", id="HEIF"),
        pytest.param(b"\0\0\0\x18ftypmp42", None, id="MP4"),
        pytest.param(b"RIFF\0\0\0\0WAVE", None, id="WAV"),
        pytest.param(b"BMW 3 series", None, id="words that start with BM"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3", None, id="PDF"),
        pytest.param(b"%!PS-Adobe-3", None, id="PostScript"),
        pytest.param(b"8BPS\0\1" + bytes(6), None, id="Photoshop"),
        pytest.param(b"<svg xmlns='", None, id="SVG"),
        pytest.param(b"\x89PNG\r\n\x1a", None, id="seven bytes of a PNG"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_other_heads(head: bytes, name: str | None) -> None:
    assert media_type(head) == name
