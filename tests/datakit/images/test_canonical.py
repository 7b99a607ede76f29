"""Readers agree on clean pictures; all others are written anew so that they do."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import PIL.Image
import PIL.ImageChops
import PIL.ImageCms
import PIL.ImageOps
import pytest

from vlm_datakit.conversation import Image
from vlm_datakit.errors import Reason, RowError
from vlm_datakit.images.containers import png
from vlm_datakit.images.resolver import open_image
from vlm_datakit.plan import ImagePolicy, Limits

Saved = Callable[..., bytes]
Opened = Callable[[bytes], Image]
Pixels = Callable[[bytes], PIL.Image.Image]
Through = Callable[..., tuple[Image, PIL.Image.Image]]
new = PIL.Image.new


@pytest.fixture
def through(saved: Saved, as_image: Opened, pixels: Pixels) -> Through:
    """Save a picture, open the file as a row's, and decode what is kept of it."""

    def pass_through(picture: PIL.Image.Image, kind: str, **options: Any) -> Any:
        image = as_image(saved(picture, kind, **options))
        return image, pixels(image.data)

    return pass_through


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_clean_picture_is_the_same_object(
    saved: Saved, as_image: Opened, kind: str, mode: str
) -> None:
    data = saved(new(mode, (6, 4)), kind)

    image = as_image(data)

    assert image.data is data
    assert (image.width_px, image.height_px, image.rewritten) == (6, 4, ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_keeps_its_bytes_and_has_upright_sizes(
    jpeg_bytes: Callable[..., bytes], as_image: Opened, pixels: Pixels, orientation: int
) -> None:
    data = jpeg_bytes(6, 4, orientation=orientation)

    image = as_image(data)

    upright = PIL.ImageOps.exif_transpose(pixels(image.data))
    assert image.data is data
    assert (image.width_px, image.height_px) == upright.size


def test_a_photo_with_previews_passes(saved: Saved, as_image: Opened) -> None:
    data = saved(new("RGB", (6, 4)), "MPO", save_all=True, append_images=[new("RGB", (6, 4))])

    image = as_image(data)

    assert (image.data is data, image.media_type) == (True, "image/jpeg")


@pytest.mark.parametrize(
    ("picture", "options", "pixel", "causes"),
    [
        pytest.param(new("RGBA", (2, 2), (9, 9, 9, 0)), {}, (255,) * 3, ("alpha",), id="clear"),
        pytest.param(new("RGBA", (2, 2), (0, 0, 0, 51)), {}, (204,) * 3, ("alpha",), id="a fifth"),
        pytest.param(new("RGBA", (2, 2), (9, 8, 7, 255)), {}, (9, 8, 7), ("alpha",), id="opaque"),
        pytest.param(new("LA", (2, 2), (9, 0)), {}, (255,) * 3, ("alpha",), id="grey and clear"),
        pytest.param(
            new("RGB", (2, 2), (1, 2, 3)),
            {"transparency": (1, 2, 3)},
            (255,) * 3,
            ("alpha",),
            id="a clear colour",
        ),
        pytest.param(
            new("L", (2, 2), 7), {"transparency": 7}, (255,) * 3, ("alpha",), id="a clear grey"
        ),
        pytest.param(new("I;16", (2, 2), 0), {}, 0, ("depth",), id="16 bits, black"),
        pytest.param(new("I;16", (2, 2), 32768), {}, 128, ("depth",), id="16 bits, grey"),
        pytest.param(new("I;16", (2, 2), 65535), {}, 255, ("depth",), id="16 bits, white"),
        pytest.param(new("1", (2, 2), 1), {}, 255, ("depth",), id="bilevel, white"),
        pytest.param(new("1", (2, 2), 0), {}, 0, ("depth",), id="bilevel, black"),
    ],
)
def test_what_readers_differ_on_is_written_anew(
    through: Through,
    picture: PIL.Image.Image,
    options: dict[str, Any],
    pixel: Any,
    causes: tuple[str, ...],
) -> None:
    image, flat = through(picture, "PNG", **options)

    assert (flat.getpixel((1, 1)), flat.mode) == (pixel, "RGB" if type(pixel) is tuple else "L")
    assert (image.rewritten, image.media_type) == (causes, "image/png")


@pytest.mark.parametrize(
    ("options", "pixel", "causes"),
    [
        pytest.param({}, (10, 20, 30), ("palette",), id="opaque"),
        pytest.param({"transparency": 0}, (255, 255, 255), ("alpha", "palette"), id="clear"),
        pytest.param(
            {"transparency": b"\x33"}, (206, 208, 210), ("alpha", "palette"), id="a fifth"
        ),
    ],
)
def test_a_palette_becomes_rgb(
    through: Through, options: dict[str, Any], pixel: tuple[int, ...], causes: tuple[str, ...]
) -> None:
    picture = new("P", (2, 2), 0)
    picture.putpalette([10, 20, 30, 40, 50, 60])

    image, flat = through(picture, "PNG", **options)

    assert (flat.getpixel((1, 1)), image.rewritten) == (pixel, causes)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_a_16_bit_scan_keeps_its_greys(through: Through, mode: str) -> None:
    scan = new(mode, (4, 1))
    for x, value in enumerate((0, 257, 32768, 65535)):
        scan.putpixel((x, 0), value)

    image, flat = through(scan, "TIFF")

    assert list(flat.tobytes()) == [0, 1, 128, 255]
    assert image.rewritten == ("depth", "container")


def test_16_bit_grey_with_a_clear_value_is_refused(saved: Saved, as_image: Opened) -> None:
    data = saved(new("I;16", (2, 2), 7), "PNG", transparency=7)

    with pytest.raises(RowError) as caught:
        as_image(data)

    seen = "16 bits with a clear value"
    assert caught.value.args == (Reason.IMAGE_TYPE_UNSUPPORTED, "$.image", seen)


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        pytest.param(new("I", (2, 2)), "32-bit pixels, white unknown", id="integers"),
        pytest.param(new("F", (2, 2), 1.5), "floats from 1.5 to 1.5, expected 0 to 1", id="floats"),
    ],
)
def test_pixels_without_a_scale_are_refused(
    saved: Saved, as_image: Opened, picture: PIL.Image.Image, seen: str
) -> None:
    with pytest.raises(RowError) as caught:
        as_image(saved(picture, "TIFF"))

    assert caught.value.args == (Reason.IMAGE_TYPE_UNSUPPORTED, "$.image", seen)


def test_floats_from_0_to_1_become_greys(through: Through) -> None:
    scan = new("F", (4, 1))
    for x, value in enumerate((0, 0.25, 0.5, 1)):
        scan.putpixel((x, 0), value)

    image, flat = through(scan, "TIFF")

    assert list(flat.tobytes()) == [0, 64, 128, 255]
    assert image.rewritten == ("depth", "container")


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(None, id="no profile"),
        pytest.param(b"junk", id="a profile that is none"),
        pytest.param(
            PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes(),
            id="a profile of another kind",
        ),
    ],
)
def test_a_cmyk_photo_becomes_rgb_without_loss(through: Through, profile: bytes | None) -> None:
    red = new("CMYK", (8, 8), (0, 255, 255, 0))

    image, photo = through(red, "JPEG", quality=95, icc_profile=profile)

    assert (image.rewritten, image.media_type) == (("colour",), "image/png")
    assert (photo.getpixel((4, 4)), photo.info.get("icc_profile")) == ((255, 0, 0), None)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_becomes_its_first_frame(through: Through, kind: str) -> None:
    red, blue = new("RGB", (8, 8), (255, 0, 0)), new("RGB", (8, 8), (0, 0, 255))

    image, still = through(red, kind, save_all=True, append_images=[blue], lossless=True)

    assert ("frames" in image.rewritten, image.media_type) == (True, "image/png")
    assert (still.getpixel((4, 4)), getattr(still, "n_frames", 1)) == ((255, 0, 0), 1)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "JPEG2000"])
def test_a_container_few_can_read_becomes_png(through: Through, kind: str) -> None:
    image, png = through(new("RGB", (8, 6), (10, 20, 30)), kind)

    assert (image.media_type, image.rewritten) == ("image/png", ("container",))
    assert (png.size, png.getpixel((4, 4))) == ((8, 6), (10, 20, 30))


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rewritten_picture_is_upright_once(through: Through, kind: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation

    image, written = through(new("RGB", (6, 4)), kind, exif=exif)

    assert written.size == (image.width_px, image.height_px)
    assert (written.size, dict(written.getexif())) == ((6, 4) if orientation < 5 else (4, 6), {})


def test_a_truncated_picture_that_must_be_rewritten_is_refused(
    noise: Callable[[str], bytes], as_image: Opened
) -> None:
    whole = noise("GIF")

    with pytest.raises(RowError) as caught:
        as_image(whole[: len(whole) // 2])

    assert caught.value.args[:2] == (Reason.IMAGE_UNREADABLE, "$.image")


def test_a_picture_larger_than_a_band_is_flat_all_over(through: Through) -> None:
    tall = PIL.Image.linear_gradient("L").resize((1_100, 2_000)).convert("RGBA")
    tall.putalpha(255)

    _, flat = through(tall, "PNG")

    assert flat.tobytes() == tall.convert("RGB").tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_baked_pictures_need_no_tag(
    saved: Saved, pixels: Pixels, kind: str, orientation: int
) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    picture = PIL.Image.linear_gradient("L").resize((32, 24)).convert("RGB")
    data = saved(picture, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))

    image = open_image(data, Limits(), ImagePolicy(form="baked"), "$")

    upright = PIL.ImageOps.exif_transpose(pixels(data))
    difference = PIL.ImageChops.difference(upright, pixels(image.data)).getextrema()
    assert image.rewritten == (() if orientation == 1 else ("orientation",))
    assert (dict(pixels(image.data).getexif()), pixels(image.data).size) == (
        {} if orientation > 1 else {0x0112: 1},
        (image.width_px, image.height_px),
    )
    assert max(most for _, most in difference) <= (5 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "AVIF"])
def test_untouched_pictures_keep_every_byte(saved: Saved, kind: str) -> None:
    data = saved(new("RGB", (6, 4)), kind)

    image = open_image(data, Limits(), ImagePolicy(form="untouched"), "$")

    assert image.data is data
    assert image.rewritten == ()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "JPEG", "WEBP"])
def test_untouched_is_no_word_for_unchecked(noise: Callable[[str], bytes], kind: str) -> None:
    cut = noise(kind)[:-600]

    with pytest.raises(RowError) as caught:
        open_image(cut, Limits(), ImagePolicy(form="untouched"), "$")

    assert caught.value.reason is Reason.IMAGE_UNREADABLE


@pytest.mark.parametrize("orientation", [1, 6])
def test_shrinking_is_lanczos_over_upright_pixels(
    jpeg_bytes: Callable[..., bytes], pixels: Pixels, orientation: int
) -> None:
    data = jpeg_bytes(300, 200, color=(200, 100, 50), orientation=orientation)

    image = open_image(data, Limits(), ImagePolicy(shrink_to_pixels=15_000), "$")

    assert (image.rewritten, image.media_type) == (("shrunk",), "image/jpeg")
    assert (image.width_px, image.height_px) == ((150, 100) if orientation == 1 else (100, 150))
    assert pixels(image.data).size == (image.width_px, image.height_px)


@pytest.mark.parametrize("size", [(100, 150), (4000, 3000), (3999, 2001), (20, 4000)])
def test_shrinking_never_exceeds_the_pixels_nor_enlarges(
    jpeg_bytes: Callable[..., bytes], size: tuple[int, int]
) -> None:
    image = open_image(jpeg_bytes(*size), Limits(), ImagePolicy(shrink_to_pixels=15_000), "$")

    assert image.width_px * image.height_px <= 15_000
    assert bool(image.rewritten) is (size != (100, 150))


@pytest.mark.parametrize(
    ("picture", "kind", "needed"),
    [
        pytest.param(new("RGBA", (1000, 1000)), "PNG", 8, id="RGBA: itself and RGB"),
        pytest.param(new("1", (2000, 1000)), "PNG", 4, id="bilevel: itself and grey"),
        pytest.param(new("RGB", (500, 500)), "JPEG2000", 5, id="JPEG 2000"),
    ],
)
def test_the_memory_of_decoding_is_judged_before_it_is_taken(
    saved: Saved, picture: PIL.Image.Image, kind: str, needed: int
) -> None:
    data = saved(picture, kind)

    with pytest.raises(RowError) as caught:
        open_image(data, Limits(max_decoded_bytes=1_000_000 * needed - 1), ImagePolicy(), "$")

    assert caught.value.reason is Reason.IMAGE_TOO_LARGE
    assert open_image(data, Limits(max_decoded_bytes=1_000_000 * needed), ImagePolicy(), "$")


def test_a_photo_whose_other_tags_readers_fail_on_is_turned_for_them(
    saved: Saved, as_image: Opened, pixels: Pixels
) -> None:
    head = b"Exif\0\0II*\0\x08\0\0\0\x02\0"
    turned = b"\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"
    photometric_as_text = b"\x06\x01\x02\0\x02\0\0\0z\0\0\0"
    photo = PIL.Image.linear_gradient("L").resize((32, 24)).convert("RGB")
    data = saved(photo, "JPEG", exif=head + photometric_as_text + turned + bytes(4))
    with pytest.raises(Exception, match="int"):
        PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data)))

    image = as_image(data)

    upright = pixels(data).transpose(PIL.Image.Transpose.ROTATE_90)
    assert (image.rewritten, image.media_type) == (("tags",), "image/png")
    assert pixels(image.data).tobytes() == upright.tobytes()


def test_sizes_are_those_of_the_pixels_where_the_head_says_otherwise(
    saved: Saved, as_image: Opened, pixels: Pixels
) -> None:
    frames = [new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    moving = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    tag = PIL.Image.Exif()
    tag[0x0112] = 6
    body = b"eXIf" + tag.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))

    image = as_image(moving[:-12] + chunk + moving[-12:])

    assert (image.width_px, image.height_px) == pixels(image.data).size


def test_a_scan_of_12_bits_is_not_nearly_black(as_image: Opened, pixels: Pixels) -> None:
    entries = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (278, 1), (279, 3)]
    tags = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    scan = b"II*\0\x08\0\0\0\x08\0" + tags + bytes(16) + b"\xff\xf0\x00"

    image = as_image(scan)

    assert (list(pixels(image.data).tobytes()), image.rewritten[0]) == ([255, 0], "depth")


def grey_png(bits: int, clear: int, rows: bytes, size: tuple[int, int]) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + crc

    head = struct.pack(">IIBBBBB", *size, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"tRNS", struct.pack(">H", clear))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize(
    ("bits", "row", "greys"),
    [
        pytest.param(1, b"\x40", [0, 255, 0, 0], id="1 bit, white is clear"),
        pytest.param(2, b"\x1b", [0, 255, 170, 255], id="2 bits, the second level is clear"),
        pytest.param(4, b"\x01\x23", [0, 255, 34, 51], id="4 bits, the second level is clear"),
        pytest.param(8, b"\x00\x01\x02\x03", [0, 255, 2, 3], id="8 bits"),
    ],
)
def test_a_clear_grey_is_white_at_every_depth(
    as_image: Opened, pixels: Pixels, bits: int, row: bytes, greys: list[int]
) -> None:
    image = as_image(grey_png(bits, 1, b"\0" + row, (4, 1)))

    assert list(pixels(image.data).tobytes()[::3]) == greys


@pytest.mark.parametrize("policy", [ImagePolicy(check="decode"), ImagePolicy(form="canonical")])
def test_a_png_that_lacks_rows_is_never_half_black(policy: ImagePolicy) -> None:
    short = grey_png(8, 1, b"\0abcd" * 3, (4, 4))

    with pytest.raises(RowError) as caught:
        open_image(short, Limits(), policy, "$")

    assert caught.value.args == (Reason.IMAGE_UNREADABLE, "$", "15 of 20 bytes of pixels")


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (5, 3), (13, 1), (1, 13), (33, 9)])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_the_rows_of_every_png_of_pillow_s_are_counted_right(
    saved: Saved, mode: str, size: tuple[int, int]
) -> None:
    assert png.rows_fault(saved(new(mode, size), "PNG")) is None
