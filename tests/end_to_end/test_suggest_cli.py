"""``suggest-mapping``, and ``--goal`` of import, convert and validate."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlm_datakit import ImportRequest
from vlm_datakit.importing import plan_import
from vlm_datakit.plan import fingerprint

QA = [{"frage": f"Was ist {n}?", "antwort": f"Eine {n}.", "quelle": "-"} for n in "abc"]
ALIKE = [{"en": f"A {n} is on the wall.", "de": f"Ein {n} an der Wand."} for n in ("cat", "dog")]
ALONE = [{"text": "A page of the web.", "url": "https://example.org/1"}]
FLAGS = "--map completion=antwort --map prompt=frage"


def lines(rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def rows(tmp_path):
    for name, given in (("qa", QA), ("alike", ALIKE), ("alone", ALONE)):
        (tmp_path / f"{name}.jsonl").write_bytes(lines(given))
    return tmp_path


class TestSuggestMapping:
    def test_the_flags_are_printed_and_all_else_is_said(self, cli, rows):
        done = cli(["suggest-mapping", "qa.jsonl", "--goal", "sl", "--save-mapping", "m.yaml"])

        assert (done.code, done.out.decode()) == (0, f"{FLAGS}\n")
        assert done.err.decode().splitlines() == [
            f"qa.jsonl: {FLAGS}",
            "  frage asks and is called so, antwort holds texts and is called an answer; "
            "good for 100% of the rows looked at",
            "the first row becomes:",
            "  user: Was ist a?",
            "  assistant: Eine a.",
        ]
        assert "prompt: frage\n" in (rows / "m.yaml").read_text()

    def test_from_a_pipe_as_json(self, cli):
        done = cli(["suggest-mapping", "-", "--json"], input=lines(QA))

        found = json.loads(done.out)
        assert (done.code, found["fits"], found["clear"]) == (0, True, True)
        best = found["candidates"][0]
        assert best["mapping"]["fields"] == {"completion": "antwort", "prompt": "frage"}
        assert " ".join(best["flags"]) == FLAGS

    @pytest.mark.usefixtures("rows")
    def test_what_is_open_is_code_3_with_the_candidates(self, cli):
        done = cli(["suggest-mapping", "alike.jsonl", "--goal", "sl", "--json"])

        found = json.loads(done.out)
        assert (done.code, found["fits"], found["clear"]) == (3, True, False)
        assert len(found["candidates"]) == 2
        assert b"it is open which of these is meant" in done.err

    @pytest.mark.usefixtures("rows")
    def test_what_does_not_fit_is_code_3_with_the_reason(self, cli):
        done = cli(["suggest-mapping", "alone.jsonl", "--goal", "sl", "--json"])

        found = json.loads(done.out)
        assert (done.code, found["fits"], found["candidates"]) == (3, False, [])
        assert found["reason"].startswith("text holds texts, but no column is the prompt")
        assert b"alone.jsonl: does not fit sl, because text holds texts" in done.err

    def test_class_names_and_pictures_are_told_by_the_schema(self, cli, tmp_path):
        features = {"c1": {"_type": "Image"}, "c2": {"_type": "ClassLabel", "names": ["cat", "x"]}}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        picture = {"bytes": b"\xff\xd8\xff\xe0" + bytes(20), "path": None}
        table = pa.table({"c1": [picture], "c2": [0]}).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / "rows.parquet")

        done = cli(["suggest-mapping", "rows.parquet"])

        assert done.code == 0
        assert b"--map 'response=class-name(c2)'" in done.out
        assert b"  assistant: cat\n" in done.err


class TestGoal:
    @pytest.mark.usefixtures("rows")
    def test_import_takes_what_is_clear_as_if_the_flags_were_given(self, cli):
        done = cli(["import", "qa.jsonl", "--goal", "sl", "-o", "out"])
        again = cli(["import", "qa.jsonl", *FLAGS.split(), "-o", "out"])

        assert (done.code, again.code) == (0, 0)
        assert f"suggested for sl: {FLAGS}; frage asks".encode() in done.err
        assert b"not used: quelle" in done.err
        assert b"out: finished before, nothing to do" in again.err

    def test_the_plan_is_the_one_of_the_flags(self, rows):
        source = (str(rows / "qa.jsonl"),)
        suggested, _ = plan_import(ImportRequest(source, goal="sl"))
        given, _ = plan_import(ImportRequest(source, mapping=suggested.mapping))

        assert suggested.mapping is not None
        assert fingerprint(suggested) == fingerprint(given)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("alike", b"it is open what its columns are; choose one of: --map completion=de --map"),
            ("alone", b"does not fit sl, because text holds texts"),
        ],
    )
    def test_what_is_not_clear_is_refused_before_anything_is_written(self, cli, rows, name, words):
        done = cli(["import", f"{name}.jsonl", "--goal", "sl", "-o", "out"])

        assert done.code == 3
        assert words in done.err
        assert not (rows / "out").exists()

    @pytest.mark.usefixtures("rows")
    def test_convert_and_validate(self, cli):
        converted = cli(["convert", "-", "--goal", "sl", "--to", "trl"], input=lines(QA))
        validated = cli(["validate", "qa.jsonl", "--goal", "sl", "--json"])

        assert (converted.code, validated.code) == (0, 0)
        assert b"stdin: read as trl (suggested for sl: " in converted.err
        assert json.loads(converted.out.splitlines()[0])["prompt"][0]["role"] == "user"
        assert json.loads(validated.out)["good"] == 3

    @pytest.mark.usefixtures("rows")
    def test_a_goal_beside_a_mapping_or_a_format_is_refused(self, cli):
        one = cli(["import", "qa.jsonl", "--goal", "sl", "--map", "prompt=frage"])
        other = cli(["convert", "qa.jsonl", "--goal", "sl", "--from", "qa", "--to", "trl"])

        assert (one.code, other.code) == (2, 2)
        assert b"--goal chooses format and mapping: leave out --from, --map, --mapping" in one.err
        assert one.err == other.err

    @pytest.mark.usefixtures("rows")
    def test_a_finished_import_has_no_goal(self, cli):
        cli(["import", "qa.jsonl", "--goal", "sl", "-o", "out"])

        done = cli(["validate", "out", "--goal", "sl"])

        assert done.code == 2
        assert b"a finished import has its columns" in done.err
