"""Equal plans have equal fingerprints; whatever changes a byte changes the fingerprint."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from vlm_datakit.errors import UsageError
from vlm_datakit.plan import (
    LIMIT_NAMES,
    MIB,
    Limits,
    Plan,
    RejectsAllowed,
    SourceFile,
    fingerprint,
    parse_limits,
    parse_rejects_allowed,
    parse_stride,
    plan_differences,
    plan_facts,
)

FILE = SourceFile("train", "a.jsonl", "/x/a.jsonl", 10, 7)
OTHER = SourceFile("test", "b.jsonl", "/x/b.jsonl", 20, 8)
PLAN = Plan((FILE, OTHER), "openai")


def test_a_fingerprint_is_64_hex_digits_and_stable() -> None:
    assert len(fingerprint(PLAN)) == 64
    assert fingerprint(PLAN) == fingerprint(replace(PLAN))


def test_where_a_file_lies_does_not_count() -> None:
    moved = replace(PLAN, files=(replace(FILE, path="/y/z.jsonl"), OTHER))

    assert fingerprint(moved) == fingerprint(PLAN)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"files": (OTHER, FILE)}, id="the order of files"),
        pytest.param({"files": (FILE,)}, id="a file less"),
        pytest.param({"files": (replace(FILE, split="test"), OTHER)}, id="split"),
        pytest.param({"files": (replace(FILE, name="c.jsonl"), OTHER)}, id="name"),
        pytest.param({"files": (replace(FILE, size_bytes=11), OTHER)}, id="size"),
        pytest.param({"files": (replace(FILE, mtime_ns=9), OTHER)}, id="time"),
        pytest.param({"files": (replace(FILE, etag="a"), OTHER)}, id="etag"),
        pytest.param({"format": "trl"}, id="format"),
        pytest.param({"layout": "answer"}, id="layout"),
        pytest.param({"with_images": False}, id="pictures"),
        pytest.param({"slice_bytes": 1}, id="slices"),
        pytest.param({"image_roots": ("/pictures",)}, id="roots"),
        pytest.param({"rejects_raw": True}, id="ledger"),
        pytest.param({"limits": Limits(max_aspect=100)}, id="limits"),
        pytest.param({"versions": {"pyarrow": "26"}}, id="versions"),
    ],
)
def test_what_changes_the_output_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(replace(PLAN, **change)) != fingerprint(PLAN)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"format": "trl"}, ["format was openai, now trl"], id="a text"),
        pytest.param({"files": (OTHER,)}, ["the source files, their sizes or times"], id="files"),
        pytest.param({"image_roots": ("p",)}, ['image_roots was [], now ["p"]'], id="a list"),
        pytest.param({}, [], id="nothing"),
    ],
)
def test_a_difference_is_said_in_words(change: dict[str, Any], words: list[str]) -> None:
    facts, others = plan_facts(PLAN), plan_facts(replace(PLAN, **change))

    assert plan_differences(facts, others) == words
    assert plan_differences(json.loads(json.dumps(facts)), others) == words  # of a manifest


def test_a_file_of_this_machine_has_no_etag_in_a_plan() -> None:
    elsewhere = replace(FILE, path="s3://bucket/a.jsonl", mtime_ns=None, etag="a")

    facts = plan_facts(replace(PLAN, files=(FILE, elsewhere)))["files"]

    assert (FILE.is_remote, elsewhere.is_remote) == (False, True)
    assert facts == (
        {"split": "train", "name": "a.jsonl", "size_bytes": 10, "mtime_ns": 7},
        {"split": "train", "name": "a.jsonl", "size_bytes": 10, "mtime_ns": None, "etag": "a"},
    )


def test_a_file_without_a_size_is_a_pipe() -> None:
    assert (FILE.is_pipe, SourceFile("train", "stdin", "-", None, None).is_pipe) == (False, True)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        pytest.param("0", RejectsAllowed(0), id="none"),
        pytest.param("12", RejectsAllowed(12), id="a count"),
        pytest.param("2.5%", RejectsAllowed(None, 2.5), id="a share"),
        pytest.param("100%", RejectsAllowed(None, 100.0), id="all"),
    ],
)
def test_a_consent_is_a_count_or_a_share(text: str, allowed: RejectsAllowed) -> None:
    assert parse_rejects_allowed(text) == allowed


@pytest.mark.parametrize("text", ["", "-1", "1.5", "%", "-1%", "101%", "nan%", "inf%", "many"])
def test_any_other_consent_is_a_usage_error_that_quotes_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rejects_allowed(text)

    words = f"--max-rejects takes a count such as 12 or a share such as 2%, not {text!r}"
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("allowed", "rejected", "rows", "admits"),
    [
        pytest.param(RejectsAllowed(), 0, 9, True, id="none of 9"),
        pytest.param(RejectsAllowed(), 1, 9, False, id="one too many"),
        pytest.param(RejectsAllowed(3), 3, 9, True, id="exactly the count"),
        pytest.param(RejectsAllowed(3), 4, 9, False, id="over the count"),
        pytest.param(RejectsAllowed(None, 10.0), 1, 10, True, id="exactly the share"),
        pytest.param(RejectsAllowed(None, 10.0), 2, 19, False, id="over the share"),
        pytest.param(RejectsAllowed(None, 0.0), 0, 0, True, id="no rows"),
    ],
)
def test_a_consent_is_exact(
    allowed: RejectsAllowed, rejected: int, rows: int, admits: bool
) -> None:
    assert allowed.admits(rejected, rows) is admits


def test_limits_are_set_by_name_and_the_others_keep_their_defaults() -> None:
    limits = parse_limits(["image-mib=50", "decoded-mib=1000", "image-mib=60"])

    assert limits == Limits(max_image_bytes=60 * MIB, max_decoded_bytes=1000 * MIB)


@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_every_limit_has_a_name_and_takes_its_largest_value(name: str) -> None:
    field, unit, most = LIMIT_NAMES[name]

    assert getattr(parse_limits([f"{name}={most}"]), field) == most * unit


@pytest.mark.parametrize(
    "text", ["", "::", "1", "1::", "::2", "2::2", "0::0", "-1::2", "0:1:2", "a::b", "0::²"]
)
def test_a_stride_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="--slices takes I::N"):
        parse_stride(text)
