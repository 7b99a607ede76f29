"""How good a model is on held-out rows: its loss, and answers equal to the letter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlm_trainer.conversation import Conversation, answer_text
from vlm_trainer.data import ShardSet, find_split
from vlm_trainer.errors import RowError, RowsRefused
from vlm_trainer.lengths import Measure, measure
from vlm_trainer.plan import check_trainable
from vlm_trainer.render import IGNORED, Rendered, lay_out_prompt
from vlm_trainer.trained import LOADING, Trained, answer, find_trained, load_trained

SPARE_TOKENS = 4
SHOWN_MISSES = 5


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What to evaluate on what.

    Args:
        data: Folder of an import.
        split: Its held-out split.
        model_name_or_path: Base, or output folder of a run.
        adapter: Output folder of a LoRA run, or None.
        limit: First so many rows; None for all.
        batch_size: Rows answered at once.
        min_pixels: None for those the model was trained with.
        max_pixels: None for those the model was trained with.
        use_cpu: Stay on the CPU.
    """

    data: Path
    split: str = "test"
    model_name_or_path: str | None = None
    adapter: Path | None = None
    limit: int | None = None
    batch_size: int = 32
    min_pixels: int | None = None
    max_pixels: int | None = None
    use_cpu: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a model on a split.

    Args:
        rows: Rows answered.
        loss: Mean negative log-likelihood over all trained tokens.
        exact_match: Share of rows whose last answer is equal, white space at both ends aside.
        seconds: After loading.
        misses: The first wrong answers: row id, expected, given.
    """

    rows: int
    loss: float
    exact_match: float
    seconds: float
    misses: tuple[dict[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out row: all of it for the loss, its prompt and last answer for the match."""

    row_id: str
    whole: Rendered
    prompt: Rendered
    expected: str


def evaluate(config: EvaluateConfig, tell: Callable[[str], None] | None = None) -> Evaluation:
    """Measure a model on a split: loss over its answers, and exact match by generation.

    The last assistant message of a row is asked for, greedily, given all before it.

    Raises:
        UsageError: No model given, or its pixel contract differs.
        SourceError: Shards or model cannot be read.
        RowsRefused: Rows without an answer, or pictures that cannot be read.
    """
    shards = ShardSet(find_split(config.data, config.split))
    place = find_trained(config.model_name_or_path, config.adapter)
    if tell:
        tell(LOADING)
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        limits = (config.min_pixels, config.max_pixels)
        trained = load_trained(place, limits, use_cpu=config.use_cpu)
        started_s = time.monotonic()
        rows = _rows(shards, trained, config)
        result = _measure(trained, shards, rows, config.batch_size)
    return replace(result, seconds=round(time.monotonic() - started_s, 2))


def _rows(shards: ShardSet, trained: Trained, config: EvaluateConfig) -> list[int]:
    """Choose the rows, those of like length side by side so that padding stays small."""
    lengths = measure(shards.headers(), _how(trained))
    check_trainable(lengths, "stop", f"{config.data} split {config.split}")
    count = len(lengths.rows) if config.limit is None else config.limit
    chosen = zip(lengths.tokens[:count].tolist(), lengths.rows[:count].tolist(), strict=True)
    return [row for _, row in sorted(chosen)]


def _measure(
    trained: Trained, shards: ShardSet, rows: Sequence[int], batch_size: int
) -> Evaluation:
    loss_sum, tokens, matches, misses = 0.0, 0, 0, []
    for start in range(0, len(rows), batch_size):
        questions = [
            _question(shards.get(row), _how(trained)) for row in rows[start : start + batch_size]
        ]
        batch_loss, batch_tokens = _loss(trained, [question.whole for question in questions])
        loss_sum, tokens = loss_sum + batch_loss, tokens + batch_tokens
        for question, given in _answers(trained, questions):
            if given.strip() == question.expected.strip():
                matches += 1
            else:
                misses.append(
                    {"id": question.row_id, "expected": question.expected, "given": given}
                )
    return Evaluation(
        rows=len(rows),
        loss=round(loss_sum / max(1, tokens), 6),
        exact_match=round(matches / max(1, len(rows)), 6),
        seconds=0.0,
        misses=tuple(misses[:SHOWN_MISSES]),
    )


def _how(trained: Trained) -> Measure:
    return Measure(trained.chat, trained.rule, trained.limit)


def _question(conversation: Conversation, how: Measure) -> Question:
    messages = conversation.messages
    last = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
    try:
        whole = how.render(conversation)
        before = _first_messages(conversation, last)
        images = whole.images[: len(before.image_sizes)]
        asked = lay_out_prompt(before, how.chat, whole.rule(how.rule))
    except RowError as error:
        raise RowsRefused(f"row {conversation.id!r}: {error}") from error
    prompt = replace(asked, images=images)
    return Question(conversation.id, whole, prompt, answer_text(messages[last]))


def _first_messages(conversation: Conversation, count: int) -> Conversation:
    messages = conversation.messages[:count]
    images = sum(part["type"] == "image" for message in messages for part in message["content"])
    return replace(
        conversation,
        messages=messages,
        images=conversation.images[:images],
        image_sizes=conversation.image_sizes[:images],
    )


def _loss(trained: Trained, rows: Sequence[Rendered]) -> tuple[float, int]:
    """Return the summed loss of a batch and the tokens it was summed over."""
    import torch

    from vlm_trainer.collate import collate

    chat = trained.chat
    device = next(trained.model.parameters()).device
    batch = collate(rows, chat.pad_id, chat.image_token_id)
    tensors: dict[str, Any] = {name: tensor.to(device) for name, tensor in batch.items()}
    labels_BT = tensors.pop("labels")[:, 1:]
    with torch.inference_mode():
        logits_BTV = trained.model(**tensors).logits[:, :-1]
        summed = torch.nn.functional.cross_entropy(
            logits_BTV.float().flatten(0, 1), labels_BT.flatten(),
            ignore_index=IGNORED, reduction="sum",
        )  # fmt: skip
    return float(summed), int((labels_BT != IGNORED).sum())


def _answers(trained: Trained, questions: Sequence[Question]) -> Iterator[tuple[Question, str]]:
    """Answer a batch. A longer answer than the longest expected one is wrong anyway."""
    longest = max(
        len(trained.chat.tokenizer.encode(question.expected).ids) for question in questions
    )
    prompts = [question.prompt for question in questions]
    return zip(questions, answer(trained, prompts, longest + SPARE_TOKENS), strict=True)
