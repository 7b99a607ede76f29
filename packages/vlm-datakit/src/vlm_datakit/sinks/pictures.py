"""How pictures stand in rows that are written: in them, as files beside them, or as they came."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from vlm_datakit.conversation import Image
from vlm_datakit.errors import OutputError
from vlm_datakit.formats.format import data_uri

_SUFFIXES = {"image/jpeg": ".jpg", "image/tiff": ".tif", "image/jp2": ".jp2"}


@dataclass(frozen=True, slots=True)
class Inline:
    """Pictures are data URIs."""

    def __call__(self, image: Image) -> str:
        """Return the text that stands for a picture."""
        return data_uri(image)


@dataclass(frozen=True, slots=True)
class AsGiven:
    """Pictures are what the row said, character for character; else data URIs."""

    def __call__(self, image: Image) -> str:
        """Return the text that stands for a picture."""
        return data_uri(image) if image.spelled is None else image.spelled


@dataclass(frozen=True, slots=True)
class AsFiles:
    """Pictures are files, each once, named by their content; rows name them.

    Args:
        folder: Made if it is not there; what else is in it stays.
        named: What rows call the folder.
    """

    folder: Path
    named: str

    def __call__(self, image: Image) -> str:
        """Write a picture unless it is there, and return the text that names it.

        Raises:
            OutputError: if it cannot be written.
        """
        digest = hashlib.sha256(image.data).hexdigest()[:32]
        suffix = _SUFFIXES.get(image.media_type, f".{image.media_type.partition('/')[2]}")
        path = self.folder / digest[:2] / f"{digest}{suffix}"
        try:
            if not (path.is_file() and path.stat().st_size == len(image.data)):
                _write(path, image.data)
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}") from error
        return f"{self.named}/{digest[:2]}/{path.name}"


#: What turns a picture into the text that stands for it in a row.
Spelling = Inline | AsGiven | AsFiles


def _write(path: Path, data: bytes) -> None:
    """Write a file that is whole under its name, whoever else writes it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
