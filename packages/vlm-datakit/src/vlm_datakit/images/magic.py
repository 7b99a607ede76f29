"""What a file is, by its first bytes. Names and declared types are never believed."""

from __future__ import annotations

HEAD_BYTES = 12  # enough for every signature below; 16 base64 characters

_SIGNATURES = (
    # Source: the formats' own specifications, as listed by the IANA media type registry.
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),  # BigTIFF
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
)
_BRANDS = {b"avif": "image/avif", b"avis": "image/avif"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "image/heic"
)


def media_type(head: bytes) -> str | None:
    """Return the media type that the first `HEAD_BYTES` bytes of a file tell, or None.

    Example:
        >>> media_type(b"GIF89a" + bytes(6))
        'image/gif'
        >>> media_type(b"photo_000001") is None
        True
    """
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # two letters alone would take words
        return "image/bmp"
    return None
