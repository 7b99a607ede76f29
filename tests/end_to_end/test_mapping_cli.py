"""Rows of any columns through ``--map`` and ``--mapping``: import, convert, validate."""

from __future__ import annotations

import base64
import io
import json

import PIL.Image
import pytest

from vlm_datakit import SourceError, convert, import_dataset, mapping_of
from vlm_datakit.importing import ImportRequest

QA = [
    {"key": n, "question": f"{n} + {n}?", "answers": [str(2 * n), "?"], "note": "-"}
    for n in range(6)
]
FLAGS = ["--map", "prompt=question", "--map", "response=answers[0]", "--map", "id=key"]
PAIRS = [
    {
        "chosen": f"\n\nHuman: {n}?\n\nAssistant: yes",
        "rejected": f"\n\nHuman: {n}?\n\nAssistant: no",
    }
    for n in range(3)
]
PAIR_FLAGS = [
    *["--map", "prompt=common-prefix(chosen, rejected)"],
    *["--map", "chosen=after-common-prefix(chosen, rejected)"],
    *["--map", "rejected=after-common-prefix(rejected, chosen)"],
]


ROWS = [{"q": "2 + 2?", "as": ["4"]}]
MAPPING = {"prompt": "q", "response": "as[0]"}


def lines(rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parsed(out: bytes) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(lines(QA))
    return "rows.jsonl"


def bytes_of(folder) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.suffix in {".parquet", ".jsonl"}]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class TestConvert:
    def test_columns_become_a_conversation_and_the_unused_are_named_once(self, cli, rows):
        done = cli(["convert", rows, "--to", "simple", *FLAGS])

        assert done.code == 0
        assert parsed(done.out)[3] == {"id": "3", "text": "3 + 3?", "response": "6"}
        first, unused, losses, last = done.err.splitlines()
        assert first == b"rows.jsonl: read as trl (mapped: id, prompt, response)"
        assert (unused, last) == (b"not used: note", b"6 rows converted")
        assert losses.startswith(b"simple cannot hold, and rows with it are refused: ")

    def test_from_a_pipe_and_in_several_processes_alike(self, cli, rows):
        one = cli(["convert", rows, "--to", "trl", *FLAGS, "--workers", "2"])
        other = cli(["convert", "-", "--to", "trl", *FLAGS], input=lines(QA))

        assert one.code == other.code == 0
        assert one.out == other.out != b""

    def test_pairs_out_of_transcripts(self, cli):
        done = cli(["convert", "--to", "preference", *PAIR_FLAGS], input=lines(PAIRS))

        assert done.code == 0
        assert parsed(done.out)[1] == {"prompt": "1?", "chosen": "yes", "rejected": "no"}

    def test_a_row_that_lacks_the_value_is_refused_in_its_place(self, cli):
        bad = {**QA[0], "answers": None}

        done = cli(["convert", "--to", "simple", *FLAGS], input=lines([QA[0], bad, QA[2]]))

        assert done.code == 6
        assert [row["id"] for row in parsed(done.out)] == ["0", "2"]
        assert b"refused  stdin:2 $.answers[0] field-missing: null\n" in done.err

    @pytest.mark.parametrize(
        ("flag", "words"),
        [
            ("prompt=qestion", b"qestion is no column of the first rows; did you mean question?"),
            ("prompt=Add it up.", b"A constant is quoted: --map 'prompt=\"Add it up.\"'"),
            ("prompt='Add.'", b"A constant is quoted: --map 'prompt=\"Add.\"'"),
            ("prompt=first-of-list", b"A step is spelled first-of-list(COLUMN)"),
            ("prompt=note.text", b"note.text leads nowhere in the first rows"),
            ("prompt=Read {page}", b"page is no column of the first rows"),
            (
                "prompt=first-of(answers)",
                b"no step is called first-of; did you mean first-of-list?",
            ),
            ("promt=question", b"no such role; did you mean prompt?"),
        ],
    )
    def test_what_is_no_column_is_said_before_the_run(self, cli, rows, flag, words):
        done = cli(["convert", rows, "--to", "simple", "--map", flag, *FLAGS[2:]])

        assert (done.code, done.out) == (2, b"")
        assert words in done.err

    def test_a_named_format_takes_its_own_columns(self, cli, rows):
        flags = ["--map", "text=question", "--map", "output=answers[0]"]

        done = cli(["convert", rows, "--from", "simple", "--to", "simple", *flags])

        assert parsed(done.out)[1] == {"text": "1 + 1?", "response": "2"}

    def test_a_placeholder_that_stays_a_text_is_said(self, cli, data_uri, png_bytes):
        row = {"q": "<image>\nWho?", "a": "Ida.", "img": data_uri(png_bytes())}
        flags = ["--map", "response=a", "--map", "image=img", "--to", "openai"]

        plain = cli(["convert", "--map", "prompt=q", *flags], input=lines([row]))
        placed = cli(["convert", "--map", "prompt=image-places(q)", *flags], input=lines([row]))

        assert b"q holds <image>, which stays a text; image-places(q) makes it a place" in plain.err
        assert b"<image>" not in placed.out + placed.err
        assert [part["type"] for part in parsed(placed.out)[0]["messages"][0]["content"]] == [
            "image_url",
            "text",
        ]

    def test_a_finished_import_has_its_columns(self, cli, rows):
        cli(["import", rows, "-o", "out", *FLAGS])

        for command in (["convert", "out", "--to", "simple"], ["validate", "out"]):
            done = cli([*command, *FLAGS])
            assert (done.code, b"--map is for rows" in done.err) == (2, True)


class TestFiles:
    def test_a_saved_mapping_gives_the_same_bytes(self, cli, rows, tmp_path):
        first = cli(["import", rows, "-o", "one", *FLAGS, "--save-mapping", "m.yaml"])
        second = cli(["import", rows, "-o", "two", "--mapping", "m.yaml"])

        assert (first.code, second.code) == (0, 0), first.err + second.err
        assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
        plans = [json.loads((tmp_path / o / "manifest.json").read_bytes()) for o in ("one", "two")]
        assert plans[0]["plan_id"] == plans[1]["plan_id"]

    def test_a_flag_overrides_an_entry_of_the_file(self, cli, rows):
        cli(["convert", rows, "--to", "trl", *FLAGS, "--save-mapping", "m.yaml"])

        done = cli(
            ["convert", rows, "--to", "simple", "--mapping", "m.yaml", "--map", 'prompt="Add."']
        )

        assert parsed(done.out)[2] == {"id": "2", "text": "Add.", "response": "4"}

    def test_a_file_that_is_off_names_its_line(self, cli, rows, tmp_path):
        (tmp_path / "m.yaml").write_text("mapping: 1\nfields:\n  prompt: 7\n")

        done = cli(["convert", rows, "--to", "simple", "--mapping", "m.yaml"])

        assert done.code == 2
        assert b"m.yaml:3: fields.prompt: expected a path, " in done.err

    def test_nothing_to_save_is_said(self, cli, rows):
        done = cli(["convert", rows, "--to", "simple", "--save-mapping", "m.yaml"])

        assert (done.code, b"give one with --map" in done.err) == (2, True)


class TestImport:
    def test_the_layout_follows_the_mapping_and_workers_change_nothing(self, cli, tmp_path):
        (tmp_path / "pairs.jsonl").write_bytes(lines(PAIRS))
        for n in ("1", "2"):
            done = cli(["import", "pairs.jsonl", "-o", n, *PAIR_FLAGS, "--workers", n])
            assert done.code == 0, done.err

        assert bytes_of(tmp_path / "1") == bytes_of(tmp_path / "2") != {}
        plan = json.loads((tmp_path / "1" / "manifest.json").read_bytes())["plan"]
        assert (plan["layout"], plan["format"]) == ("pair", "preference")
        assert plan["mapping"][1] == "prompt=common-prefix(chosen, rejected)"

    @pytest.mark.parametrize("role", ["response", "completion"])
    def test_mapped_rows_end_as_rows_that_had_these_columns(self, cli, tmp_path, role):
        chat = role == "response"
        direct = [
            {"id": q["key"], "messages": [
                {"role": "user", "content": q["question"]},
                {"role": "assistant", "content": q["answers"][0]}]}
            if chat
            else {"id": q["key"], "prompt": q["question"], "completion": q["answers"][0]}
            for q in QA
        ]  # fmt: skip
        (tmp_path / "direct.jsonl").write_bytes(lines(direct))
        (tmp_path / "rows.jsonl").write_bytes(lines(QA))
        flags = ["--map", f"{role}=answers[0]", "--map", "prompt=question", "--map", "id=key"]

        cli(["import", "direct.jsonl", "-o", "direct"])
        cli(["import", "rows.jsonl", "-o", "mapped", *flags])

        shards = [bytes_of(tmp_path / out / "data") for out in ("direct", "mapped")]
        assert shards[0] == shards[1] != {}

    def test_jobs_do_slices_and_finish_commits(self, cli, rows, tmp_path):
        cli(["import", rows, "-o", "whole", *FLAGS])

        part = cli(["import", rows, "-o", "out", *FLAGS, "--slices", "0::1"])
        done = cli(["finish", "out"])

        assert (part.code, done.code) == (0, 0), part.err + done.err
        assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")

    def test_large_payloads_are_pictures_or_texts_as_the_mapping_says(self, cli):
        noise = PIL.Image.effect_noise((90, 90), 80)
        file = io.BytesIO()
        noise.save(file, "PNG")
        uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
        assert len(uri) > 8_000
        row = {"q": "?", "a": "!", "img": uri, "thumb": uri}
        flags = ["--map", "prompt=q", "--map", "image=img", "--to", "simple"]

        used = cli(["convert", *flags, "--map", "response=a"], input=lines([row]))
        as_text = cli(["convert", *flags, "--map", "response=thumb"], input=lines([row]))

        assert parsed(used.out) == [{"text": "?", "image": uri, "response": "!"}]
        assert parsed(as_text.out) == [{"text": "?", "image": uri, "response": uri}]

    def test_another_mapping_is_another_plan(self, cli, rows):
        cli(["import", rows, "-o", "out", *FLAGS])

        again = cli(["import", rows, "-o", "out", *FLAGS])
        other = cli(["import", rows, "-o", "out", *FLAGS[:2], "--map", "response=note"])

        assert again.code == 0
        assert other.code == 5
        assert (
            b"the mapping was id=key, prompt=question, response=answers[0]; "
            b"now prompt=question, response=note" in other.err
        )

    def test_pictures_of_any_column_open(self, cli, tmp_path):
        PIL.Image.new("RGB", (2, 3), "red").save(tmp_path / "a.png")
        row = {
            "q": "<image 1> or <image 2>?",
            "o": "['x', 'y']",
            "a": "A",
            "one": "a.png",
            "two": "a.png",
        }
        (tmp_path / "rows.jsonl").write_bytes(
            lines([row, {**row, "two": None}, {**row, "one": "b.png"}])
        )
        flags = ["--map", "prompt=question-with-choices(q, o)", "--map", "response=a"]

        done = cli(["validate", "rows.jsonl", *flags, "--map", "images=[one, two]"])

        assert done.code == 6
        assert b"rows.jsonl:2 $.one image-count-differs: 2 places for 1 images\n" in done.err
        assert b"rows.jsonl:3 $.one image-file-missing: " in done.err
        assert b"1 of 3 rows are good, 2 pictures" in done.err


class TestInPython:
    def test_a_dict_a_value_and_a_file_say_the_same(self, tmp_path):
        from vlm_datakit.mapping.file import save_mapping

        save_mapping(mapping_of(MAPPING), tmp_path / "m.yaml")
        for mapping in (MAPPING, mapping_of(MAPPING), tmp_path / "m.yaml"):
            assert [*convert(ROWS, mapping=mapping, target="simple")] == [
                {"text": "2 + 2?", "response": "4"}
            ]

    def test_rows_hold_pictures_as_python_does(self):
        file = io.BytesIO()
        PIL.Image.new("RGB", (2, 3), "red").save(file, "PNG")
        row = {"q": "?", "a": "!", "img": {"bytes": file.getvalue(), "path": None}}
        mapping = {"prompt": "q", "response": "a", "image": "img"}

        (out,) = convert([row], mapping=mapping, target="simple")

        assert out["image"].startswith("data:image/png;base64,")

    def test_without_a_mapping_the_format_is_told_by_the_rows(self):
        with pytest.raises(SourceError, match="no known format fits rows with the columns q, as"):
            convert(ROWS, target="simple")

    def test_an_option_that_is_none_is_refused(self):
        with pytest.raises(TypeError):
            convert(ROWS, mapping=MAPPING, target="simple", alow_loss=True)

    def test_an_import(self, tmp_path):
        (tmp_path / "rows.jsonl").write_bytes(lines(ROWS))
        request = ImportRequest((str(tmp_path / "rows.jsonl"),), mapping=mapping_of(MAPPING))

        assert import_dataset(request, tmp_path / "out").written == 1
