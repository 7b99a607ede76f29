"""A file of sample rows as people have them: pictures in several forms, some rows broken."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from vlm_datakit import formats
from vlm_datakit.conversation import Conversation
from vlm_datakit.errors import OutputError, UsageError
from vlm_datakit.formats.format import row_of
from vlm_datakit.samples import make_samples
from vlm_datakit.sinks.jsonl import json_line
from vlm_datakit.spoiling import WAYS, spoil, with_picture

PICTURE_FOLDER = "raw_images"
_TARGETS = ("openai", "simple")
_SUFFIX = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """How many rows, how many of them broken, in which format, from which seed.

    ``picture_folder`` is made beside the rows; a name of its own keeps two files apart.
    """

    count: int
    broken: int = 0
    seed: int = 0
    target: str = "openai"
    picture_folder: str = PICTURE_FOLDER


def sample_lines(request: SampleRequest, folder: Path | None) -> Iterator[bytes]:
    """Yield JSON lines; pictures as data URI, bare base64 and file path in turn.

    Args:
        request: What to make; the broken rows stand at places drawn from the seed.
        folder: Where the picture folder is made. None: no picture becomes a file.

    Raises:
        UsageError: more broken rows than rows, or a format without samples.
        OutputError: if the picture folder cannot be written.
    """
    if request.broken > request.count or request.broken < 0:
        raise UsageError(f"{request.broken} of {request.count} rows cannot be broken")
    if request.target not in _TARGETS:
        raise UsageError(f"samples come as {' or '.join(_TARGETS)}, not {request.target}")
    chance = random.Random(request.seed)  # noqa: S311 - places of broken rows
    places = set(chance.sample(range(request.count), request.broken))
    ways = cycle(WAYS)
    for index, conversation in enumerate(make_samples(request.count, request.seed)):
        row = row_of(conversation, formats.get(request.target))
        if index in places:
            yield json_line(spoil(row, request.target, next(ways)))
        else:
            yield json_line(_in_form(row, request, conversation, index, folder))


def _in_form(
    row: dict[str, Any],
    request: SampleRequest,
    conversation: Conversation,
    index: int,
    folder: Path | None,
) -> dict[str, Any]:
    """Return the row with its picture in the form whose turn it is."""
    image = conversation.images[0]
    form = index % 3
    if form == 1:
        return with_picture(row, request.target, base64.b64encode(image.data).decode())
    if form == 2 and folder is not None:
        name = f"{request.picture_folder}/{conversation.id}{_SUFFIX[image.media_type]}"
        _write_picture(folder / name, image.data)
        return with_picture(row, request.target, name)
    return row


def _write_picture(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from error
