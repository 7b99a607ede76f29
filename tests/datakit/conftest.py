"""Tiny real pictures, whole and broken, and the stages that open them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from vlm_datakit.conversation import Conversation, Image, ImageRef, ImageSource, Message, Text
from vlm_datakit.images.files import read_image_file
from vlm_datakit.images.resolver import Opener, open_image
from vlm_datakit.plan import ImagePolicy, Limits
from vlm_datakit.sources.jsonl import Span
from vlm_datakit.sources.kinds import read
from vlm_datakit.sources.local import source_files
from vlm_datakit.sources.opening import open_source


@pytest.fixture(scope="session")
def saved() -> Callable[..., bytes]:
    """Return what Pillow writes for a picture: ``saved(image, "TIFF", **options)``."""

    def save(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    return save


@pytest.fixture(scope="session")
def pixels() -> Callable[[bytes], PIL.Image.Image]:
    """Decode the bytes of a picture."""

    def decode(data: bytes) -> PIL.Image.Image:
        with PIL.Image.open(io.BytesIO(data)) as image:
            image.load()
            return image

    return decode


@pytest.fixture(scope="session")
def noise(saved: Callable[..., bytes]) -> Callable[[str], bytes]:
    """Return a picture that does not compress, so that a cut goes through its pixels."""

    def make(kind: str) -> bytes:
        return saved(PIL.Image.effect_noise((64, 64), 90), kind)

    return make


@pytest.fixture(scope="session")
def as_image() -> Callable[[bytes], Image]:
    """Open picture bytes under the default limits."""

    def open_it(data: bytes) -> Image:
        return open_image(data, Limits(), ImagePolicy(), "$.image")

    return open_it


@pytest.fixture
def resolve(tmp_path: Path) -> Callable[[ImageSource], Image]:
    """Open pictures as a run does; named files lie in tmp_path."""

    def read(name: str, max_bytes: int, where: str) -> bytes:
        return read_image_file(name, [tmp_path.resolve()], max_bytes, where)

    return Opener(Limits(), ImagePolicy(), read)


@pytest.fixture(scope="session")
def chat() -> Callable[..., Conversation]:
    """Return a conversation of one question and one answer: ``chat("2 + 2?", "4", images)``."""

    def make(
        question: str = "2 + 2?", answer: str = "4", images: Sequence[Image] = (), **facts: Any
    ) -> Conversation:
        places = (ImageRef(),) * len(images)
        messages = (
            Message("user", (*places, Text(question))),
            Message("assistant", (Text(answer),)),
        )
        return Conversation(messages, tuple(images), **facts)

    return make


@pytest.fixture
def source_rows() -> Callable[[Path], list[Any]]:
    """Read all rows of a file, whatever its kind."""

    def rows(path: Path) -> list[Any]:
        (file,) = source_files([str(path)], None)
        with open_source(file) as stream:
            return list(read(file, stream, Span(file.name)))

    return rows
