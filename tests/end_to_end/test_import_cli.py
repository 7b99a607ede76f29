"""``vlm-datakit import`` as a person types it: exit codes, words, and what stands on the disk."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

QA = [{"text": f"{n} + {n}?", "response": str(2 * n)} for n in range(6)]
BAD = b'{"text": "cut in the mid'


def error_line(err: bytes) -> str:
    """Return the one line of an error; anything more, or a traceback, fails."""
    lines = err.decode().splitlines()
    assert len(lines) == 1, err.decode()
    assert lines[0].startswith("vlm-datakit: error: "), lines[0]
    return lines[0].removeprefix("vlm-datakit: error: ")


def last_error(err: bytes) -> str:
    """Return the last line, which must be the error."""
    assert b"Traceback" not in err, err.decode()
    return error_line(err.splitlines()[-1])


def shards(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "data").glob("*"))


class TestGoesWell:
    def test_words_go_to_stderr_and_nothing_to_stdout(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert (done.code, done.out) == (0, b"")
        assert b"out: 6 rows written (train 6), 0 refused, 0 pictures" in done.err

    def test_json_is_alone_on_stdout(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl", "-o", "out", "--json", "--max-rejects", 1])

        summary = json.loads(done.out)
        assert done.out.count(b"\n") == 1
        assert (summary["rows"], summary["written"], summary["rejected"]) == (7, 6, 1)
        assert summary["by_reason"] == {"json-invalid": 1}

    @pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}], ids=["pipe", "NO_COLOR"])
    def test_a_pipe_gets_no_escape_codes(self, cli, write_jsonl, tmp_path, env):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl"], env=env)

        assert b"\x1b" not in done.err + done.out

    def test_without_o_the_folder_is_named_after_the_source(self, cli, write_jsonl, tmp_path):
        (tmp_path / "in").mkdir()
        write_jsonl(tmp_path / "in" / "my answers.v2.jsonl", QA)

        done = cli(["import", "in/my answers.v2.jsonl"])

        assert b"writing to my_answers/, a folder named after the source" in done.err
        assert (tmp_path / "my_answers" / "manifest.json").exists()

    def test_several_splits_in_one_run(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "a.jsonl", QA[:4])
        write_jsonl(tmp_path / "b.jsonl", QA[4:])

        done = cli(["import", "train=a.jsonl", "test=b.jsonl", "-o", "out", "--json"])

        assert json.loads(done.out)["splits"] == {"train": 4, "test": 2}
        assert shards(tmp_path / "out") == ["test-00001-000.parquet", "train-00000-000.parquet"]

    def test_several_files_of_one_split(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "a.jsonl", QA[:4])
        write_jsonl(tmp_path / "b.jsonl", QA[4:])

        done = cli(["import", "a.jsonl", "b.jsonl", "--split", "dev-1", "-o", "out", "--json"])

        assert json.loads(done.out)["splits"] == {"dev_1": 6}

    @pytest.mark.parametrize(
        ("split", "rows"), [("train", 3), ("validation", 2)], ids=["train", "validation"]
    )
    def test_a_folder_gives_the_split_asked_for(self, cli, write_jsonl, tmp_path, split, rows):
        (tmp_path / "set").mkdir()
        write_jsonl(tmp_path / "set" / "train.jsonl", QA[:1])
        write_jsonl(tmp_path / "set" / "train-2.jsonl", QA[1:3])
        write_jsonl(tmp_path / "set" / "validation.jsonl", QA[3:5])
        (tmp_path / "set" / "trainer_state.json").write_text("{}")

        done = cli(["import", "set", "--split", split, "-o", "out", "--json"])

        assert json.loads(done.out)["splits"] == {split: rows}

    def test_a_dash_in_a_split_is_mapped_and_said(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "--split", "train-2024", "-o", "out"])

        assert done.code == 0
        assert shards(tmp_path / "out") == ["train_2024-00000-000.parquet"]
        assert b"split train-2024 is written as train_2024: " in done.err

    def test_standard_input(self, cli):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in QA)

        done = cli(["import", "test=-", "-o", "out", "--json"], input=lines)

        assert json.loads(done.out)["splits"] == {"test": 6}

    def test_bom_crlf_blank_lines_and_a_missing_last_newline(self, cli, tmp_path):
        lines = b"\r\n\r\n".join(json.dumps(row).encode() for row in QA)
        (tmp_path / "qa.jsonl").write_bytes(b"\xef\xbb\xbf" + lines)

        done = cli(["import", "qa.jsonl", "-o", "out", "--json"])

        assert json.loads(done.out)["rows"] == 6

    def test_an_output_path_with_spaces_is_made_with_its_parents(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        out = tmp_path / "my sets" / "größte 1"

        done = cli(["import", tmp_path / "qa.jsonl", "-o", out])

        assert done.code == 0
        assert shards(out) == ["train-00000-000.parquet"]

    def test_relative_and_absolute_paths_give_the_same_bytes(
        self, cli, write_jsonl, tmp_path, tree
    ):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()

        cli(["import", "../qa.jsonl", "-o", "out"], cwd=tmp_path / "one")
        cli(["import", tmp_path / "qa.jsonl", "-o", tmp_path / "two" / "out"])

        assert tree(tmp_path / "one" / "out") == tree(tmp_path / "two" / "out")


class TestRefusedRows:
    def test_without_consent_nothing_is_committed(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert (done.code, done.out) == (6, b"")
        assert last_error(done.err) == "1 of 7 rows were refused; nothing was committed"
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".vlm"]

    def test_the_printed_command_accepts_them_and_does_no_slice_twice(
        self, shell, write_jsonl, tmp_path
    ):
        write_jsonl(tmp_path / "my qa.jsonl", [*QA, BAD, b"[1]"])
        refused = shell("vlm-datakit import 'train=my qa.jsonl' -o 'my out' --max-rejects=1")
        (made,) = tmp_path.glob("my out/.vlm/work/*/data/*.parquet")
        inode = made.stat().st_ino
        (command,) = [line for line in refused.err.splitlines() if line.startswith("  vlm-datakit")]

        accepted = shell(command)

        assert (refused.code, accepted.code) == (6, 0)
        assert command == "  vlm-datakit import 'train=my qa.jsonl' -o 'my out' --max-rejects 2"
        assert "1 of 1 slices were done before" in accepted.err
        assert (tmp_path / "my out/data/train-00000-000.parquet").stat().st_ino == inode

    def test_the_printed_command_keeps_a_double_dash_working(self, shell, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "-odd.jsonl", [*QA, BAD])
        refused = shell("vlm-datakit import -o out -- -odd.jsonl")
        (command,) = [line for line in refused.err.splitlines() if line.startswith("  vlm-datakit")]

        assert shell(command).code == 0

    def test_rows_from_a_pipe_are_not_said_to_be_kept(self, cli):
        lines = b"".join(json.dumps(row).encode() + b"\n" for row in QA) + BAD

        done = cli(["import", "-", "-o", "out"], input=lines)

        assert done.code == 6
        assert b"work done is kept" not in done.err
        assert b"--max-rejects 1" in done.err

    def test_the_ledger_says_where_and_why(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [QA[0], BAD, {"text": "?", "response": 7}, b"[1]"])

        cli(["import", "qa.jsonl", "-o", "out", "--max-rejects", "75%"])

        lines = (tmp_path / "out/rejects/rejects-00000.jsonl").read_bytes().splitlines()
        first, second, third = map(json.loads, lines)
        at = len(json.dumps(QA[0])) + 1
        assert (first["source"], first["line"], first["offset"]) == ("qa.jsonl", 2, at)
        assert (first["reason"], first["where"]) == ("json-invalid", "$")
        assert (second["reason"], second["where"]) == ("field-not-text", "$.response")
        assert (second["seen"], third["reason"]) == ("7", "row-not-object")

    def test_rows_of_later_slices_are_told_by_their_line_too(
        self, cli, write_jsonl, tmp_path, png_bytes
    ):
        """A slice is 1 MiB when rows name pictures, and knows only bytes."""
        (tmp_path / "a.png").write_bytes(png_bytes())
        good = {"text": " " * 300_000, "image": "a.png", "response": "!"}
        write_jsonl(tmp_path / "in.jsonl", [good, BAD, *[good] * 8, BAD, good, b"7"])

        done = cli(["import", "in.jsonl", "-o", "out"])

        refused = [line.split()[1] for line in done.err.splitlines() if line[:7] == b"refused"]
        assert refused[:3] == [b"in.jsonl:2", b"in.jsonl:11", b"in.jsonl:13"]

    def test_the_summary_says_where_the_ledger_is(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl", "-o", "out", "--max-rejects", 1])

        assert b", 1 refused (see out/rejects), " in done.err

    def test_a_picture_put_in_its_place_cures_its_row(self, cli, write_jsonl, tmp_path, png_bytes):
        row = {"text": "?", "image": "late.png", "response": "!"}
        write_jsonl(tmp_path / "qa.jsonl", [row])
        missing = cli(["import", "qa.jsonl", "-o", "out"])
        (tmp_path / "late.png").write_bytes(png_bytes())

        cured = cli(["import", "qa.jsonl", "-o", "out"])

        assert (missing.code, cured.code) == (6, 0)

    def test_a_source_put_right_needs_no_consent(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])
        refused = cli(["import", "qa.jsonl", "-o", "out"])
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert (refused.code, done.code) == (6, 0)
        assert [path.name for path in (tmp_path / "out/.vlm").iterdir()] == ["lock"]

    def test_rejects_raw_keeps_the_very_bytes(self, cli, tmp_path):
        lines = [b'{"text": "\\u00e4 ", "response":  1.50}', BAD, b'{"text": "\xff"}']
        good = json.dumps(QA[0]).encode()
        (tmp_path / "qa.jsonl").write_bytes(b"\n".join([good, *lines]) + b"\r\n")

        cli(["import", "qa.jsonl", "-o", "out", "--max-rejects", 3, "--rejects-raw"])

        ledger = (tmp_path / "out/rejects/rejects-00000.jsonl").read_bytes().splitlines()
        assert ledger[0].endswith(b'"row":' + lines[0] + b"}")
        assert json.loads(ledger[1])["row_text"] == BAD.decode()
        assert json.loads(ledger[2])["row_base64"] == "eyJ0ZXh0IjogIv8ifQ=="

    def test_when_all_rows_are_refused_no_consent_helps(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [{"text": "?", "response": 1}] * 3)

        done = cli(["import", "qa.jsonl", "-o", "out", "--max-rejects", "100%"])

        assert done.code == 6
        assert last_error(done.err) == "all 3 rows were refused; nothing was committed"
        assert b"to accept them" not in done.err
        assert not (tmp_path / "out/data").exists()

    def test_a_thousand_bad_first_rows_stop_the_run(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [{"text": "?", "response": 1}] * 5_000)

        done = cli(["import", "qa.jsonl", "-o", "out", "--max-rejects", "100%"])

        assert done.code == 6
        assert last_error(done.err).startswith("the first 1,000 rows were all refused")
        assert b"field-not-text     1,000" in done.err

    def test_rows_that_name_pictures_elsewhere_are_told_which_root_would_allow_it(
        self, cli, write_jsonl, tmp_path, png_bytes
    ):
        away = tmp_path / "pictures" / "scans"
        away.mkdir(parents=True)
        (away / "a.png").write_bytes(png_bytes(4, 4))
        (tmp_path / "rows").mkdir()
        write_jsonl(tmp_path / "rows" / "qa.jsonl", [{**QA[0], "image": str(away / "a.png")}])

        refused = cli(["import", "rows/qa.jsonl", "-o", "out"])
        allowed = cli(["import", "rows/qa.jsonl", "-o", "out", "--image-root", away])

        assert (refused.code, allowed.code) == (6, 0)
        assert f"rows name pictures below {away}; if you trust them, add" in refused.err.decode()
        assert f"  --image-root {away}" in refused.err.decode().splitlines()

    def test_json_tells_of_a_refusal_too(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl", "-o", "out", "--json"])

        assert done.code == 6
        assert json.loads(done.out) == {
            "output": "out",
            "committed": False,
            "rows": 7,
            "written": 0,
            "by_reason": {"json-invalid": 1},
        }

    def test_quiet_says_only_how_it_ended(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(["import", "qa.jsonl", "-o", "out", "-q", "--max-rejects", 1])

        assert done.err.decode().splitlines() == [
            "out: 6 rows written (train 6), 1 refused (see out/rejects), 0 pictures, 0.0 MiB"
        ]

    def test_only_the_first_twenty_are_a_line_each(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, *[BAD] * 30])

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert done.err.count(b"\nrefused  qa.jsonl:") == 20

    @pytest.mark.parametrize("value", ["many", "-1", "101%", "1.5", "%", "nan%"])
    def test_a_consent_that_is_none_is_a_usage_error(self, cli, write_jsonl, tmp_path, value):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "out", f"--max-rejects={value}"])

        assert done.code == 2
        assert error_line(done.err).startswith("--max-rejects takes a count")
        assert not (tmp_path / "out").exists()

    def test_values_cannot_paint_the_terminal(self, cli, write_jsonl, tmp_path):
        hostile = {"role": "\x1b[31m[/bold][red]\nx", "content": "?"}
        write_jsonl(tmp_path / "qa.jsonl", [*QA, {"messages": [hostile]}])

        done = cli(["import", "qa.jsonl", "-o", "out", "--from", "openai"])

        assert b"\x1b" not in done.err
        assert rb"\x1b[31m[/bold][red]\nx" in done.err


class TestTheOutputFolder:
    @pytest.fixture
    def imported(self, cli, write_jsonl, tmp_path) -> Path:
        write_jsonl(tmp_path / "qa.jsonl", QA)
        assert cli(["import", "qa.jsonl", "-o", "out"]).code == 0
        return tmp_path / "out"

    def test_the_same_command_again_touches_nothing(self, imported, cli, stamps):
        before = stamps(imported)

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert (done.code, stamps(imported)) == (0, before)
        assert b"out: finished before, nothing to do" in done.err

    @pytest.mark.parametrize(
        ("more", "difference"),
        [
            pytest.param(["--with-images"], "with_images was False, now True", id="pictures"),
            pytest.param(["--rejects-raw"], "rejects_raw was False, now True", id="raw rejects"),
            pytest.param(["--split", "test"], "the source files", id="split"),
        ],
    )
    def test_another_plan_is_refused_and_the_difference_named(
        self, imported, cli, stamps, more, difference
    ):
        before = stamps(imported)

        done = cli(["import", "qa.jsonl", "-o", "out", *more])

        assert (done.code, stamps(imported)) == (5, before)
        assert difference in last_error(done.err)
        assert "--overwrite replaces it" in last_error(done.err)

    def test_overwrite_replaces_the_set_whole(self, imported, cli, write_jsonl, tmp_path, tree):
        write_jsonl(tmp_path / "other.jsonl", QA[:2])

        done = cli(["import", "test=other.jsonl", "-o", "out", "--overwrite"])

        assert done.code == 0
        assert shards(imported) == ["test-00000-000.parquet"]
        assert sorted(tree(imported)) == [
            "README.md",
            "data/test-00000-000.parquet",
            "manifest.json",
        ]

    def test_overwrite_twice_after_leftovers_of_the_first(self, imported, cli, write_jsonl):
        """A run killed while it deleted the replaced set leaves it in .vlm/replaced."""
        shutil.copytree(imported / "data", imported / ".vlm/replaced/data")
        write_jsonl(imported.parent / "other.jsonl", QA[:2])

        done = cli(["import", "test=other.jsonl", "-o", "out", "--overwrite"])

        assert done.code == 0, done.err.decode()
        assert shards(imported) == ["test-00000-000.parquet"]

    def test_a_foreign_file_in_data_is_left_and_named(self, imported, cli, tree):
        (imported / "data" / "notes.txt").write_text("mine")
        (imported / "data" / "train-00009-000.parquet").symlink_to("/etc/hostname")
        before = tree(imported)

        done = cli(["import", "qa.jsonl", "-o", "out", "--with-images", "--overwrite"])

        assert (done.code, tree(imported)) == (5, before)
        assert "data/notes.txt, data/train-00009-000.parquet" in last_error(done.err)

    def test_a_note_beside_the_set_outlives_an_overwrite(self, imported, cli):
        (imported / "notes.txt").write_text("mine")

        done = cli(["import", "qa.jsonl", "-o", "out", "--with-images", "--overwrite"])

        assert done.code == 0
        assert (imported / "notes.txt").read_text() == "mine"

    def test_a_finished_set_that_lost_a_shard_is_not_called_finished(self, imported, cli):
        (imported / "data/train-00000-000.parquet").unlink()

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert done.code == 5
        assert "data/train-00000-000.parquet" in last_error(done.err)
        assert cli(["import", "qa.jsonl", "-o", "out", "--overwrite"]).code == 0
        assert cli(["validate", "out", "--read-data"]).code == 0

    @pytest.mark.parametrize("names", [["notes.txt"], ["data/mine.csv"], ["README.md"]], ids=str)
    def test_a_folder_that_holds_something_else_is_left_alone(
        self, cli, write_jsonl, tmp_path, stamps, names
    ):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        for name in names:
            (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / name).write_text("mine")
        before = stamps(tmp_path / "out")

        done = cli(["import", "qa.jsonl", "-o", "out", "--overwrite"])

        assert (done.code, stamps(tmp_path / "out")) == (5, before)
        assert "holds something else" in last_error(done.err)

    def test_a_file_in_the_way(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "qa.jsonl"])

        assert done.code == 5
        assert "a file stands where the output folder should be" in last_error(done.err)

    def test_a_file_as_a_parent(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "qa.jsonl/out"])

        assert done.code == 5
        assert last_error(done.err) == "qa.jsonl/out: Not a directory"

    def test_a_name_too_long(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "x" * 300])

        assert done.code == 5
        assert "File name too long" in last_error(done.err)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_read_only_parent(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        (tmp_path / "locked").mkdir(mode=0o500)

        done = cli(["import", "qa.jsonl", "-o", "locked/out"])

        assert done.code == 5
        assert last_error(done.err) == "locked/out: Permission denied"

    def test_two_imports_into_one_folder(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        command = [sys.executable, "-m", "vlm_datakit", "import", "-", "-o", "out", "-q"]
        with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as first:
            assert first.stdin is not None
            first.stdin.write((json.dumps(QA[0]).encode() + b"\n") * 1_001)
            first.stdin.flush()
            wait_for(tmp_path / "out/.vlm/lock")

            second = cli(["import", "qa.jsonl", "-o", "out"])

            first.stdin.close()
            assert first.wait(60) == 0
        assert second.code == 5
        assert last_error(second.err) == "out: another import is writing to this folder"
        assert json.loads((tmp_path / "out/manifest.json").read_bytes())["splits"]["train"]["rows"]


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
NOISE = random.Random(0).randbytes(5_000)


class TestBadInput:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            pytest.param(None, "no such file", id="missing"),
            pytest.param(b"", "the file is empty", id="empty"),
            pytest.param(b"\n \n\r\n", "no rows", id="blank lines only"),
            pytest.param(PNG, "a picture (image/png)", id="picture"),
            pytest.param(b"PAR1" + bytes(100), "cannot be read as Parquet", id="parquet"),
            pytest.param(gzip.compress(b"{}\n")[:-2], "damaged gzip: it ends too", id="gzip"),
            pytest.param(NOISE, "a binary file", id="noise"),
            pytest.param(b"Dear all,\nhere is the data.\n", "no JSON object", id="prose"),
            pytest.param(b'{"a": 1, "b": 2}\n', "no known format fits rows with", id="columns"),
        ],
    )
    @pytest.mark.parametrize("command", [["import", "-o", "out"], ["validate"]], ids=lambda c: c[0])
    def test_one_line_says_what_it_is_and_nothing_is_written(
        self, cli, tmp_path, command, content, words
    ):
        if content is not None:
            (tmp_path / "in.jsonl").write_bytes(content)

        done = cli([*command, "in.jsonl"])

        assert (done.code, done.out) == (3, b"")
        assert error_line(done.err).startswith("in.jsonl: ")
        assert words in error_line(done.err)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("input_", [b"", b"\n\n"], ids=["empty", "blank lines"])
    def test_an_empty_pipe_has_no_rows(self, cli, tmp_path, input_):
        done = cli(["import", "-", "-o", "out"], input=input_)

        assert done.code == 3
        assert error_line(done.err).startswith("stdin: no rows; ")
        assert not (tmp_path / "out").exists()

    def test_blank_lines_of_a_named_format_leave_nothing_behind(self, cli, tmp_path):
        (tmp_path / "in.jsonl").write_bytes(b"\n\n")

        done = cli(["import", "in.jsonl", "--from", "simple", "-o", "out"])

        assert done.code == 3
        assert not (tmp_path / "out").exists()

    def test_a_folder_without_the_split(self, cli, tmp_path):
        (tmp_path / "set").mkdir()

        done = cli(["import", "set", "-o", "out"])

        assert done.code == 3
        assert error_line(done.err) == (
            "set: no train.jsonl, train-*.parquet or the like in this folder, no pictures, and not "
            "a finished import; files of rows in it: none"
        )

    def test_a_finished_import_is_no_source_and_says_what_reads_it(
        self, cli, write_jsonl, tmp_path
    ):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        first = cli(["import", "qa.jsonl", "-o", "out"])

        done = cli(["import", "out", "-o", "again"])

        words = "out: a finished import already; convert and validate read it"
        assert (first.code, done.code, error_line(done.err)) == (0, 3, words)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
    def test_a_file_without_permission(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA).chmod(0)

        done = cli(["import", "qa.jsonl", "-o", "out"])

        assert done.code == 3
        assert error_line(done.err) == "qa.jsonl: Permission denied"

    def test_a_fifo_is_named_and_not_waited_for(self, cli, tmp_path):
        os.mkfifo(tmp_path / "fifo.jsonl")

        done = cli(["import", "fifo.jsonl", "-o", "out"])

        assert done.code == 3
        assert error_line(done.err).startswith("fifo.jsonl: not a regular file")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            pytest.param(["--from", "opnai"], "did you mean openai?", id="format"),
            pytest.param(["--from", "no.mod:F"], "cannot import the format", id="module"),
            pytest.param(["--split", "a/b"], "'a/b' is no split name", id="split"),
            pytest.param(["--split", "../x"], "'../x' is no split name", id="split with dots"),
            pytest.param(["--image-root", "no"], "--image-root no: no such folder", id="root"),
            pytest.param(["qa.jsonl"], "the same file is named twice", id="twice"),
        ],
    )
    def test_usage_errors_exit_2(self, cli, write_jsonl, tmp_path, arguments, words):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["import", "qa.jsonl", "-o", "out", *arguments])

        assert done.code == 2
        assert words in error_line(done.err)
        assert not (tmp_path / "out").exists()

    def test_an_unknown_command_names_the_nearest(self, cli):
        done = cli(["impotr", "qa.jsonl"])

        assert done.code == 2
        assert b"No such command 'impotr'. Did you mean import?" in done.err

    def test_an_unknown_flag_exits_2(self, cli):
        done = cli(["import", "qa.jsonl", "--overwrit"])

        assert done.code == 2
        assert b"No such option" in done.err
        assert b"--overwrite" in done.err

    def test_a_name_too_long_for_the_disk(self, cli):
        done = cli(["import", '{"text": 1}' * 50])

        assert done.code == 3
        assert b"Traceback" not in done.err

    def test_a_file_name_that_is_not_unicode(self, cli, write_jsonl, tmp_path):
        name = os.fsdecode(b"caf\xe9.jsonl")
        write_jsonl(tmp_path / name, QA)

        done = cli(["import", name, "-o", "out"])

        assert done.code == 3
        assert error_line(done.err) == "caf\\udce9.jsonl: the name is not valid UTF-8; rename it"

    @pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-"], ids=["stdin", "stdout", "stderr"])
    def test_a_closed_stream_makes_no_traceback(self, shell, write_jsonl, tmp_path, closed):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = shell(f"vlm-datakit import qa.jsonl -o out {closed}")

        assert (done.code, "Traceback" in done.err) == (0, False)

    def test_a_closed_standard_input_is_named(self, shell):
        done = shell("vlm-datakit import - -o out 0<&-")

        assert done.code == 3
        assert done.err.startswith("vlm-datakit: error: stdin: no rows; ")


class TestTheDiskIsFull:
    @pytest.fixture
    def big(self, cli, write_jsonl, tmp_path) -> Path:
        noise = random.Random(0)
        rows = [{"text": noise.randbytes(20_000).hex(), "response": "yes"} for _ in range(40)]
        write_jsonl(tmp_path / "in.jsonl", [*rows, BAD])
        done = cli(["import", "in.jsonl", "-o", "whole/out", "--max-rejects", 1])
        assert done.code == 0
        return tmp_path

    def test_a_file_size_limit_is_one_line_and_a_rerun_ends_with_equal_bytes(
        self, big, shell, tree
    ):
        command = "vlm-datakit import in.jsonl -o out --max-rejects 1"

        full = shell(f"ulimit -f 100; {command}")

        assert full.code == 5, full.err
        assert last_error(full.err.encode()).endswith("File too large; run again to go on")
        assert not (big / "out/manifest.json").exists()
        assert not (big / "out/data").exists()
        assert shell(command).code == 0
        assert tree(big / "out") == tree(big / "whole/out")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
    def test_a_full_disk_is_one_line_and_a_rerun_ends_with_equal_bytes(self, big, shell, tree):
        (big / "small").mkdir()
        mounted = shell("mount -t tmpfs -o size=400k tmpfs small")
        if mounted.code != 0:
            pytest.skip(f"no tmpfs here: {mounted.err}")
        command = "vlm-datakit import in.jsonl -o small/out --max-rejects 1"
        try:
            full = shell(command)
            standing = tree(big / "small/out")
            shell("mount -o remount,size=64m small")
            again = shell(command)
            found = tree(big / "small/out")
        finally:
            shell("umount small")

        assert full.code == 5, full.err
        assert "No space left on device" in last_error(full.err.encode())
        assert standing == {}
        assert again.code == 0, again.err
        assert found == tree(big / "whole/out")


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "code", "words"),
        [
            pytest.param(
                signal.SIGINT,
                130,
                "vlm-datakit: interrupted",
                id="Ctrl-C",
            ),
            pytest.param(signal.SIGTERM, -signal.SIGTERM, "", id="SIGTERM"),
        ],
    )
    def test_a_signal_ends_it_in_a_line_and_the_same_command_goes_on(
        self, cli, tmp_path, number, code, words
    ):
        command = [sys.executable, "-m", "vlm_datakit", "import", "-", "-o", "out", "-q"]
        lines = (json.dumps(QA[0]).encode() + b"\n") * 1_001
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=tmp_path, stdin=pipe, stderr=pipe) as process:
            assert process.stdin is not None
            process.stdin.write(lines)
            process.stdin.flush()
            wait_for(tmp_path / "out/.vlm/lock")

            process.send_signal(number)

            _, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert err.decode().split("\n") == ([words, ""] if words else [""])
        assert cli(["import", "-", "-o", "out"], input=lines).code == 0
