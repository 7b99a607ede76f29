"""``vlm-datakit validate``: rows counted as an import would, a finished import held to its word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

QA = [{"text": f"{n} + {n}?", "response": str(2 * n)} for n in range(6)]
BAD = b'{"text": "cut in the mid'
SHARD = "data/train-00000-000.parquet"


class TestRows:
    def test_good_rows_exit_0(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["validate", "qa.jsonl"])

        assert (done.code, done.out) == (0, b"")
        assert done.err.endswith(b"qa.jsonl: 6 of 6 rows are good, 0 pictures\n")

    def test_refused_rows_are_counted_by_reason_and_exit_6(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD, {"text": "?", "response": 1, "image": "a"}])

        done = cli(["validate", "qa.jsonl", "--json"])

        report = json.loads(done.out)
        assert (done.code, done.err) == (6, b"")
        assert (report["rows"], report["good"]) == (8, 6)
        assert report["by_reason"] == {"field-not-text": 1, "json-invalid": 1}
        assert report["first"][0].startswith("qa.jsonl:7 $ json-invalid: ")

    def test_standard_input(self, cli):
        rows = b"".join(json.dumps(row).encode() + b"\n" for row in QA)

        done = cli(["validate", "-", "--json"], input=rows)

        assert (done.code, json.loads(done.out)["good"]) == (0, 6)

    def test_it_refuses_what_an_import_would(self, cli):
        cli(["sample", "-n", 24, "--broken", 4, "-o", "raw.jsonl"])

        checked = json.loads(cli(["validate", "raw.jsonl", "--json"]).out)
        command = ["import", "raw.jsonl", "-o", "out", "--max-rejects", 4, "--json"]
        imported = json.loads(cli(command).out)

        assert checked["by_reason"] == imported["by_reason"]
        assert (checked["good"], checked["images"]) == (imported["written"], imported["images"])


class TestAFinishedImport:
    @pytest.fixture
    def out(self, cli) -> Path:
        cli(["sample", "-n", 9, "--broken", 2, "-o", "raw.jsonl"])
        done = cli(["import", "raw.jsonl", "-o", "out", "--max-rejects", 2])
        assert done.code == 0, done.err
        return Path("out")

    @pytest.mark.parametrize(
        ("flags", "words"),
        [([], b"sizes as written"), (["--read-data"], b"hashes and pictures as written")],
        ids=["sizes", "read-data"],
    )
    def test_a_whole_one_exits_0(self, cli, out, flags, words):
        done = cli(["validate", out, *flags])

        assert (done.code, words in done.err) == (0, True)

    def test_json_is_alone_on_stdout(self, cli, out):
        done = cli(["validate", out, "--json", "--read-data"])

        report = json.loads(done.out)
        assert (report["splits"], report["faults"], done.err) == ({"train": 7}, [], b"")

    def test_a_missing_shard_is_named(self, cli, out, tmp_path):
        (tmp_path / out / SHARD).unlink()

        done = cli(["validate", out])

        assert done.code == 3
        assert f"fault  {SHARD}: missing\n".encode() in done.err

    def test_a_cut_ledger_is_named(self, cli, out, tmp_path):
        ledger = tmp_path / out / "rejects/rejects-00000.jsonl"
        ledger.write_bytes(ledger.read_bytes()[:-1])

        done = cli(["validate", out])

        assert (done.code, b"fault  rejects/rejects-00000.jsonl: " in done.err) == (3, True)

    def test_one_flipped_byte_is_found_by_reading(self, cli, out, tmp_path):
        shard = tmp_path / out / SHARD
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)

        by_size, by_hash = cli(["validate", out]), cli(["validate", out, "--read-data"])

        assert (by_size.code, by_hash.code) == (0, 3)
        assert f"fault  {SHARD}: its sha256 is not the manifest's".encode() in by_hash.err

    @pytest.mark.parametrize(
        "manifest",
        [b"", b"{", b"[]", b'{"schema_version": 1}', b'{"schema_version": 99}', b"\xff"],
        ids=["empty", "cut", "a list", "bare", "newer", "not text"],
    )
    @pytest.mark.parametrize(
        "command",
        [["validate"], ["convert", "--to", "openai"], ["import", "raw.jsonl", "-o"]],
        ids=lambda command: command[0],
    )
    def test_a_broken_manifest_is_one_line(self, cli, out, tmp_path, command, manifest):
        (tmp_path / out / "manifest.json").write_bytes(manifest)

        done = cli([*command, out])

        assert (done.code, done.out) == (3, b""), done.err
        assert done.err.splitlines()[-1].startswith(b"vlm-datakit: error: out/manifest.json: ")


def test_a_folder_that_is_no_import(cli, tmp_path):
    (tmp_path / "set").mkdir()

    done = cli(["validate", "set"])

    assert done.code == 3
    assert done.err == b"vlm-datakit: error: set: no manifest.json; not a finished import\n"
