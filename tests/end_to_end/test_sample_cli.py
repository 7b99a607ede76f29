"""``vlm-datakit sample``: the same rows for the same seed, as many broken ones as asked for."""

from __future__ import annotations

import json

import pytest


def parsed(data: bytes) -> list[dict]:
    return [json.loads(line) for line in data.splitlines()]


def test_rows_on_stdout_name_no_files(cli, tmp_path):
    done = cli(["sample", "-n", 6])

    urls = [row["messages"][0]["content"][0]["image_url"]["url"] for row in parsed(done.out)]
    assert (done.code, done.err) == (0, b"")
    assert [url[:10] == "data:image" for url in urls] == [True, False, True, True, False, True]
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_its_pictures_beside_it(cli, tmp_path):
    done = cli(["sample", "-n", 6, "-o", "raw.jsonl", "--to", "simple"])

    rows = parsed((tmp_path / "raw.jsonl").read_bytes())
    assert (done.code, done.out) == (0, b"")
    assert rows[2]["image"] == "raw_images/sample-0002.jpg"
    assert (tmp_path / rows[2]["image"]).exists()


@pytest.mark.parametrize("target", ["openai", "simple"])
def test_as_many_rows_are_refused_as_were_broken(cli, target):
    rows = cli(["sample", "-n", 24, "--broken", 5, "--to", target]).out

    report = json.loads(cli(["validate", "-", "--json"], input=rows).out)

    assert (report["rows"], report["good"]) == (24, 19)


def test_a_seed_is_a_set_of_rows(cli):
    first, again, other = (cli(["sample", "--seed", seed]).out for seed in (1, 1, 2))

    assert (first == again, first == other) == (True, False)


def test_a_second_file_in_the_folder_leaves_the_pictures_of_the_first(cli, tmp_path):
    cli(["sample", "-n", 3, "-o", "a.jsonl", "--seed", 1])
    before = (tmp_path / "a_images/sample-0002.jpg").read_bytes()

    cli(["sample", "-n", 3, "-o", "b.jsonl", "--seed", 2])

    assert (tmp_path / "a_images/sample-0002.jpg").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["-n", 3, "--broken", 4], 2, b"4 of 3 rows cannot be broken", id="broken"),
        pytest.param(["--to", "trl"], 2, b"samples come as openai or simple", id="target"),
        pytest.param(["-n", 0], 2, b"0 is not in the range", id="none"),
        pytest.param(["-o", "no/such/raw.jsonl"], 5, b"No such file or directory", id="folder"),
        pytest.param(["-o", "there.jsonl"], 5, b"--overwrite replaces it", id="exists"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(cli, tmp_path, arguments, code, words):
    (tmp_path / "there.jsonl").write_text("mine")

    done = cli(["sample", *arguments])

    assert (done.code, done.out, words in done.err) == (code, b"", True), done.err
    assert [path.name for path in tmp_path.iterdir()] == ["there.jsonl"]
