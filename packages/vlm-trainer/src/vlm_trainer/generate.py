"""Questions with pictures, and their answers: one, or a line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from vlm_trainer.conversation import Conversation, ImageSize
from vlm_trainer.errors import RowError, RowsRefused, SourceError
from vlm_trainer.pixels import cut_patches, open_image
from vlm_trainer.prompts import (
    Prompt,
    answered_row,
    check_text,
    is_utf8,
    messages_of,
    read_prompt,
    read_row,
)
from vlm_trainer.render import Rendered, lay_out_prompt
from vlm_trainer.trained import LOADING, Trained, answer, find_trained, load_trained


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Whom to ask, and how much.

    Args:
        model_name_or_path: Base, or output folder of a run.
        adapter: Output folder of a LoRA run, or None.
        max_new_tokens: Longest answer.
        batch_size: Lines answered at once.
        image_root: Folder below which the paths in lines lie.
        min_pixels: None for those the model was trained with.
        max_pixels: None for those the model was trained with.
        use_cpu: Stay on the CPU.
        load_in: ``4bit`` or ``8bit`` to quantise the base; None loads it as it is.
    """

    model_name_or_path: str | None = None
    adapter: Path | None = None
    max_new_tokens: int = 256
    batch_size: int = 8
    image_root: Path = Path()
    min_pixels: int | None = None
    max_pixels: int | None = None
    use_cpu: bool = False
    load_in: str | None = None


def read_pictures(paths: Iterable[Path]) -> tuple[bytes, ...]:
    """Read picture files that a person named.

    Raises:
        SourceError: One cannot be read.
    """
    try:
        return tuple([path.read_bytes() for path in paths])
    except OSError as error:
        raise SourceError(f"{error.filename}: cannot be read ({error.strerror})") from error


def generate(
    config: GenerateConfig, prompt: Prompt, tell: Callable[[str], None] | None = None
) -> str:
    """Answer one prompt, greedily.

    Raises:
        UsageError: No model given, or its pixel contract differs.
        SourceError: The model cannot be read.
        RowsRefused: A picture is no picture, too large, or the model reads text only.
    """
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        trained = _load(config, tell)
        try:
            rendered = _rendered(prompt, trained)
        except RowError as error:
            raise RowsRefused(str(error)) from error
        return answer(trained, [rendered], [config.max_new_tokens])[0]


def generate_lines(
    config: GenerateConfig, lines: Iterable[str], tell: Callable[[str], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Answer lines of JSON as they come, a row out for each line in, in order.

    Args:
        config: Model and batch.
        lines: See `vlm_trainer.prompts.read_prompt`; blank ones are none.
        tell: Takes the line for a person.

    Returns:
        The rows with ``response``; it is null, and ``error`` says why, where a line cannot be
        asked.

    Raises:
        UsageError, SourceError: As `generate`.
    """
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        trained = _load(config, tell)
        coming = (line for line in lines if line.strip())
        while batch := list(islice(coming, config.batch_size)):
            yield from _answered(batch, trained, config)


def _load(config: GenerateConfig, tell: Callable[[str], None] | None) -> Trained:
    place = find_trained(config.model_name_or_path, config.adapter)
    if tell:
        tell(LOADING)
    limits = (config.min_pixels, config.max_pixels)
    return load_trained(place, limits, use_cpu=config.use_cpu, load_in=config.load_in, tell=tell)


def _answered(
    batch: Sequence[str], trained: Trained, config: GenerateConfig
) -> Iterator[dict[str, Any]]:
    asked: list[Rendered | RowError] = [_asked(line, trained, config.image_root) for line in batch]
    good = [rendered for rendered in asked if isinstance(rendered, Rendered)]
    limits = [config.max_new_tokens] * len(good)
    answers = iter(answer(trained, good, limits) if good else ())
    for line, found in zip(batch, asked, strict=True):
        if isinstance(found, Rendered):
            yield answered_row(read_row(line), next(answers))
            continue
        try:
            row = read_row(line)
        except RowError:
            row = {"line": line.rstrip("\n")}
        yield answered_row(row, None, str(found))


def _asked(line: str, trained: Trained, root: Path) -> Rendered | RowError:
    try:
        return _rendered(read_prompt(line, root), trained)
    except RowError as error:
        return error


def _rendered(prompt: Prompt, trained: Trained) -> Rendered:
    """Render a prompt.

    Raises:
        RowError: A text that is none; a picture that is none, too large or too narrow, or not
            for this model.
    """
    check_text(prompt.text, "$.text")
    check_text(prompt.system or "", "$.system")
    pictures = [open_image(data, f"$.images[{n}]") for n, data in enumerate(prompt.images)]
    sizes = tuple(ImageSize(*picture.size) for picture in pictures)
    messages = messages_of(prompt.text, len(pictures), prompt.system)
    asked = Conversation("prompt", messages, image_sizes=sizes)
    laid_out = lay_out_prompt(asked, trained.chat, trained.rule, trained.limit)
    patches = [cut_patches(picture, laid_out.rule(trained.rule)) for picture in pictures]
    return replace(laid_out, images=tuple(patches))


def as_line(row: dict[str, Any]) -> str:
    """Return a row as a line of JSON; what UTF-8 does not have stands escaped, as it came."""
    line = json.dumps(row, ensure_ascii=False)
    return line if is_utf8(line) else json.dumps(row)
