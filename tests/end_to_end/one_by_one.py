"""Formats of other parsers, which do the same: their rows are all read one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vlm_datakit.conversation import Draft
from vlm_datakit.formats import preference, simple, trl


def read_pair(fields: dict[str, Any]) -> Draft:
    return preference.parse(fields)


def read_simple(fields: dict[str, Any]) -> Draft:
    return simple.parse(fields)


def read_trl(fields: dict[str, Any]) -> Draft:
    return trl.parse(fields)


PREFERENCE = replace(preference.FORMAT, parse=read_pair)
SIMPLE = replace(simple.FORMAT, parse=read_simple)
TRL = replace(trl.FORMAT, parse=read_trl)
