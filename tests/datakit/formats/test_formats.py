"""Formats are found by name, or by import string for one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from vlm_datakit import formats
from vlm_datakit.conversation import Draft
from vlm_datakit.errors import UsageError
from vlm_datakit.formats import openai, simple
from vlm_datakit.formats.format import Fields


def test_every_format_is_in_the_table_under_its_name() -> None:
    assert [format_.name for format_ in formats.FORMATS.values()] == [*formats.FORMATS]
    assert len(formats.FORMATS) == len({id(format_) for format_ in formats.FORMATS.values()})


@pytest.mark.parametrize("name", ["openai", "vlm_datakit.formats.openai:FORMAT"])
def test_a_format_is_found_by_name_and_by_import(name: str) -> None:
    assert formats.get(name) is openai.FORMAT


@dataclass
class Parser:
    """A parser with settings; it has no hash."""

    strict: bool = False

    def __call__(self, fields: Fields) -> Draft:
        return simple.parse(fields)


def test_a_format_that_parses_otherwise_has_no_plain_rows() -> None:
    mine = replace(simple.FORMAT, name="mine", parse=Parser())
    row = {"text": "?", "response": "!"}

    assert formats.plain_of(simple.FORMAT)(row) is not None
    assert formats.plain_of(mine)(row) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("opena", "did you mean openai?", id="nearly"),
        pytest.param("chatml", "known are openai, simple, trl, preference", id="unknown"),
        pytest.param(
            "", "unknown format '': known are openai, simple, trl, preference", id="nothing"
        ),
        pytest.param("no.such.module:FORMAT", "cannot import the format", id="no module"),
        pytest.param("json:FORMAT", "cannot import the format", id="no such name"),
        pytest.param(":FORMAT", "cannot import the format", id="no module's name"),
        pytest.param(".mine:FORMAT", "cannot import the format", id="a relative module"),
        pytest.param("json:", "cannot import the format", id="no name in it"),
        pytest.param("json:loads", "is a function, not a vlm_datakit Format", id="not a format"),
    ],
)
def test_any_other_name_is_a_usage_error(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        formats.get(name)
