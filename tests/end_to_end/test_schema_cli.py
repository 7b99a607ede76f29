"""`vlm-datakit schema`, as a shell sees it."""

from __future__ import annotations

import json

from vlm_datakit.formats import FORMATS


def test_alone_it_lists_the_names(run_cli):
    done = run_cli(["schema"])

    assert (done.code, done.err) == (0, b"")
    assert set(done.out.decode().split()) == {*FORMATS, "manifest", "reject"}


def test_a_schema_is_json_on_standard_output(run_cli):
    done = run_cli(["schema", "simple"])

    assert (done.code, done.err) == (0, b"")
    assert json.loads(done.out)["title"] == "Simple rows"


def test_another_name_is_told_the_nearest(run_cli):
    done = run_cli(["schema", "anthropik"])

    assert (done.code, done.out) == (2, b"")
    assert done.err.endswith(b"did you mean anthropic?\n")
