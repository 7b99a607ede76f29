"""Batches are those of the HF processor: same tensors, same logits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from vlm_trainer.chat import Chat
from vlm_trainer.collate import collate, collate_prompts
from vlm_trainer.conversation import from_columns
from vlm_trainer.errors import Reason, RowError
from vlm_trainer.render import Rendered, render
from vlm_trainer.sizes import PixelRule

RULE = PixelRule(min_pixels=784, max_pixels=3136)


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Any:
    from vlm_trainer.base_model import find_base
    from vlm_trainer.model import load_model, quiet_libraries

    with quiet_libraries():
        return load_model(find_base(str(tiny_folder)), dtype="float32")


@pytest.fixture(scope="module")
def mixed(rows: Any, photos: list[bytes]) -> list[dict[str, Any]]:
    """Rows with 0, 1 and 3 images."""
    return [
        rows.chat_row("none", rows.message("user", "Hello?"), rows.message("assistant", "Hi.")),
        rows.chat_row(
            "one",
            rows.message("user", rows.IMAGE, "What is it?"),
            rows.message("assistant", "An astronaut, smiling."),
            images=photos[:1],
        ),
        rows.chat_row(
            "three",
            rows.message("user", rows.IMAGE, "and", rows.IMAGE, "?"),
            rows.message("assistant", "a"),
            rows.message("user", rows.IMAGE),
            rows.message("assistant", "b"),
            images=photos,
        ),
    ]


def hf_batch(folder: Path, mixed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    from PIL import Image

    from vlm_trainer.hf_processor import load_processor

    processor = load_processor(folder)
    texts = [processor.apply_chat_template(row["messages"]) for row in mixed]
    pictures = [[Image.open(io.BytesIO(i["bytes"])) for i in row["images"]] for row in mixed]
    return dict(processor(text=texts, images=pictures, padding=True, return_tensors="pt"))


def ours(mixed: Sequence[dict[str, Any]], chat: Chat) -> dict[str, torch.Tensor]:
    rendered = [render(from_columns(row), chat, RULE) for row in mixed]
    return dict(collate(rendered, chat.pad_id, chat.image_token_id))


def test_a_mixed_batch_equals_that_of_the_hf_processor(
    mixed: list[dict[str, Any]], chat: Chat, tiny_words: Path
) -> None:
    batch = ours(mixed, chat)
    expected = hf_batch(tiny_words, mixed)

    labels = batch.pop("labels")

    assert set(batch) == set(expected)
    assert labels.shape == batch["input_ids"].shape
    for name, tensor in expected.items():
        assert torch.allclose(batch[name].float(), tensor.float(), atol=1e-5), name


def test_logits_of_a_mixed_batch_equal_those_of_the_hf_processor(
    mixed: list[dict[str, Any]], chat: Chat, tiny_words: Path, model: Any
) -> None:
    batch = ours(mixed, chat)
    del batch["labels"]

    with torch.inference_mode():
        logits = model(**batch).logits
        expected = model(**hf_batch(tiny_words, mixed)).logits

    seen = batch["attention_mask"].bool()
    assert (logits[seen] - expected[seen]).abs().max() < 1e-5


def test_without_the_token_types_positions_would_silently_differ(
    mixed: list[dict[str, Any]], chat: Chat, model: Any
) -> None:
    batch = ours(mixed[1:2], chat)
    blind = {key: value for key, value in batch.items() if key != "mm_token_type_ids"}

    with torch.inference_mode():
        difference = (model(**batch).logits - model(**blind).logits).abs().max()

    assert difference > 1e-3


@pytest.mark.parametrize("which", [[0], [1], [2], [0, 1, 2]])
def test_the_loss_of_a_row_does_not_depend_on_its_neighbours(
    mixed: list[dict[str, Any]], chat: Chat, model: Any, which: list[int]
) -> None:
    def summed(chosen: list[int]) -> float:
        batch = ours([mixed[index] for index in chosen], chat)
        tokens = int((batch["labels"][:, 1:] != -100).sum())
        with torch.inference_mode():
            return float(model(**batch).loss) * tokens

    apart = sum(summed([index]) for index in which)

    assert summed(which) == pytest.approx(apart, abs=1e-3)


def test_prompts_are_padded_on_the_left(mixed: list[dict[str, Any]], chat: Chat) -> None:
    rendered = [render(from_columns(row), chat, RULE) for row in mixed]

    batch = collate_prompts(rendered, chat.pad_id, chat.image_token_id)

    for row, ids, mask in zip(rendered, batch["input_ids"], batch["attention_mask"], strict=True):
        assert ids[-len(row.ids) :].tolist() == row.ids.tolist()
        assert mask.tolist() == [0] * (len(ids) - len(row.ids)) + [1] * len(row.ids)
    pads = batch["input_ids"] == chat.image_token_id
    assert torch.equal(batch["mm_token_type_ids"].bool(), pads)


def test_a_text_batch_has_no_image_entries(mixed: list[dict[str, Any]], chat: Chat) -> None:
    assert set(ours(mixed[:1], chat)) == {"input_ids", "labels", "attention_mask"}


def test_a_row_without_a_label_is_refused(mixed: list[dict[str, Any]], chat: Chat) -> None:
    row = render(from_columns(mixed[0]), chat, RULE)

    with pytest.raises(RowError) as caught:
        collate([row, Rendered(row.ids, row.labels * 0 - 100)], chat.pad_id, chat.image_token_id)

    assert caught.value.reason is Reason.NO_SUPERVISED_TOKEN
