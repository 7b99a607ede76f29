"""Exact token counts of a split before training, from texts and picture headers.

Every row is laid out once, without its pictures: what cannot be trained is known by id
before a model is loaded, and the number of steps and tokens is a fact, not a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlm_trainer.chat import Chat
from vlm_trainer.config import DataOptions
from vlm_trainer.conversation import Conversation
from vlm_trainer.errors import Refused, RowError
from vlm_trainer.labels import LabelRule, has_unread_flags
from vlm_trainer.mixing import Part
from vlm_trainer.pairs import Pair, lay_out_pair, render_pair
from vlm_trainer.render import ANSWERS, IGNORED, Alter, Rendered, lay_out, loses_tools, render
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule
from vlm_trainer.windows import Windows

if TYPE_CHECKING:
    import numpy as np

BAR_WIDTH = 30


@dataclass(frozen=True, slots=True)
class Measure:
    """How rows are counted and rendered, which must be the same way.

    Args:
        chat: Template and tokenizer.
        rule: Image processor numbers.
        limit: Longest row; None for any.
        labels: What is trained.
        pairs: The rows are preference pairs.
    """

    chat: Chat
    rule: PixelRule
    limit: TokenLimit | None = None
    labels: LabelRule = ANSWERS
    pairs: bool = False

    def lay_out(self, conversation: Conversation) -> Rendered:
        """Lay a row out, as `vlm_trainer.render.lay_out`."""
        return lay_out(conversation, self.chat, self.rule, self.labels, self.limit)

    def render(self, conversation: Conversation, alter: Alter | None = None) -> Rendered:
        """Render a row with its pictures, as `vlm_trainer.render.render`."""
        return render(conversation, self.chat, self.rule, self.labels, self.limit, alter)

    def lay_out_pair(self, conversation: Conversation) -> Pair:
        """Lay both sides out, as `vlm_trainer.pairs.lay_out_pair`."""
        return lay_out_pair(conversation, self.chat, self.rule, self.labels, self.limit)

    def render_pair(self, conversation: Conversation, alter: Alter | None = None) -> Pair:
        """Render both sides with their pictures, as `vlm_trainer.pairs.render_pair`."""
        return render_pair(conversation, self.chat, self.rule, self.labels, self.limit, alter)


def token_limit(data: DataOptions) -> TokenLimit | None:
    """Return the longest row that the settings allow."""
    if data.max_length is None:
        return None
    return TokenLimit(data.max_length, shrinks=data.on_too_long == "shrink")


def label_rule(data: DataOptions) -> LabelRule:
    """Return what the settings train."""
    return LabelRule(data.train_on, data.json_focus, data.json_focus_keys)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Token counts of the rows that can be trained, and the others by reason.

    Args:
        rows: Numbers of the rows kept, rising, int64 (N,).
        tokens: Tokens of each kept row, int64 (N,); of a pair, both answers with their prompts.
        trained: Of these, tokens with a label, int64 (N,).
        widths: The longest text of each kept row, int64 (N,): its tokens, or those of the longer
            side of a pair.
        images: Pictures an epoch shows.
        total_rows: Rows of the split, kept or not; with a limit, those looked at.
        refused: Rows that cannot be trained, in order.
        excluded: Ids left out on request that were found.
        shrunk: Kept rows that fit because their pictures were made smaller.
        shrunk_to: The smallest ``max_pixels`` among these, 0 when there are none.
        unread_flags: Kept rows whose flags want other messages trained than are.
        unwritten_tools: Kept rows with tools that the chat template leaves out.
        patches: Of the row that shows most, before they are merged into tokens.
        parts: The folders of a mix, whose rows are numbered one folder after another; none for a
            single one.
        windows: By which the rows are shuffled; None for all at once, and in a mix.
    """

    rows: np.ndarray[Any, Any]
    tokens: np.ndarray[Any, Any]
    trained: np.ndarray[Any, Any]
    widths: np.ndarray[Any, Any]
    images: int
    total_rows: int
    refused: tuple[Refused, ...]
    excluded: tuple[str, ...]
    shrunk: int = 0
    shrunk_to: int = 0
    unread_flags: int = 0
    unwritten_tools: int = 0
    patches: int = 0
    parts: tuple[Part, ...] = ()
    windows: Windows | None = None

    @property
    def shown(self) -> int:
        """Rows an epoch shows."""
        return sum(part.shown for part in self.parts) if self.parts else len(self.rows)

    def an_epoch(self, values: np.ndarray[Any, Any]) -> int:
        """Sum a value of each kept row over an epoch; of a folder shown in part, on average."""
        import numpy as np

        if not self.parts:
            return int(values.sum())
        counts = [len(part.kept) for part in self.parts]
        times = [part.shown / max(1, len(part.kept)) for part in self.parts]
        return round(float((values * np.repeat(times, counts)).sum()))


def measure(
    conversations: Iterable[Conversation],
    how: Measure,
    exclude_ids: Sequence[str] = (),
    wanted: Callable[[int], bool] | None = None,
    limit: int | None = None,
) -> Lengths:
    """Count the tokens of every row, exactly as training will see them.

    Args:
        conversations: Without pictures is enough; sizes are used.
        how: Words, pixels and limit.
        exclude_ids: Rows left out on request.
        wanted: Says of a row's number whether it is counted; None counts all.
        limit: Rows to keep at most: those after them are not looked at.

    Returns:
        Counts of the kept rows; the others are in ``refused``, by the reasons of `how`.
    """
    kept: list[tuple[int, ...]] = []
    refused: list[Refused] = []
    excluded: list[str] = []
    unwanted = frozenset(exclude_ids)
    count = _count_pair if how.pairs else _count
    row = -1
    for row, conversation in enumerate(conversations):
        if conversation.id in unwanted:
            excluded.append(conversation.id)
            continue
        if wanted and not wanted(row):
            continue
        try:
            kept.append((row, *count(conversation, how)))
        except RowError as error:
            refused.append(Refused(conversation.id, error.reason, error.where, error.seen))
        if len(kept) == limit:
            break
    return _as_lengths(kept, row + 1, refused, excluded)


def _as_lengths(
    kept: Sequence[tuple[int, ...]],
    total_rows: int,
    refused: Sequence[Refused],
    excluded: Sequence[str],
) -> Lengths:
    import numpy as np

    counts = np.asarray(kept, dtype=np.int64).reshape(-1, 9).T
    shrunk = counts[4][counts[4] > 0]
    return Lengths(
        rows=counts[0],
        tokens=counts[1],
        trained=counts[2],
        widths=counts[7],
        images=int(counts[3].sum()),
        total_rows=total_rows,
        refused=tuple(refused),
        excluded=tuple(excluded),
        shrunk=len(shrunk),
        shrunk_to=int(shrunk.min()) if len(shrunk) else 0,
        unread_flags=int(counts[5].sum()),
        patches=int(counts[6].max(initial=0)),
        unwritten_tools=int(counts[8].sum()),
    )


def joined(
    lengths: Sequence[Lengths], folders: Sequence[tuple[str, float]], limit: int | None = None
) -> Lengths:
    """Return the counts of a mix: those of its folders, one after another.

    Args:
        lengths: Of each folder; their ``total_rows`` are those of the whole splits.
        folders: Their names and weights.
        limit: Rows of each that were kept at most.
    """
    import numpy as np

    parts = tuple(
        Part(name, counts.rows, counts.total_rows, weight, limit, counts.windows)
        for counts, (name, weight) in zip(lengths, folders, strict=True)
    )
    starts = np.cumsum([0, *(part.total_rows for part in parts)])
    both = list(zip(lengths, parts, strict=True))
    rows = [part.kept + start for part, start in zip(parts, starts[:-1], strict=True)]
    pictures = [counts.images * part.shown / max(1, len(part.kept)) for counts, part in both]
    return Lengths(
        rows=np.concatenate(rows),
        tokens=np.concatenate([counts.tokens for counts in lengths]),
        trained=np.concatenate([counts.trained for counts in lengths]),
        widths=np.concatenate([counts.widths for counts in lengths]),
        images=round(sum(pictures)),
        total_rows=int(starts[-1]),
        refused=tuple(
            replace(row, folder=part.folder) for counts, part in both for row in counts.refused
        ),
        excluded=tuple(name for counts in lengths for name in counts.excluded),
        shrunk=sum(counts.shrunk for counts in lengths),
        shrunk_to=min((counts.shrunk_to for counts in lengths if counts.shrunk), default=0),
        unread_flags=sum(counts.unread_flags for counts in lengths),
        unwritten_tools=sum(counts.unwritten_tools for counts in lengths),
        patches=max((counts.patches for counts in lengths), default=0),
        parts=parts,
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


def _count(conversation: Conversation, how: Measure) -> tuple[int, ...]:
    laid_out = how.lay_out(conversation)
    return (
        len(laid_out.ids),
        int((laid_out.labels[1:] != IGNORED).sum()),
        len(conversation.image_sizes),
        laid_out.shrunk_to or 0,
        has_unread_flags(conversation, how.labels.train_on),
        _patches(laid_out, how),
        len(laid_out.ids),
        loses_tools(conversation, how.chat),
    )


def _count_pair(conversation: Conversation, how: Measure) -> tuple[int, ...]:
    """Count both sides; the pictures are the prompt's."""
    pair = how.lay_out_pair(conversation)
    sides = (pair.chosen, pair.rejected)
    return (
        sum(len(side.ids) for side in sides),
        sum(int((side.labels[1:] != IGNORED).sum()) for side in sides),
        len(conversation.image_sizes),
        pair.chosen.shrunk_to or 0,
        False,
        _patches(pair.chosen, how),
        max(len(side.ids) for side in sides),
        loses_tools(conversation, how.chat),
    )


def _patches(laid_out: Rendered, how: Measure) -> int:
    seen = int((laid_out.ids == how.chat.image_token_id).sum())
    return seen * how.rule.merge_size**2
