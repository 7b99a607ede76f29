"""The header tells size, turn and depth before a pixel is decoded; bombs stop here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import PIL.Image
import pytest

from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.header import Header, check_decodes, opened, parse_header
from vlm_datakit.plan import Limits

LIMITS = Limits()
KINDS = ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"]


def exif(orientation: object) -> PIL.Image.Exif:
    tags = PIL.Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_a_header_says_what_the_file_is(png_bytes: Callable[..., bytes]) -> None:
    header = parse_header(png_bytes(6, 4), LIMITS, "$")

    assert header == Header("image/png", 6, 4, is_whole=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_are_upright_whatever_the_tag(
    saved: Callable[..., bytes], kind: str, orientation: int
) -> None:
    data = saved(PIL.Image.new("RGB", (6, 4)), kind, exif=exif(orientation))

    header = parse_header(data, LIMITS, "$")

    assert (header.width_px, header.height_px) == ((6, 4) if orientation < 5 else (4, 6))


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_a_tag_without_meaning_turns_nothing(
    jpeg_bytes: Callable[..., bytes], orientation: int
) -> None:
    header = parse_header(jpeg_bytes(6, 4, orientation=orientation), LIMITS, "$")

    assert (header.width_px, header.height_px) == (6, 4)


@pytest.mark.parametrize(
    ("mode", "is_deep", "has_transparency"),
    [
        ("1", False, False),
        ("L", False, False),
        ("P", False, False),
        ("LA", False, True),
        ("RGBA", False, True),
        ("I;16", True, False),
    ],
)
def test_depth_and_transparency_are_told(
    saved: Callable[..., bytes], mode: str, is_deep: bool, has_transparency: bool
) -> None:
    header = parse_header(saved(PIL.Image.new(mode, (6, 4)), "PNG"), LIMITS, "$")

    assert (header.mode, header.is_deep) == (mode, is_deep)
    assert header.has_transparency is has_transparency


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO"])
def test_more_frames_are_told_and_previews_are_none(saved: Callable[..., bytes], kind: str) -> None:
    pictures = [PIL.Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]

    data = saved(pictures[0], kind, save_all=True, append_images=pictures[1:])

    assert parse_header(data, LIMITS, "$").has_more_frames is (kind != "MPO")


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        pytest.param((50_000, 50_000), "a decompression bomb", id="a bomb"),
        pytest.param((12_001, 10_000), "12001 x 10000 pixels", id="over 120 megapixels"),
        pytest.param((65_536, 400), "65536 x 400 pixels", id="a long side"),
        pytest.param((2_010, 10), "2010 x 10 pixels", id="a strip"),
        pytest.param((10, 2_010), "10 x 2010 pixels", id="a strip, upright"),
    ],
)
def test_a_header_that_claims_too_much_is_refused(
    png_claiming: Callable[..., bytes], size: tuple[int, int], seen: str
) -> None:
    with pytest.raises(RowError) as caught:
        parse_header(png_claiming(*size), LIMITS, "$.image")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$.image", seen)


@pytest.mark.parametrize("size", [(12_000, 10_000), (65_535, 400), (2_000, 10), (1, 1)])
def test_the_limits_are_exact(png_claiming: Callable[..., bytes], size: tuple[int, int]) -> None:
    header = parse_header(png_claiming(*size), LIMITS, "$")

    assert (header.width_px, header.height_px) == size


def test_the_size_of_the_file_is_judged(png_bytes: Callable[..., bytes]) -> None:
    data = png_bytes()

    with pytest.raises(RowError) as caught:
        parse_header(data, Limits(max_image_bytes=len(data) - 1), "$")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", f"{len(data)} bytes")
    assert parse_header(data, Limits(max_image_bytes=len(data)), "$").width_px == 4


@pytest.mark.parametrize(
    ("data", "reason", "seen"),
    [
        pytest.param(b"", Reason.IMAGE_TYPE_UNSUPPORTED, "0 bytes, no image type", id="empty"),
        pytest.param(b"Hello!", Reason.IMAGE_TYPE_UNSUPPORTED, "6 bytes, no image type", id="text"),
        pytest.param(
            b"%PDF-1.7", Reason.IMAGE_TYPE_UNSUPPORTED, "8 bytes, no image type", id="PDF"
        ),
        pytest.param(
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            Reason.IMAGE_UNREADABLE,
            "Invalid input: Unspecified: File size too small.",
            id="HEIC",
        ),
        pytest.param(
            b"GIF89a" + bytes(6),
            Reason.IMAGE_UNREADABLE,
            "cut short: 12 bytes, and a part ends at 13",
            id="a GIF's head",
        ),
        pytest.param(
            b"\xff\xd8\xff" + bytes(9),
            Reason.IMAGE_UNREADABLE,
            "no marker at byte 2, and no end marker before",
            id="no JPEG",
        ),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, reason: Reason, seen: str) -> None:
    with pytest.raises(RowError) as caught:
        parse_header(data, LIMITS, "$.image")

    assert caught.value.args == (reason, "$.image", seen)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_truncated_picture_does_not_decode(noise: Callable[[str], bytes], kind: str) -> None:
    whole = noise(kind)
    check_decodes(whole, "$")

    with pytest.raises(RowError) as caught:
        check_decodes(whole[: len(whole) // 2], "$.image")

    assert caught.value.args[:2] == (Reason.IMAGE_UNREADABLE, "$.image")


def test_a_truncated_jpeg_2000_is_not_filled_in(saved: Callable[..., bytes]) -> None:
    picture = PIL.Image.effect_noise((64, 64), 90)
    boxes, bare = (saved(picture, "JPEG2000", no_jp2=bare) for bare in (False, True))

    for whole in (boxes, bare, boxes + b"\0\0\0\x10xml and so on"):
        assert parse_header(whole, LIMITS, "$").width_px == 64
    for cut in (boxes[:-1], bare[:-1], boxes[: len(boxes) // 2], boxes[:12], boxes[:40]):
        with pytest.raises(RowError) as caught:
            parse_header(cut, LIMITS, "$")
        assert caught.value.args[0] is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("cut", [1, 2, 12, 20])
def test_a_png_that_lacks_its_end_is_never_half_grey(
    noise: Callable[[str], bytes], pixels: Callable[[bytes], PIL.Image.Image], cut: int
) -> None:
    whole = noise("PNG")

    try:
        check_decodes(whole[:-cut], "$")
    except RowError as error:
        assert error.reason is Reason.IMAGE_UNREADABLE
    else:
        assert pixels(whole[:-cut]).tobytes() == pixels(whole).tobytes()


def test_a_refusal_inside_passes_as_it_is(png_bytes: Callable[..., bytes]) -> None:
    refusal = RowError(Reason.IMAGE_TOO_LARGE, "$", "mine")

    with pytest.raises(RowError) as caught, opened(png_bytes(), "$"):
        raise refusal

    assert caught.value is refusal


def test_the_pixels_of_a_png_are_not_decoded(png_claiming: Callable[..., bytes]) -> None:
    header = parse_header(png_claiming(64, 64), LIMITS, "$")

    assert (header.width_px, header.height_px, header.is_whole) == (64, 64, True)
    with pytest.raises(RowError):
        check_decodes(png_claiming(64, 64), "$")


def test_a_tag_behind_the_pixels_of_a_png_counts(png_bytes: Callable[..., bytes]) -> None:
    tag = PIL.Image.Exif()
    tag[0x0112] = 6
    body = b"eXIf" + tag.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    plain = png_bytes(6, 4)

    header = parse_header(plain[:-12] + chunk + plain[-12:], LIMITS, "$")

    assert (header.orientation, header.width_px, header.height_px) == (6, 4, 6)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "JPEG", "JPEG2000"])
def test_a_container_that_is_not_whole_is_refused_for_its_size_first(
    saved: Callable[..., bytes], kind: str
) -> None:
    cut = saved(PIL.Image.effect_noise((64, 64), 90), kind)[:-40]

    with pytest.raises(RowError) as unreadable:
        parse_header(cut, LIMITS, "$")
    with pytest.raises(RowError) as too_large:
        parse_header(cut, Limits(max_side_px=60), "$")

    assert unreadable.value.reason is Reason.IMAGE_UNREADABLE
    assert too_large.value.args == (Reason.IMAGE_TOO_LARGE, "$", "64 x 64 pixels")


def test_run_lengths_of_a_bmp_are_not_unpacked_without_end() -> None:
    coded = bytearray(2 << 20)
    coded[:10], coded[30] = b"BM" + bytes(8), 1

    with pytest.raises(RowError) as caught:
        parse_header(bytes(coded), LIMITS, "$")

    seen = "2097152 bytes of run lengths"
    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", seen)


def test_an_avif_under_the_brand_of_its_container_is_one(saved: Callable[..., bytes]) -> None:
    avif = saved(PIL.Image.new("RGB", (6, 4)), "AVIF")
    assert (avif[4:12], b"mif1" in avif[16:32]) == (b"ftypavif", True)
    renamed = avif[:8] + b"mif1" + avif[12:]

    header = parse_header(renamed, LIMITS, "$")

    assert (header.media_type, header.width_px) == ("image/avif", 6)


@pytest.mark.parametrize(("frames", "needed"), [(1, 4 * 90 * 70), (2, 16 * 90 * 70)])
def test_a_webp_is_not_opened_where_its_canvas_takes_too_much(
    saved: Callable[..., bytes], frames: int, needed: int
) -> None:
    pictures = [PIL.Image.new("RGB", (90, 70), colour) for colour in ("red", "blue")]
    data = saved(pictures[0], "WEBP", save_all=True, append_images=pictures[1:frames])

    with pytest.raises(RowError) as caught:
        parse_header(data, Limits(max_decoded_bytes=needed - 1), "$")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "decoding takes 1 MiB")
    assert parse_header(data, Limits(max_decoded_bytes=needed), "$").width_px == 90


def test_a_webp_that_claims_too_much_is_refused_unopened(saved: Callable[..., bytes]) -> None:
    data = bytearray(saved(PIL.Image.new("RGB", (90, 70)), "WEBP", exif=b"Exif\0\0II*\0"))
    data[24:30] = b"\xff\xff\xff\xff\xff\xff"

    with pytest.raises(RowError) as caught:
        parse_header(bytes(data), LIMITS, "$")

    assert caught.value.args == (Reason.IMAGE_TOO_LARGE, "$", "16777216 x 16777216 pixels")
