"""A pair is two conversations with one prompt; what is wrong with it is said by column."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vlm_trainer.conversation import Conversation, from_columns
from vlm_trainer.data import ShardSet, find_split, method_of
from vlm_trainer.errors import Reason, SourceError
from vlm_trainer.lengths import Lengths, Measure, measure
from vlm_trainer.pairs import render_pair, sides
from vlm_trainer.shrink import TokenLimit
from vlm_trainer.sizes import PixelRule

RULE = PixelRule(min_pixels=784, max_pixels=3136)


@pytest.fixture(scope="module")
def pairs(rows: Any, photos: list[bytes]) -> list[dict[str, Any]]:
    """Pairs with 0, 1 and 2 pictures and answers of unequal length."""
    user, system = partial(rows.message, "user"), partial(rows.message, "system")
    answer = rows.message("assistant", "An astronaut, smiling.")
    talk = [
        system("Be brief."),
        user("How many?"),
        rows.message("assistant", "Two."),
        user("Sure?"),
    ]
    return [
        rows.pair_row("none", talk, rows.message("assistant", "Yes."), answer),
        rows.pair_row(
            "one",
            user(rows.IMAGE, "What is it?"),
            answer,
            rows.message("assistant", "a"),
            photos[:1],
        ),
        rows.pair_row(
            "two",
            user(rows.IMAGE, "or", rows.IMAGE, "?"),
            rows.message("assistant", "b"),
            rows.message("assistant", "No idea at all."),
            photos[1:],
        ),
    ]


def test_a_row_has_a_prompt_and_two_answers(pairs: list[dict[str, Any]]) -> None:
    row = from_columns(pairs[0] | {"extras": '{"5": {"name": "other"}}'})

    assert [message["role"] for message in row.messages[:4]] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert (row.first_answer, len(row.messages), len(row.rejected)) == (4, 5, 1)
    assert row.rejected[0]["content"][0]["text"] == "An astronaut, smiling."
    assert row.flags == {5: {"name": "other"}}


def test_flags_go_with_their_messages(pairs: list[dict[str, Any]]) -> None:
    flags = {0: "told", 4: "better", 5: "worse"}
    extras = json.dumps({at: {"name": name} for at, name in flags.items()})

    chosen, rejected = sides(from_columns(pairs[0] | {"extras": extras}))

    assert chosen.flags == {0: {"name": "told"}, 4: {"name": "better"}}
    assert rejected.flags == {0: {"name": "told"}, 4: {"name": "worse"}}
    assert (len(chosen.messages), len(rejected.messages)) == (5, 5)


def test_a_batch_is_the_one_that_trl_makes(
    pairs: list[dict[str, Any]], chat: Any, tiny_words: Path
) -> None:
    import torch
    from PIL import Image
    from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

    from vlm_trainer.dpo import collate_pairs
    from vlm_trainer.hf_processor import load_processor

    theirs = [
        {
            "images": [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]],
            **{name: row[name] for name in ("prompt", "chosen", "rejected")},
        }
        for row in pairs
    ]
    expected = DataCollatorForVisionPreference(load_processor(tiny_words))(theirs)

    batch = collate_pairs(
        [render_pair(from_columns(row), chat, RULE) for row in pairs],
        chat.pad_id,
        chat.image_token_id,
    )

    assert set(batch) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(batch[name].float(), tensor.float(), atol=1e-5), name
    scored = batch["completion_mask"].bool()
    assert not (batch["input_ids"][scored] == chat.image_token_id).any()


def test_both_sides_share_their_pictures(pairs: list[dict[str, Any]], chat: Any) -> None:
    pair = render_pair(from_columns(pairs[2]), chat, RULE)

    assert pair.chosen.images is pair.rejected.images
    assert len(pair.chosen.images) == 2


def counted(conversations: list[Conversation], chat: Any, max_length: int | None = None) -> Lengths:
    limit = TokenLimit(max_length) if max_length else None
    return measure(conversations, Measure(chat, RULE, limit, pairs=True))


def test_a_pair_is_as_long_as_both_answers_with_their_prompts(
    pairs: list[dict[str, Any]], chat: Any
) -> None:
    rows = [from_columns(row) for row in pairs]
    rendered = [render_pair(row, chat, RULE) for row in rows]

    found = counted(rows, chat)

    assert found.tokens.tolist() == [len(p.chosen.ids) + len(p.rejected.ids) for p in rendered]
    assert found.trained.tolist() == [
        int((p.chosen.labels != -100).sum() + (p.rejected.labels != -100).sum()) for p in rendered
    ]
    assert found.images == 3


def test_the_longer_answer_alone_decides_whether_a_pair_fits(
    pairs: list[dict[str, Any]], chat: Any
) -> None:
    row = from_columns(pairs[0])
    longer = len(render_pair(row, chat, RULE).rejected.ids)

    (refused,) = counted([row], chat, longer - 1).refused

    assert not counted([row], chat, longer).refused
    assert (refused.row_id, refused.reason) == ("none", Reason.ROW_TOO_LONG)
    assert refused.where == "$.rejected"


def test_pictures_shrink_for_both_sides_until_the_longer_one_fits(
    pairs: list[dict[str, Any]], chat: Any
) -> None:
    rule = PixelRule(min_pixels=784, max_pixels=50_176)
    row = from_columns(pairs[2])
    whole = render_pair(row, chat, rule)
    limit = TokenLimit(len(whole.rejected.ids) - 5, shrinks=True)
    assert len(whole.rejected.ids) > len(whole.chosen.ids)

    pair = render_pair(row, chat, rule, limit=limit)

    counted = measure([row], Measure(chat, rule, limit, pairs=True))
    tokens = [sum(s.ids == chat.image_token_id) for s in (pair.chosen, pair.rejected)]
    assert len(pair.rejected.ids) <= limit.tokens
    assert tokens[0] == tokens[1] == sum(len(p.values_PD) // 4 for p in pair.chosen.images)
    assert pair.chosen.images is pair.rejected.images
    assert (counted.shrunk, counted.shrunk_to) == (1, pair.chosen.shrunk_to)
    assert counted.tokens.tolist() == [len(pair.chosen.ids) + len(pair.rejected.ids)]


def test_what_is_wrong_with_a_pair_is_said_by_column(rows: Any, chat: Any) -> None:
    user, answer = rows.message("user", "Which?"), rows.message("assistant", "seven")
    evil = rows.message("assistant", "<|im_end|>")
    seen = rows.message("assistant", rows.IMAGE, "this")
    wrong = [
        rows.pair_row("equal", user, answer, answer),
        rows.pair_row("no rejected", user, answer, []),
        rows.pair_row("no chosen", user, [], answer),
        rows.pair_row("evil", user, answer, [answer, evil]),
        rows.pair_row("evil prompt", evil, answer, rows.message("assistant", "eight")),
        rows.pair_row(
            "picture", user, answer, seen, [rows.shade_pairs([0])[0]["images"][0]["bytes"]]
        ),
    ]

    refused = counted([from_columns(row) for row in wrong], chat).refused

    assert [(row.row_id, str(row.reason), row.where) for row in refused] == [
        ("equal", "pair-equal", "$.rejected"),
        ("no rejected", "no-supervised-token", "$.rejected"),
        ("no chosen", "no-supervised-token", "$.chosen"),
        ("evil", "control-token-in-text", "$.rejected[1].content"),
        ("evil prompt", "control-token-in-text", "$.prompt[0].content"),
        ("picture", "image-count-differs", "$.images"),
    ]


def test_the_layout_of_the_shards_names_the_method(
    make_import: Callable[..., Path], rows: Any, digits: Path
) -> None:
    folder = make_import(rows.shade_pairs(range(3)), layout="pair")

    assert (method_of(folder), method_of(digits)) == ("dpo", "sft")
    assert [row.id for row in ShardSet(find_split(folder, "train", "dpo")).headers()] == [
        "shade-0", "shade-1", "shade-2",
    ]  # fmt: skip
    with pytest.raises(SourceError, match="these are preference pairs, for --method dpo"):
        find_split(folder, "train", "sft")
    with pytest.raises(SourceError, match="layout 'conversation', and dpo reads pair"):
        find_split(digits, "train", "dpo")
