"""What an accepted picture must keep: a reader opens it and finds the promised size."""

from __future__ import annotations

import warnings

import PIL.ImageOps
from cases import Case
from picture_seeds import opened

from vlm_datakit.conversation import Converted, Image

_CLEAN = {"image/jpeg", "image/png", "image/webp"}


class BrokenPromiseError(Exception):
    """A picture was accepted that a reader does not find as it was promised."""


def hold_to_promise(chosen: Case, found: Converted) -> None:
    """Compare each picture with what a reader finds in its header.

    Raises:
        BrokenPromiseError: It does not open, has another size or another mode.
    """
    for image in found.conversation.images:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                reader = opened(image.data)
            except Exception as error:
                raise BrokenPromiseError(f"{image.media_type} does not open") from error
        size = (image.width_px, image.height_px)
        turns = () if image.rewritten else (reader.size[::-1],)  # by a tag, kept with the bytes
        if size not in (reader.size, *turns):
            raise BrokenPromiseError(f"{reader.size} was promised to be {size}")
        is_clean = reader.mode in ("L", "RGB") and image.media_type in _CLEAN
        if chosen.policy.form != "untouched" and not is_clean:
            raise BrokenPromiseError(f"{reader.mode} in {image.media_type} is not canonical")


def fault_of(image: Image) -> str | None:
    """Decode a picture to its end, as a reader does; None if it is as large as promised.

    No promise: a whole container may hold pixels that do not decode. Counted only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with opened(image.data) as picture:
                picture.load()
                size = PIL.ImageOps.exif_transpose(picture).size
        except Exception as error:
            return type(error).__name__
    return None if size == (image.width_px, image.height_px) else "another size"
