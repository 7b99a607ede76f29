"""The row formats, in a table. Adding one is a file, a line here and a golden folder."""

from __future__ import annotations

import importlib
from difflib import get_close_matches

from vlm_datakit.errors import UsageError
from vlm_datakit.formats import (
    alpaca,
    anthropic,
    cauldron,
    classification,
    llava,
    openai,
    oumi,
    preference,
    qa,
    qwen,
    sharegpt,
    simple,
    swift,
    transcript,
    trl,
    vqa,
)
from vlm_datakit.formats.format import Fields, Format
from vlm_datakit.plain import Plain, PlainDraft, TextColumns

FORMATS = {
    format_.name: format_
    for format_ in (
        openai.FORMAT,
        simple.FORMAT,
        trl.FORMAT,
        preference.FORMAT,
        sharegpt.FORMAT,
        llava.FORMAT,
        alpaca.FORMAT,
        swift.FORMAT,
        qwen.FORMAT,
        anthropic.FORMAT,
        oumi.FORMAT,
        cauldron.FORMAT,
        vqa.FORMAT,
        classification.FORMAT,
        qa.FORMAT,
        transcript.FORMAT,
    )
}


_PLAIN: tuple[tuple[object, Plain], ...] = (
    (openai.parse, openai.plain),
    (simple.parse, simple.plain),
    (trl.parse, trl.plain),
    (preference.parse, preference.plain),
    (sharegpt.parse, sharegpt.plain),
    (llava.parse, sharegpt.plain),
    (alpaca.parse, alpaca.plain),
    (swift.parse, swift.plain),
    (qa.parse, qa.plain),
)
#: Those that take texts and data URIs as they are, whatever they say.
_BLIND: tuple[Plain, ...] = (openai.plain, simple.plain, trl.plain)
_TEXT_COLUMNS: tuple[tuple[object, TextColumns], ...] = (
    (simple.parse, simple.TEXT_COLUMNS),
    (trl.parse, trl.TEXT_COLUMNS),
    (preference.parse, preference.TEXT_COLUMNS),
)


def plain_of(format_: Format) -> Plain:
    """Return what knows the plain rows of a format: what its `parse` finds nothing to say of.

    By the parser, not the name: a format of your own that parses otherwise has none.

    Example:
        >>> plain_of(FORMATS["simple"])({"text": "2 + 2?", "response": "4"}).texts
        ('2 + 2?', '4')
    """
    known = (plain for parse, plain in _PLAIN if parse is format_.parse)
    return next(known, _no_plain_rows)


def is_blind(plain: Plain) -> bool:
    """Whether a reader of plain rows goes by what a row has, and never by what its texts say.

    Example:
        >>> is_blind(plain_of(FORMATS["openai"])), is_blind(plain_of(FORMATS["sharegpt"]))
        (True, False)
    """
    return plain in _BLIND


def text_columns_of(format_: Format) -> TextColumns | None:
    """Return the fields of a format's rows that are nothing but texts; by the parser as well.

    Example:
        >>> text_columns_of(FORMATS["simple"]).names
        ('text', 'response')
    """
    return next((found for parse, found in _TEXT_COLUMNS if parse is format_.parse), None)


def _no_plain_rows(fields: Fields) -> PlainDraft | None:  # noqa: ARG001 - a `Plain`
    return None


def get(name: str) -> Format:
    """Return a format by its name, or by ``pkg.module:NAME`` for one of your own.

    Raises:
        UsageError: if there is none; the message lists the names and the nearest.

    Example:
        >>> get("simple").name
        'simple'
    """
    if name in FORMATS:
        return FORMATS[name]
    if ":" in name:
        return _imported(name)
    near = get_close_matches(name, FORMATS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"unknown format {name!r}: known are {', '.join(FORMATS)}{hint}")


def _imported(name: str) -> Format:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # ".a:b", ":b"
        raise UsageError(f"cannot import the format {name!r}: {error}") from error
    if not isinstance(found, Format):
        raise UsageError(f"{name!r} is a {type(found).__name__}, not a vlm_datakit Format")
    return found
