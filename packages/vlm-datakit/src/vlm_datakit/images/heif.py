"""HEIC, the photos of phones, through the extra ``vlm-datakit[heif]``."""

from __future__ import annotations

from typing import IO

import PIL.Image

from vlm_datakit.errors import Reason, RowError

HEIF = "image/heic"
_ADVICE = "HEIC needs pip install 'vlm-datakit[heif]'"


def open_heif(file: IO[bytes], where: str) -> PIL.Image.Image:
    """Open a HEIC file with pillow-heif, if it is installed.

    Raises:
        RowError: ``image-type-unsupported``, naming the extra, if it is not.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise RowError(Reason.IMAGE_TYPE_UNSUPPORTED, where, _ADVICE) from error
    image: PIL.Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image
