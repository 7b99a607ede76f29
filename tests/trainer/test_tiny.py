"""The tiny model is the same everywhere and in every file like its big sisters."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from trl.chat_template_utils import qwen2_5_vl_chat_template

from vlm_trainer.chat import Chat
from vlm_trainer.tiny import CHAT_TEMPLATE, VOCABULARY, write_tiny


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path, tiny_folder: Path) -> None:
    write_tiny(tmp_path / "again")
    write_tiny(tmp_path / "other", seed=1)

    assert contents(tmp_path / "again") == contents(tiny_folder)
    weights = "model.safetensors"
    assert contents(tmp_path / "other")[weights] != contents(tiny_folder)[weights]


def test_the_template_is_the_one_trl_recognises() -> None:
    assert qwen2_5_vl_chat_template == CHAT_TEMPLATE


def test_the_vocabulary_is_full(chat: Chat) -> None:
    assert chat.tokenizer.get_vocab_size() == VOCABULARY


@given(words=st.text())
def test_any_text_can_be_written(chat: Any, words: str) -> None:
    assume(not chat.control.search(words))

    ids = chat.tokenizer.encode(words, add_special_tokens=False).ids

    assert chat.tokenizer.decode(ids) == unicodedata.normalize("NFC", words)


def test_transformers_reads_the_same_tokens(tiny_words: Path, chat: Chat) -> None:
    from transformers import AutoTokenizer

    words = '<|im_start|>user\n\nHéllo 42 {"a": 1}<|im_end|>\n'

    theirs = AutoTokenizer.from_pretrained(tiny_words)(words)["input_ids"]

    assert chat.tokenizer.encode(words, add_special_tokens=False).ids == theirs
