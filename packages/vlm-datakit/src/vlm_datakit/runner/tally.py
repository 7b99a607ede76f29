"""Counts over the outcomes of one slice, as its receipt will state them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vlm_datakit.conversation import Conversation, Converted, Image, Rejected
from vlm_datakit.errors import SourceError
from vlm_datakit.plain import PlainColumns, PlainRows, Shape
from vlm_datakit.shards.manifest import Stats


class Tally:
    """Counts outcomes one by one.

    Source:
        docs/shards.md: rows read = rows written + rows refused.
    """

    def __init__(self) -> None:
        self.rows_read = self.rows = 0
        self.by_reason: Counter[str] = Counter()
        self._counts: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("rewritten", "warnings", "roles", "messages_per_row", "images_per_row")
        }
        self._images = self._image_bytes = 0

    def count(self, outcome: Converted | Rejected) -> None:
        """Count one outcome."""
        self.rows_read += 1
        if isinstance(outcome, Rejected):
            self.by_reason[str(outcome.reason)] += 1
            return
        self.rows += 1
        if outcome.warnings:
            self._counts["warnings"].update({str(warned.reason) for warned in outcome.warnings})
        self._count_conversation(outcome.conversation)

    def count_plain(self, run: PlainRows) -> None:
        """Count a run of plain rows."""
        self.rows_read += len(run.rows)
        self.rows += len(run.rows)
        for shape, rows in Counter([row.shape for row in run.rows]).items():
            self._count_shape(shape, rows)
        counts = self._counts
        for images, rows in Counter([len(row.images) for row in run.rows]).items():
            counts["images_per_row"][str(images)] += rows
        self._count_images([image for row in run.rows for image in row.images])

    def count_columns(self, rows: PlainColumns) -> None:
        """Count plain rows in columns, which have no pictures."""
        self.rows_read += len(rows)
        self.rows += len(rows)
        self._count_shape(rows.shape, len(rows))
        self._counts["images_per_row"]["0"] += len(rows)

    def _count_shape(self, shape: Shape, rows: int) -> None:
        turns = [turn for column in shape for turn in column]
        for turn in turns:
            self._counts["roles"][turn.role] += rows
        self._counts["messages_per_row"][str(len(turns))] += rows

    def _count_conversation(self, conversation: Conversation) -> None:
        messages, counts = conversation.messages + conversation.rejected, self._counts
        for message in messages:
            counts["roles"][message.role] += 1
        counts["messages_per_row"][str(len(messages))] += 1
        counts["images_per_row"][str(len(conversation.images))] += 1
        self._count_images(conversation.images)

    def _count_images(self, images: Sequence[Image]) -> None:
        self._images += len(images)
        for image in images:
            self._image_bytes += len(image.data)
            if image.rewritten:
                self._counts["rewritten"].update(image.rewritten)

    def stats(self) -> Stats:
        """Return the counts over written rows."""
        counts = {name: dict(sorted(count.items())) for name, count in self._counts.items()}
        return Stats(self._images, self._image_bytes, **counts)

    def checked_reasons(self) -> dict[str, int]:
        """Return the refusals by reason.

        Raises:
            SourceError: if the rows do not add up, which would mean a lost row.
        """
        if self.rows_read != self.rows + self.by_reason.total():
            raise SourceError(
                f"{self.rows_read} rows read, {self.rows} written and "
                f"{self.by_reason.total()} refused: rows were lost; nothing is committed"
            )
        return dict(sorted(self.by_reason.items()))
