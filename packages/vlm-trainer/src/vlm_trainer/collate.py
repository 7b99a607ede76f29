"""Stack rendered conversations into one batch of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vlm_trainer.errors import Reason, RowError
from vlm_trainer.pixels import Patches
from vlm_trainer.render import IGNORED, Rendered

if TYPE_CHECKING:
    import numpy as np
    import torch

Batch = Mapping[str, "torch.Tensor"]


def collate(rendered: Sequence[Rendered], pad_id: int, image_token_id: int | None) -> Batch:
    """Pad rendered conversations on the right and stack them into one batch.

    B conversations, T tokens in the longest, P patches in all images together,
    I images in all (an image belongs to its conversation by order).

    Args:
        rendered: At least one; labels have the length of the ids.
        pad_id: Token id used to pad ``input_ids``; labels are padded with -100,
            the index that `torch.nn.CrossEntropyLoss` ignores.
        image_token_id: Marks image tokens; None for a model that reads text only.

    Returns:
        ``input_ids`` and ``labels`` int64 (B, T), ``attention_mask`` int64 (B, T) of 0/1,
        ``loss_weights`` float32 (B, T; 0 without a label) when the rows have weights,
        ``pixel_values`` float32 (P, D), ``image_grid_thw`` int64 (I, 3: time, height,
        width in patches), ``mm_token_type_ids`` int64 (B, T; 1 on image tokens, else 0:
        without it transformers 5 silently uses 1-D positions). The last three are absent
        when no conversation has an image.

    Raises:
        RowError: ``no-supervised-token`` if a row has only -100 labels: its loss would be
            0 or NaN, and the run would look fine.

    Source:
        Key names and layouts: Qwen2.5-VL's forward in transformers 5.23.
    """
    import torch

    for row in rendered:
        if (row.labels == IGNORED).all():
            raise RowError(Reason.NO_SUPERVISED_TOKEN, "$", "all labels are ignored")
    width = max(len(row.ids) for row in rendered)
    arrays = {
        "input_ids": _stacked([row.ids for row in rendered], width, pad_id),
        "labels": _stacked([row.labels for row in rendered], width, IGNORED),
        "attention_mask": _stacked([row.ids * 0 + 1 for row in rendered], width, 0),
    }
    weights = [row.weights for row in rendered if row.weights is not None]
    if weights:  # of all rows or of none: the rule of labels decides
        arrays["loss_weights"] = _stacked(weights, width, 0)
    batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {**batch, **image_tensors(rendered, batch["input_ids"], image_token_id)}


def collate_prompts(prompts: Sequence[Rendered], pad_id: int, image_token_id: int | None) -> Batch:
    """Pad prompts on the left, for generation.

    Returns:
        As `collate`, without ``labels``.
    """
    import torch

    width = max(len(row.ids) for row in prompts)
    ids = [row.ids[::-1] for row in prompts]
    flipped = {
        "input_ids": _stacked(ids, width, pad_id),
        "attention_mask": _stacked([row * 0 + 1 for row in ids], width, 0),
    }
    batch = {name: torch.from_numpy(array[:, ::-1].copy()) for name, array in flipped.items()}
    return {**batch, **image_tensors(prompts, batch["input_ids"], image_token_id)}


def image_tensors(
    rendered: Sequence[Rendered], input_ids_BT: torch.Tensor, image_token_id: int | None
) -> dict[str, torch.Tensor]:
    """Return the three image entries of a batch, or none when it has no picture."""
    import torch

    images = [image for row in rendered for image in row.images]
    if not images:
        return {}
    return {
        "pixel_values": pixel_values(images),
        "image_grid_thw": torch.tensor([image.grid for image in images], dtype=torch.int64),
        "mm_token_type_ids": torch.eq(input_ids_BT, image_token_id or 0).long(),
    }


def pixel_values(images: Sequence[Patches]) -> torch.Tensor:
    """Return the values of at least one picture, one after the other."""
    import numpy as np
    import torch

    ends = np.cumsum([len(image.bytes_PN) for image in images])
    values_PD = np.empty((ends[-1], images[0].values), np.float32)
    for image, part_PD in zip(images, np.split(values_PD, ends[:-1]), strict=True):
        image.write_into(part_PD)
    return torch.from_numpy(values_PD)


def _stacked(
    rows: Sequence[np.ndarray[Any, Any]], width: int, padding: int
) -> np.ndarray[Any, Any]:
    import numpy as np

    stacked = np.full((len(rows), width), padding, dtype=rows[0].dtype)
    for index, row in enumerate(rows):
        stacked[index, : len(row)] = row
    return stacked
