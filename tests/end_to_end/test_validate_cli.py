"""``vlm-datakit validate``: rows counted as an import would, a finished import held to its word."""

from __future__ import annotations

import json
from collections.abc import Callable
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

    def test_ids_that_stand_twice_and_lengths_far_out_are_told(self, cli, write_jsonl, tmp_path):
        rows = [{**row, "id": f"row {n % 5}"} for n, row in enumerate(QA)]
        write_jsonl(tmp_path / "qa.jsonl", [*rows, BAD, {"text": "?" * 2_000, "response": ""}])

        told = cli(["validate", "qa.jsonl"]).err.decode().splitlines()
        odd = json.loads(cli(["validate", "qa.jsonl", "--json"]).out)["oddities"]

        assert told[-6:-1] == [
            "rows with the id of an earlier row: 1",
            "  qa.jsonl:6 = qa.jsonl:1",
            "rows of 16 times the median length and more: 1 (median about 7 characters)",
            "longest rows, in characters: 2,000 (qa.jsonl:8), 8 (qa.jsonl:6), 7 (qa.jsonl:1)",
            "shortest answers, in characters: 0 (qa.jsonl:8), 1 (qa.jsonl:1), 1 (qa.jsonl:2)",
        ]
        assert (odd["repeated_ids"], odd["repeats"]) == (1, [["qa.jsonl:6", "qa.jsonl:1"]])
        assert odd["shortest_answers"][0] == {"origin": "qa.jsonl:8", "chars": 0}


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


class TestPictures:
    @pytest.fixture
    def imported(
        self, cli, chat, write_jsonl, data_uri, png_bytes, tmp_path
    ) -> Callable[..., Path]:
        """Import splits of rows: their ids, and the colors of their pictures."""

        def finish(**splits: list[tuple[str, list[int]]]) -> Path:
            for split, rows in splits.items():
                lines = [chat("?", "!", *map(uri, colors), id=name) for name, colors in rows]
                write_jsonl(tmp_path / f"{split}.jsonl", lines)
            sources = [f"{split}={split}.jsonl" for split in splits]
            done = cli(["import", *sources, "-o", "out", "--with-images"])
            assert done.code == 0, done.err
            return Path("out")

        def uri(color: int) -> str:
            return data_uri(png_bytes(color=(color, 0, 0)))

        return finish

    def said(self, err: bytes) -> list[str]:
        """Return the lines about pictures: all but the last."""
        return err.decode().splitlines()[:-1]

    def test_without_a_repeat_one_line_says_so(self, cli, imported):
        out = imported(train=[("a", [1]), ("b", [2, 3])], test=[("c", [4])])

        done = cli(["validate", out])

        assert (done.code, self.said(done.err)) == (0, ["pictures: 4, no duplicates"])

    @pytest.mark.parametrize("flags", [[], ["--read-data"]], ids=["plain", "read-data"])
    def test_repeats_and_leaks_are_told_with_their_rows_and_exit_0(self, cli, imported, flags):
        out = imported(
            train=[("a", [1]), ("b", [2]), ("c", [3, 1]), *(("d", [2]),) * 6],
            test=[("e", [5]), ("f", [2]), ("g", [3])],
        )

        done = cli(["validate", out, *flags])

        assert (done.code, done.out) == (0, b"")
        assert self.said(done.err) == [
            "pictures: 13, 9 of them duplicates",
            "  train row 0 (id a) = train row 2 image 1 (id c)",
            "  train row 1 (id b) = train row 3 (id d) = train row 4 (id d) = train row 5 (id d)"
            " = train row 6 (id d), 7 times in train",
            "leaks, pictures that stand in more than one split: 2",
            "  train row 1 (id b) = test row 1 (id f), 7 times in train",
            "  train row 2 (id c) = test row 2 (id g)",
        ]

    def test_20_leaks_are_told_and_the_rest_counted(self, cli, imported):
        rows = [(f"{color}", [color]) for color in range(23)]

        said = self.said(cli(["validate", imported(train=rows, test=rows)]).err)

        assert len(said) == 1 + 1 + 20 + 1
        assert (said[2], said[-1]) == ("  train row 0 (id 0) = test row 0 (id 0)", "  and 3 more")

    def test_json_holds_the_places(self, cli, imported):
        out = imported(train=[("a", []), ("b", [1])], dev=[("c", [1])])

        report = json.loads(cli(["validate", out, "--json"]).out)

        train = {"split": "train", "row": 1, "id": "b", "image": 0, "times": 1}
        dev = {"split": "dev", "row": 0, "id": "c", "image": 0, "times": 1}
        counts = {"images": 2, "distinct": 1, "duplicates": 1, "leaked": 1}
        assert report["pictures"] == {**counts, "leaks": [[train, dev]], "repeats": []}

    def test_ids_are_cut_and_their_control_characters_escaped(self, cli, imported):
        out = imported(train=[("\x1b[31m\n", [1]), ("x" * 41, [1])])

        said = self.said(cli(["validate", out]).err)

        places = r"train row 0 (id \x1b[31m\n) = train row 1 (id " + "x" * 40 + "...)"
        assert said == ["pictures: 2, 1 of them duplicates", f"  {places}"]

    def test_text_alone_says_nothing_of_pictures(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        cli(["import", "qa.jsonl", "-o", "out"])

        done, asked = cli(["validate", "out"]), cli(["validate", "out", "--json"])

        assert (self.said(done.err), json.loads(asked.out)["pictures"]) == ([], None)

    def test_a_set_with_faults_is_not_searched(self, cli, imported, tmp_path):
        out = imported(train=[("a", [1])], test=[("b", [1])])
        (tmp_path / out / SHARD).unlink()

        done, asked = cli(["validate", out]), cli(["validate", out, "--json"])

        assert (done.code, self.said(done.err)) == (3, [f"fault  {SHARD}: missing"])
        assert json.loads(asked.out)["pictures"] is None

    def test_an_unreadable_shard_of_the_right_size_is_a_fault(self, cli, imported, tmp_path):
        shard = tmp_path / imported(train=[("a", [1])]) / SHARD
        shard.write_bytes(bytes(shard.stat().st_size))

        done = cli(["validate", "out"])

        (fault,) = self.said(done.err)
        assert (done.code, fault.startswith(f"fault  out/{SHARD}: not a readable shard: ")) == (
            3,
            True,
        )


def test_a_folder_that_is_no_import(cli, tmp_path):
    (tmp_path / "set").mkdir()

    done = cli(["validate", "set"])

    assert done.code == 3
    assert done.err == (
        b"vlm-datakit: error: set: no train.jsonl, train-*.parquet or the like in this folder, "
        b"no pictures, and not a finished import; files of rows in it: none\n"
    )
