"""Exact token counts of a split before training, from texts and picture headers.

Every row is laid out once, without its pictures: what cannot be trained is known by id
before a model is loaded, and the number of steps and tokens is a fact, not a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlm_trainer.chat import Chat
from vlm_trainer.conversation import Conversation
from vlm_trainer.errors import Reason, Refused, RowError
from vlm_trainer.pairs import of_both
from vlm_trainer.render import IGNORED, TrainOn, all_answers, lay_out
from vlm_trainer.sizes import PixelRule

if TYPE_CHECKING:
    import numpy as np

BAR_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Measure:
    """How rows are counted: the model's words, its pixels, and the longest row allowed.

    Args:
        chat: Template and tokenizer.
        rule: Image processor numbers.
        max_length: Longest row in tokens; None for no limit. Rows are never cut.
        train_on: Chooses the trained messages.
        pairs: The rows are preference pairs.
    """

    chat: Chat
    rule: PixelRule
    max_length: int | None = None
    train_on: TrainOn = all_answers
    pairs: bool = False


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts of the rows that can be trained, and the others by reason.

    Args:
        rows: Numbers of the rows kept, rising, int64 (N,).
        tokens: Tokens of each kept row, int64 (N,); of a pair, both answers with their prompts.
        trained: Of these, tokens with a label, int64 (N,).
        images: Pictures in all kept rows.
        total_rows: Rows of the split, kept or not.
        refused: Rows that cannot be trained, in order.
        excluded: Ids left out on request that were found.
    """

    rows: np.ndarray[Any, Any]
    tokens: np.ndarray[Any, Any]
    trained: np.ndarray[Any, Any]
    images: int
    total_rows: int
    refused: tuple[Refused, ...]
    excluded: tuple[str, ...]


def measure(
    conversations: Iterable[Conversation], how: Measure, exclude_ids: Sequence[str] = ()
) -> Lengths:
    """Count the tokens of every row, exactly as training will see them.

    Args:
        conversations: Without pictures is enough; sizes are used.
        how: Words, pixels and limit.
        exclude_ids: Rows left out on request.

    Returns:
        Counts of the kept rows; rows that cannot be trained are in ``refused``, with
        the reasons of `vlm_trainer.render.lay_out` and ``row-too-long``.
    """
    import numpy as np

    kept: list[tuple[int, int, int, int]] = []
    refused: list[Refused] = []
    excluded: list[str] = []
    unwanted = frozenset(exclude_ids)
    count = _count_pair if how.pairs else _count
    row = -1
    for row, conversation in enumerate(conversations):
        if conversation.id in unwanted:
            excluded.append(conversation.id)
            continue
        try:
            kept.append((row, *count(conversation, how)))
        except RowError as error:
            refused.append(Refused(conversation.id, error.reason, error.where, error.seen))
    counts = np.asarray(kept, dtype=np.int64).reshape(-1, 4).T
    return Lengths(
        rows=counts[0],
        tokens=counts[1],
        trained=counts[2],
        images=int(counts[3].sum()),
        total_rows=row + 1,
        refused=tuple(refused),
        excluded=tuple(excluded),
    )


def reasons(refused: Iterable[Refused]) -> dict[str, int]:
    """Count refused rows by reason, most frequent first."""
    return dict(Counter(str(row.reason) for row in refused).most_common())


def histogram(tokens: Sequence[int] | np.ndarray[Any, Any], bins: int = 8) -> list[str]:
    r"""Draw the lengths as lines of text: a range of tokens, a bar, a count.

    Example:
        >>> print("\n".join(histogram([4, 5, 5, 90], bins=2)))
           4-47        3 ##############################
          48-90        1 ##########
    """
    low, high = int(min(tokens)), int(max(tokens))
    step = max(1, -(-(high - low + 1) // bins))
    counts = Counter((int(count) - low) // step for count in tokens)
    most = max(counts.values())
    lines = []
    for index in range(-(-(high - low + 1) // step)):
        start, stop = low + index * step, min(high, low + (index + 1) * step - 1)
        bar = "#" * round(BAR_WIDTH * counts[index] / most)
        lines.append(f"{start:>4}-{stop:<5} {counts[index]:>5} {bar}".rstrip())
    return lines


def _count(conversation: Conversation, how: Measure) -> tuple[int, int, int]:
    laid_out = lay_out(conversation, how.chat, how.rule, how.train_on)
    tokens = len(laid_out.ids)
    if how.max_length is not None and tokens > how.max_length:
        seen = f"{tokens} tokens, --max-length {how.max_length}"
        raise RowError(Reason.ROW_TOO_LONG, "$.messages", seen)
    trained = int((laid_out.labels[1:] != IGNORED).sum())
    return tokens, trained, len(conversation.image_sizes)


def _count_pair(conversation: Conversation, how: Measure) -> tuple[int, int, int]:
    """Count both sides, each of which must fit; the pictures are the prompt's."""
    chosen, rejected = of_both(conversation, lambda side: _count(side, how))
    return chosen[0] + rejected[0], chosen[1] + rejected[1], chosen[2]
