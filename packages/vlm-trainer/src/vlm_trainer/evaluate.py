"""How good a model is on held-out rows: its loss, and how right its answers are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from vlm_trainer.addresses import Address
from vlm_trainer.conversation import Conversation, answer_text
from vlm_trainer.data import CACHE_BYTES, ShardSet, find_split
from vlm_trainer.errors import RowError, RowsRefused
from vlm_trainer.judged import Answered, check_place, write_judged
from vlm_trainer.lengths import Lengths, Measure, measure, reasons
from vlm_trainer.plan import check_trainable
from vlm_trainer.render import IGNORED, Rendered, lay_out_prompt
from vlm_trainer.scores import FieldScores, anls, exact, field_scores, normalised, share
from vlm_trainer.trained import LOADING, Trained, answer, find_trained, load_trained
from vlm_trainer.windows import windows_of

SHOWN_MISSES = 5


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """What to evaluate on what.

    Args:
        data: Folder of an import, or its address.
        split: Its held-out split.
        model_name_or_path: Base, or output folder of a run.
        adapter: Output folder of a LoRA run, or None.
        limit: First so many rows that can be asked; None for all.
        on_refused: ``stop`` if a row cannot be asked, or ``drop`` it and count it.
        batch_size: Rows answered at once.
        min_pixels: None for those the model was trained with.
        max_pixels: None for those the model was trained with.
        use_cpu: Stay on the CPU.
        load_in: ``4bit`` or ``8bit`` to quantise the base; None loads it as it is.
        output: Folder for every answer, the figures, and a page with the wrong ones; or None.
        max_new_tokens: Longest answer; None for twice the tokens that a row's expected one
            has, and 16 more.
    """

    data: Path | Address
    split: str = "test"
    model_name_or_path: str | None = None
    adapter: Path | None = None
    limit: int | None = None
    on_refused: str = "stop"
    batch_size: int = 32
    min_pixels: int | None = None
    max_pixels: int | None = None
    use_cpu: bool = False
    load_in: str | None = None
    output: Path | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a model on a split.

    Args:
        rows: Rows answered.
        loss: Mean negative log-likelihood over all trained tokens.
        exact_match: Share of rows whose last answer is equal, white space at both ends aside.
        normalised_match: The same with case, spacing and compatible letters aside.
        anls: Mean similarity, see `vlm_trainer.scores.anls`.
        fields: Of JSON answers; None where none is expected.
        seconds: After loading.
        misses: The first answers that are not exact: row id, expected, given.
        refused: Rows that were left out, by reason.
    """

    rows: int
    loss: float
    exact_match: float
    normalised_match: float
    anls: float
    fields: FieldScores | None
    seconds: float
    misses: tuple[dict[str, str], ...] = field(default=())
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out row: all of it for the loss, its prompt and last answer for the match."""

    row: int
    row_id: str
    whole: Rendered
    prompt: Rendered
    expected: str


def evaluate(config: EvaluateConfig, tell: Callable[[str], None] | None = None) -> Evaluation:
    """Measure a model on a split: loss over its answers, and how right they are.

    The last assistant message of a row is asked for, greedily, given all before it.

    Raises:
        UsageError: No model given, or its pixel contract differs.
        SourceError: Shards or model cannot be read.
        OutputError: ``output`` holds something else, or cannot be written.
        RowsRefused: Rows without an answer, or pictures that cannot be read.
    """
    split = find_split(config.data, config.split)
    shards = ShardSet(split)
    place = find_trained(config.model_name_or_path, config.adapter)
    if config.output:
        check_place(config.output)
    if tell:
        tell(LOADING)
    from vlm_trainer.model import quiet_libraries

    with quiet_libraries():
        limits = (config.min_pixels, config.max_pixels)
        trained = load_trained(
            place, limits, use_cpu=config.use_cpu, load_in=config.load_in, tell=tell
        )
        started_s = time.monotonic()
        lengths = _lengths(shards, trained, config)
        loss, answered = _measure(trained, shards, _in_turn(shards, lengths), config)
    took_s = round(time.monotonic() - started_s, 2)
    result = replace(_scored(loss, answered), seconds=took_s, refused=reasons(lengths.refused))
    if config.output:
        about = {
            "model": place.base,
            "adapter": str(place.adapter) if place.adapter else None,
            "load_in": config.load_in,
            "data": str(config.data),
            "split": config.split,
            "manifest_sha256": split.manifest_sha256,
        }
        write_judged(config.output, {**about, **_figures(result)}, answered, shards)
    return result


def _figures(result: Evaluation) -> dict[str, Any]:
    return {name: value for name, value in asdict(result).items() if name != "misses"}


def figure_lines(result: Evaluation) -> list[str]:
    """Say the figures to a person."""
    lines = [
        f"rows {result.rows:,}  loss {result.loss:.4f}  exact match {result.exact_match:.1%}  "
        f"normalised {result.normalised_match:.1%}  ANLS {result.anls:.3f}"
    ]
    if fields := result.fields:
        broken = f"  {fields.no_json:,} answers are no JSON" if fields.no_json else ""
        lines.append(
            f"fields {fields.expected:,}  precision {fields.precision:.3f}  "
            f"recall {fields.recall:.3f}  F1 {fields.f1:.3f}{broken}"
        )
    if result.refused:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in result.refused.items())
        lines.append(f"left out {counts}")
    shown = [f"{m['id']}: expected {m['expected']!r}, given {m['given']!r}" for m in result.misses]
    return lines + [f"  {line}" for line in shown]


def _lengths(shards: ShardSet, trained: Trained, config: EvaluateConfig) -> Lengths:
    """Count the tokens of the rows that are asked."""
    lengths = measure(shards.headers(), _how(trained), limit=config.limit)
    where = f"{config.data} split {config.split}"
    check_trainable(
        lengths, config.on_refused, where, way_on="To ask the others: --on-refused drop"
    )
    return lengths


def _in_turn(shards: ShardSet, lengths: Lengths) -> list[int]:
    """Return the rows, those of like length side by side so that padding stays small.

    Of a streamed split this is done in windows that are kept in memory: each row group comes once.
    """
    rows, blocks = lengths.rows, list(shards.split.blocks.values())
    windows = rows * 0
    if blocks:
        windows = windows_of(blocks, CACHE_BYTES // 2, lengths.total_rows).numbers(rows)
    keys = (windows.tolist(), lengths.tokens.tolist(), rows.tolist())
    return [row for _, _, row in sorted(zip(*keys, strict=True))]


def _measure(
    trained: Trained, shards: ShardSet, rows: Sequence[int], config: EvaluateConfig
) -> tuple[float, list[Answered]]:
    """Return the mean loss over all tokens, and the answers in the order of the rows."""
    loss_sum, tokens, answered = 0.0, 0, list[Answered]()
    for start in range(0, len(rows), config.batch_size):
        questions = [
            _question(row, shards.get(row), _how(trained))
            for row in rows[start : start + config.batch_size]
        ]
        batch_loss, batch_tokens = _loss(trained, [question.whole for question in questions])
        loss_sum, tokens = loss_sum + batch_loss, tokens + batch_tokens
        for asked, given in _answers(trained, questions, config.max_new_tokens):
            answered.append(Answered(asked.row, asked.row_id, asked.expected, given))
    answered.sort(key=lambda answer: answer.row)
    return loss_sum / max(1, tokens), answered


def _scored(loss: float, answered: Sequence[Answered]) -> Evaluation:
    pairs = [(answer.expected, answer.given) for answer in answered]
    misses = [answer for answer in answered if not answer.is_exact]
    return Evaluation(
        rows=len(pairs),
        loss=round(loss, 6),
        exact_match=share(sum(exact(*pair) for pair in pairs), len(pairs)),
        normalised_match=share(sum(normalised(a) == normalised(b) for a, b in pairs), len(pairs)),
        anls=share(sum(anls(*pair) for pair in pairs), len(pairs)),
        fields=field_scores(pairs),
        seconds=0.0,
        misses=tuple(
            {"id": miss.row_id, "expected": miss.expected, "given": miss.given}
            for miss in misses[:SHOWN_MISSES]
        ),
    )


def _how(trained: Trained) -> Measure:
    return Measure(trained.chat, trained.rule, trained.limit)


def _question(row: int, conversation: Conversation, how: Measure) -> Question:
    messages = conversation.messages
    last = max(index for index, message in enumerate(messages) if message["role"] == "assistant")
    try:
        whole = how.render(conversation)
        before = _first_messages(conversation, last)
        images = whole.images[: len(before.image_sizes)]
        asked = lay_out_prompt(before, how.chat, whole.rule(how.rule))
    except RowError as error:
        raise RowsRefused(f"row {conversation.id!r}: {error}") from error
    prompt, expected = replace(asked, images=images), answer_text(messages[last])
    return Question(row, conversation.id, whole, prompt, expected)


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


def _answers(
    trained: Trained, questions: Sequence[Question], longest: int | None
) -> Iterator[tuple[Question, str]]:
    """Answer a batch; each answer is cut at its own length, whatever stands beside it."""
    encode = trained.chat.tokenizer.encode
    limits = [longest or 2 * len(encode(question.expected).ids) + 16 for question in questions]
    prompts = [question.prompt for question in questions]
    return zip(questions, answer(trained, prompts, limits), strict=True)
