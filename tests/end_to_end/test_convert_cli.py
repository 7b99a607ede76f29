"""``vlm-datakit convert`` in files, in pipes and from shards; what comes back and what cannot."""

from __future__ import annotations

import base64
import json

import pytest

QA = [{"text": f"{n} + {n}?", "response": str(2 * n)} for n in range(6)]
BAD = b'{"text": "cut in the mid'


def lines(rows) -> bytes:
    raw = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return b"".join(row + b"\n" for row in raw)


def parsed(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


class TestInAPipe:
    def test_rows_on_stdout_and_words_on_stderr(self, cli):
        done = cli(["convert", "--to", "openai"], input=lines(QA))

        assert done.code == 0
        assert [row["messages"][1]["role"] for row in parsed(done.out)] == ["assistant"] * 6
        assert done.err == (
            b"stdin: read as simple (rows have text and response)\n6 rows converted\n"
        )

    def test_there_and_back_and_into_an_import(self, shell):
        done = shell(
            "set -o pipefail; vlm-datakit sample -n 12 "
            "| vlm-datakit convert --to simple -q "
            "| vlm-datakit convert --from simple --to openai -q "
            "| vlm-datakit import - -o out --json"
        )

        assert done.code == 0, done.err
        assert json.loads(done.out)["written"] == 12

    @pytest.mark.parametrize(
        "writer",
        [
            "vlm-datakit sample -n 2000",
            "vlm-datakit convert --to simple many.jsonl",
            "vlm-datakit convert --to simple many.jsonl --rejects refused.jsonl",
        ],
        ids=["sample", "convert", "convert with a ledger"],
    )
    def test_a_reader_that_leaves_ends_it_quietly_with_141(
        self, shell, write_jsonl, tmp_path, writer
    ):
        write_jsonl(tmp_path / "many.jsonl", QA * 5_000)

        done = shell(f"{writer} | head -1 | wc -l; exit ${{PIPESTATUS[0]}}")

        assert (done.code, done.out) == (141, "1\n")
        assert "Traceback" not in done.err
        assert "rror" not in done.err

    def test_refused_rows_are_named_the_others_written_and_it_exits_6(self, cli):
        done = cli(["convert", "--to", "openai"], input=lines([QA[0], BAD, *QA[1:]]))

        assert (done.code, len(parsed(done.out))) == (6, 6)
        assert b"\nrefused  stdin:2 $ json-invalid: " in done.err
        assert done.err.endswith(b"1 of 7 rows were refused; the others are written\n")

    def test_beyond_twenty_refusals_are_counted(self, cli):
        done = cli(["convert", "--from", "simple", "--to", "openai"], input=lines([BAD] * 30))

        assert done.err.count(b"refused  stdin:") == 20
        assert b"json-invalid        30" in done.err

    def test_a_pipe_names_no_files_of_this_machine(self, cli, tmp_path, png_bytes):
        (tmp_path / "a.png").write_bytes(png_bytes())
        row = {"text": "?", "image": "a.png", "response": "!"}

        refused = cli(["convert", "--to", "openai"], input=lines([row]))
        allowed = cli(["convert", "--to", "openai", "--image-root", "."], input=lines([row]))

        assert (refused.code, allowed.code) == (6, 0)
        assert b"image-file-missing" in refused.err

    @pytest.mark.parametrize("input_", [b"", b"\n \n"], ids=["empty", "blank lines"])
    def test_nothing_in_is_said_in_one_line(self, cli, input_):
        done = cli(["convert", "--to", "simple"], input=input_)

        assert (done.code, done.out) == (3, b"")
        assert done.err.startswith(b"vlm-datakit: error: stdin: no rows; ")

    def test_a_picture_in_a_line_of_more_than_16_mib_comes_whole(self, cli, png_bytes):
        picture = png_bytes(2_400, 2_400, compress_level=0)
        row = {"text": "?", "image": base64.b64encode(picture).decode(), "response": "!"}

        done = cli(["convert", "--to", "simple"], input=lines([row]))

        assert done.code == 0, done.err
        (back,) = parsed(done.out)
        assert len(done.out) > 16 * 2**20
        assert base64.b64decode(back["image"].partition(",")[2]) == picture


class TestFiles:
    def test_in_and_out_are_files(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["convert", "--to", "openai", "qa.jsonl", "chat.jsonl"])

        assert (done.code, done.out) == (0, b"")
        assert len(parsed((tmp_path / "chat.jsonl").read_bytes())) == 6

    def test_an_existing_output_is_kept_unless_told_otherwise(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)
        (tmp_path / "out.jsonl").write_text("mine")
        command = ["convert", "--to", "openai", "qa.jsonl", "out.jsonl"]

        refused, kept = cli(command), (tmp_path / "out.jsonl").read_text()
        replaced = cli([*command, "--overwrite"])

        assert (refused.code, kept, replaced.code) == (5, "mine", 0)
        assert b"out.jsonl: the file exists; --overwrite replaces it" in refused.err

    def test_a_file_may_be_converted_in_its_place(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["convert", "--to", "openai", "qa.jsonl", "qa.jsonl", "--overwrite"])

        assert done.code == 0
        assert "messages" in parsed((tmp_path / "qa.jsonl").read_bytes())[0]

    def test_a_device_is_written_to_and_not_replaced(self, shell, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = shell(
            "vlm-datakit convert --to openai qa.jsonl /dev/null -q && test -c /dev/null && "
            "vlm-datakit convert --to openai qa.jsonl >(cat > copy.jsonl) -q && sleep 0.2"
        )

        assert done.code == 0, done.err
        assert len(parsed((tmp_path / "copy.jsonl").read_bytes())) == 6

    def test_the_ledger_keeps_refused_rows_raw(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", [*QA, BAD])

        done = cli(
            ["convert", "--to", "openai", "qa.jsonl", "--rejects", "no.jsonl", "--rejects-raw"]
        )

        (refused,) = parsed((tmp_path / "no.jsonl").read_bytes())
        assert (done.code, refused["line"], refused["row_text"]) == (6, 7, BAD.decode())

    def test_an_output_that_fails_midway_is_not_there(self, shell, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "qa.jsonl", QA * 5_000)

        done = shell("ulimit -f 100; vlm-datakit convert --to openai qa.jsonl out.jsonl")

        assert done.code == 5
        assert done.err.endswith("vlm-datakit: error: out.jsonl: File too large\n")
        assert [path.name for path in tmp_path.iterdir()] == ["qa.jsonl"]

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            pytest.param(["--to", "simpel", "qa.jsonl"], 2, b"did you mean simple?", id="target"),
            pytest.param(["--to", "simple", "--from", "x", "qa.jsonl"], 2, b"unknown", id="source"),
            pytest.param(["qa.jsonl"], 2, b"Missing option '--to'", id="no target"),
            pytest.param(["--to", "simple", "no.jsonl"], 3, b"no such file", id="missing"),
            pytest.param(["--to", "simple", "x" * 300], 3, b"File name too long", id="too long"),
            pytest.param(["--to", "simple", "."], 3, b"not a finished import", id="folder"),
            pytest.param(
                ["--to", "simple", "--split", "a", "qa.jsonl"], 2, b"--split chooses", id="split"
            ),
            pytest.param(
                ["--to", "openai", "qa.jsonl", "o", "--rejects", "o"],
                2,
                b"cannot share a file",
                id="same",
            ),
            pytest.param(
                ["--to", "openai", "qa.jsonl", ".", "--overwrite"],
                5,
                b"Is a directory",
                id="into folder",
            ),
            pytest.param(
                ["--to", "simple", "qa.jsonl", "no/o.jsonl"], 5, b"No such file", id="no folder"
            ),
        ],
    )
    def test_what_cannot_be_done(self, cli, write_jsonl, tmp_path, arguments, code, words):
        write_jsonl(tmp_path / "qa.jsonl", QA)

        done = cli(["convert", *arguments])

        assert (done.code, done.out, words in done.err) == (code, b"", True), done.err
        assert b"Traceback" not in done.err


class TestThroughShards:
    @pytest.fixture
    def rows(self, jpeg_bytes, png_bytes, data_uri) -> list[dict]:
        """Chat rows with everything that the shards must bring back."""
        one = data_uri(jpeg_bytes(30, 20, color=(200, 30, 30), orientation=6), "image/jpeg")
        two = data_uri(png_bytes(20, 30, color=(3, 2, 1)))
        low = {"type": "image_url", "image_url": {"url": one, "detail": "low"}}
        plain = {"type": "image_url", "image_url": {"url": two}}
        text = {"type": "text", "text": "What is\u2028in  these?\n"}
        call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": [2]}}}]
        full = [
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [low, text, plain], "name": "ana"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": [{"type": "text", "text": "42"}], "tool_call_id": "c1"},
            {"role": "assistant", "content": [{"type": "text", "text": '{"a": "007"}'}]},
        ]
        question = {"role": "user", "content": [{"type": "text", "text": "42?"}]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": "null"}], "weight": 0}
        return [
            {"id": "full", "messages": full, "tools": tools},
            {"id": "7", "messages": [question, answer]},
        ]

    def test_openai_comes_back_equal_pictures_and_all(self, cli, write_jsonl, tmp_path, rows):
        write_jsonl(tmp_path / "in.jsonl", rows)
        assert cli(["import", "in.jsonl", "-o", "out"]).code == 0

        done = cli(["convert", "--to", "openai", "out"])

        assert done.code == 0
        assert parsed(done.out) == rows

    def test_a_string_content_comes_back_as_one_text_part(self, cli, write_jsonl, tmp_path, chat):
        row = chat("2 + 2?", "4")
        write_jsonl(tmp_path / "in.jsonl", [row])
        cli(["import", "in.jsonl", "-o", "out"])

        (back,) = parsed(cli(["convert", "--to", "openai", "out"]).out)

        assert back["messages"][0] == row["messages"][0]
        assert back["messages"][1]["content"] == [{"type": "text", "text": "4"}]

    def test_one_split_or_all_of_them_in_order(self, cli, write_jsonl, tmp_path):
        write_jsonl(tmp_path / "a.jsonl", QA[:4])
        write_jsonl(tmp_path / "b.jsonl", QA[4:])
        cli(["import", "train=a.jsonl", "test=b.jsonl", "-o", "out"])

        both = parsed(cli(["convert", "--to", "simple", "out"]).out)
        test = parsed(cli(["convert", "--to", "simple", "out", "--split", "test"]).out)
        unknown = cli(["convert", "--to", "simple", "out", "--split", "dev"])

        assert [row["response"] for row in both] == ["0", "2", "4", "6", "8", "10"]
        assert [row["response"] for row in test] == ["8", "10"]
        assert (unknown.code, b"no split 'dev'; it has train, test" in unknown.err) == (2, True)

    def test_what_simple_cannot_hold_is_refused_row_by_row(
        self, cli, write_jsonl, tmp_path, rows, chat
    ):
        write_jsonl(tmp_path / "in.jsonl", [*rows, chat("1?", "1")])

        done = cli(["convert", "--to", "simple", "in.jsonl"])

        assert (done.code, len(parsed(done.out))) == (6, 1)
        assert b"simple cannot hold, and rows with it are refused: detail, first-image" in done.err
        assert b"refused  in.jsonl:1 $.messages does-not-fit-format: simple has no" in done.err
        assert b"refused  in.jsonl:2 $.messages[1].weight does-not-fit-format" in done.err

    def test_a_loss_allowed_is_reported(self, cli, write_jsonl, tmp_path, rows):
        write_jsonl(tmp_path / "in.jsonl", rows)

        done = cli(["convert", "--to", "simple", "in.jsonl", "--lossy", "all"])

        assert (done.code, len(parsed(done.out))) == (6, 1)
        assert b"has no place for an answer that is nothing but calls of tools" in done.err
        assert b"left out, rows by loss:\n  flags         1\n" in done.err


SPOKEN = {"conversations": [{"from": "human", "value": "2?"}, {"from": "gpt", "value": "2"}]}
TO_SHAREGPT = ["convert", "in.jsonl", "out/a.b.jsonl", "--to", "sharegpt", "--dataset-info"]


class TestForLlamaFactory:
    @pytest.fixture(autouse=True)
    def folders(self, write_jsonl, tmp_path):
        (tmp_path / "out").mkdir()
        write_jsonl(tmp_path / "in.jsonl", [*QA[:2], {"text": "?"}])

    @pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["one", "two"])
    def test_the_rows_are_entered_in_its_list(self, cli, tmp_path, workers):
        info = tmp_path / "dataset_info.json"
        info.write_text('{"other": {"file_name": "b.json"}}')

        done = cli([*TO_SHAREGPT, "dataset_info.json", "-q", *workers])

        assert done.code == 6  # a row was refused, and the others are written
        entries = json.loads(info.read_text())
        assert list(entries) == ["other", "a"]
        assert entries["a"]["file_name"] == "out/a.b.jsonl"
        assert entries["a"]["columns"] == {"messages": "conversations"}

    def test_a_list_that_is_none_is_found_before_the_rows_are_read(self, cli, tmp_path):
        (tmp_path / "dataset_info.json").write_text("[]")

        done = cli([*TO_SHAREGPT, "dataset_info.json"])

        assert done.code == 3
        assert done.err == b"vlm-datakit: error: dataset_info.json: not an object of entries\n"
        assert not (tmp_path / "out" / "a.b.jsonl").exists()

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["in.jsonl", "a", "--to", "llava"], b"is for --to sharegpt or alpaca, not llava"),
            (["in.jsonl", "--to", "alpaca"], b"names the file that rows go to: add OUT"),
        ],
    )
    def test_it_is_for_files_that_llama_factory_reads(self, cli, tmp_path, arguments, words):
        done = cli(["convert", *arguments, "--dataset-info", "dataset_info.json"])

        assert (done.code, words in done.err) == (2, True)
        assert not (tmp_path / "dataset_info.json").exists()

    def test_pairs_among_other_rows_are_written_and_not_entered(self, cli, write_jsonl, tmp_path):
        pair = {**SPOKEN, "conversations": SPOKEN["conversations"][:1]}
        pair |= {"chosen": SPOKEN["conversations"][1], "rejected": {"from": "gpt", "value": "3"}}
        write_jsonl(tmp_path / "in.jsonl", [SPOKEN, pair])

        done = cli([*TO_SHAREGPT, "dataset_info.json"])

        assert (done.code, b"1 of 2 rows are pairs" in done.err) == (3, True)
        assert len(parsed((tmp_path / "out" / "a.b.jsonl").read_bytes())) == 2
        assert not (tmp_path / "dataset_info.json").exists()


class TestThroughManyFormats:
    @pytest.mark.parametrize(
        "way",
        [
            "sharegpt swift llava openai",
            "llava sharegpt qwen trl",
            "alpaca swift sharegpt simple",
            "qwen trl swift alpaca",
        ],
    )
    def test_what_all_of_them_hold_comes_back(self, shell, cli, write_jsonl, tmp_path, way):
        rows = [{"id": "a", "messages": [{"role": "user", "content": "2?"}, ANSWER]}]
        write_jsonl(tmp_path / "in.jsonl", rows)
        steps = [f"vlm-datakit convert --to {name} -q" for name in way.split()]

        done = shell(f"set -o pipefail; cat in.jsonl | {' | '.join(steps)}")
        back = cli(["convert", "--to", "openai", "-q"], input=done.out.encode())

        assert done.code == 0, done.err
        contents = [[{"type": "text", "text": text}] for text in ("2?", "2")]
        assert [turn["content"] for turn in parsed(back.out)[0]["messages"]] == contents


ANSWER = {"role": "assistant", "content": "2"}


class TestWhatCannotGoWell:
    @pytest.mark.parametrize("name", ["in.jsonl", "./in.jsonl", "link.jsonl", "out.jsonl"])
    @pytest.mark.parametrize("option", ["--rejects", "--dataset-info"])
    def test_no_file_is_written_twice(self, cli, tmp_path, name, option):
        (tmp_path / "in.jsonl").write_bytes(lines(QA))
        (tmp_path / "link.jsonl").symlink_to("in.jsonl")

        done = cli(
            ["convert", "--to", "sharegpt", "in.jsonl", "out.jsonl", "--overwrite", option, name]
        )

        assert (done.code, (tmp_path / "in.jsonl").read_bytes()) == (2, lines(QA))
        assert b"cannot share a file" in done.err

    def test_rows_that_are_all_refused_leave_no_file_but_the_ledger(self, cli, tmp_path):
        (tmp_path / "in.jsonl").write_bytes(lines(QA))
        command = ["convert", "--from", "sharegpt", "--to", "openai", "in.jsonl", "out.jsonl"]

        done = cli([*command, "--rejects", "bad.jsonl"])

        assert (done.code, (tmp_path / "out.jsonl").exists()) == (6, False)
        assert len(parsed((tmp_path / "bad.jsonl").read_bytes())) == len(QA)
        words = b"all 6 rows were refused, and nothing is written: the format (read as sharegpt)"
        assert words in done.err

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_thousand_first_rows_refused_are_enough(self, cli, workers):
        command = ["convert", "--from", "simple", "--to", "openai", "-q", "--workers", workers]
        bad = b'{"text": 5, "response": "a"}\n' * 1_001

        done = cli(command, input=bad + lines(QA) * 100)

        assert (done.code, done.out) == (6, b"")
        assert b"the first 1,000 rows were refused, and nothing is written" in done.err

    def test_columns_that_are_not_read_are_named(self, cli):
        row = {"messages": [{"role": "user", "content": "?"}], "system_prompt": "s", "n": 1}
        row["messages"].append({"role": "assistant", "content": "!", "reasoning_content": "..."})

        done = cli(["convert", "--to", "simple"], input=lines([row]))

        assert done.code == 0
        assert b"not used: system_prompt, n, messages[].reasoning_content\n" in done.err
