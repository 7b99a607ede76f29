"""Rows as one record batch, as the writer makes one of a row group."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from vlm_datakit.conversation import Conversation
from vlm_datakit.plain import PlainRow
from vlm_datakit.shards.batch import Batch


def batch_of(
    rows: Sequence[tuple[str, Conversation | PlainRow]], layout: str, *, with_images: bool
) -> pa.RecordBatch:
    """Return rows (id, conversation) as one record batch."""
    batch = Batch(layout, with_images=with_images)
    for row_id, row in rows:
        if isinstance(row, PlainRow):
            batch.add_run([row_id], [row])
        else:
            batch.add(row_id, row)
    return batch.taken()
