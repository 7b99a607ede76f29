"""The HF processor of a model folder, also where torchvision is missing.

AutoProcessor needs torchvision for the video half of Qwen2.5-VL's processor. Pictures
alone do not: the same class without its video processor does the same to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoTokenizer, Qwen2_5_VLProcessor
from transformers.processing_utils import ProcessorMixin


class ImageOnlyProcessor(Qwen2_5_VLProcessor):  # a framework hook
    """Qwen2.5-VL's processor without its video half."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **_ignored: Any,
    ) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def load_processor(folder: Path) -> ImageOnlyProcessor:
    """Load the image-only processor of a Qwen2.5-VL folder, or of one of our outputs.

    Args:
        folder: Local folder with tokenizer, template and preprocessor_config.json.

    Returns:
        A processor whose batches hold ``mm_token_type_ids``, as AutoProcessor's do.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    image_processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    template = tokenizer.chat_template
    return ImageOnlyProcessor(image_processor, tokenizer, chat_template=template)
