"""One question with pictures, one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vlm_trainer.conversation import Conversation, ImageSize, Message
from vlm_trainer.errors import RowError, RowsRefused, SourceError
from vlm_trainer.pixels import cut_patches, open_image
from vlm_trainer.render import Rendered, lay_out_prompt
from vlm_trainer.trained import LOADING, Trained, answer, find_trained, load_trained


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """What to ask whom.

    Args:
        prompt: The question.
        images: Picture files, shown before the question in this order.
        system: System message; None for the template's own.
        model_name_or_path: Base, or output folder of a run.
        adapter: Output folder of a LoRA run, or None.
        max_new_tokens: Longest answer.
        min_pixels: None for those the model was trained with.
        max_pixels: None for those the model was trained with.
        use_cpu: Stay on the CPU.
    """

    prompt: str
    images: tuple[Path, ...] = ()
    system: str | None = None
    model_name_or_path: str | None = None
    adapter: Path | None = None
    max_new_tokens: int = 256
    min_pixels: int | None = None
    max_pixels: int | None = None
    use_cpu: bool = False


def generate(config: GenerateConfig, tell: Callable[[str], None] | None = None) -> str:
    """Answer a prompt about pictures, greedily.

    Raises:
        UsageError: No model given, or its pixel contract differs.
        SourceError: A picture file or the model cannot be read.
        RowsRefused: A picture is no picture, too large, or the model reads text only.
    """
    files = [_read(path) for path in config.images]
    place = find_trained(config.model_name_or_path, config.adapter)
    if tell:
        tell(LOADING)
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        limits = (config.min_pixels, config.max_pixels)
        trained = load_trained(place, limits, use_cpu=config.use_cpu)
        prompt = _rendered(config, files, trained)
        return answer(trained, [prompt], config.max_new_tokens)[0]


def _rendered(config: GenerateConfig, files: Sequence[bytes], trained: Trained) -> Rendered:
    try:
        pictures = [
            open_image(data, f"--image {path}")
            for path, data in zip(config.images, files, strict=True)
        ]
        sizes = tuple(ImageSize(*picture.size) for picture in pictures)
        asked = Conversation("prompt", _messages(config), image_sizes=sizes)
        prompt = lay_out_prompt(asked, trained.chat, trained.rule, trained.limit)
        patches = [cut_patches(picture, prompt.rule(trained.rule)) for picture in pictures]
    except RowError as error:
        raise RowsRefused(str(error)) from error
    return replace(prompt, images=tuple(patches))


def _messages(config: GenerateConfig) -> tuple[Message, ...]:
    image_parts = [{"type": "image", "text": None} for _ in config.images]
    asked = {"role": "user", "content": [*image_parts, {"type": "text", "text": config.prompt}]}
    if config.system is None:
        return (asked,)
    told = {"role": "system", "content": [{"type": "text", "text": config.system}]}
    return (told, asked)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
