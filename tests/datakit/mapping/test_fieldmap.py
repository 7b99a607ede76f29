"""How a mapping is spelled as flags and in a file, and what is said of one that is not."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vlm_datakit.errors import OutputError, UsageError
from vlm_datakit.mapping.apply import format_of
from vlm_datakit.mapping.fieldmap import Entry, field_map, parse_entry
from vlm_datakit.mapping.file import mapping_of, parse_mapping, read_mapping, save_mapping
from vlm_datakit.plan import Plan, SourceFile, fingerprint, plan_differences, plan_facts
from vlm_datakit.runner.plans import parse_plan

FILE = b"""\
mapping: 1
fields:
  prompt: question
  response: {step: first-of-list, columns: [answers]}
  images: [left, right]
  system: {constant: Be brief.}
"""


class TestFlags:
    @pytest.mark.parametrize(
        ("text", "entry"),
        [
            ("prompt=question", Entry("prompt", ("question",))),
            (" prompt = a question ", Entry("prompt", ("a question",))),
            ("prompt=question (en)", Entry("prompt", ("question (en)",))),
            ("prompt=`f(x)`", Entry("prompt", ("f(x)",))),
            ("prompt=`a``b`", Entry("prompt", ("a`b",))),
            ("response=answers[-1].text", Entry("response", ("answers[-1].text",))),
            ('prompt="a \\"b\\" {c}\\n"', Entry("prompt", (), "constant", 'a "b" {c}\n')),
            ("prompt=Read {a.b}!", Entry("prompt", (), "template", "Read {a.b}!")),
            ('prompt=template("read({a})")', Entry("prompt", (), "template", "read({a})")),
            ("images=[a[0], `b,c`]", Entry("images", (("a[0]", "b,c"),))),
            ("images=[a]", Entry("images", (("a",),))),
            ("a=step(b[*].c, [d, e])", Entry("a", ("b[*].c", ("d", "e")), "step")),
            ('a=step(b, "c, d")', Entry("a", ("b",), "step", "c, d")),
            ("a=x=y", Entry("a", ("x=y",))),
        ],
    )
    def test_what_a_flag_says(self, text, entry):
        assert parse_entry(text) == entry
        assert parse_entry(str(entry)) == entry

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("prompt", "expected ROLE=VALUE"),
            ("=question", "expected ROLE=VALUE"),
            ("prompt=", "expected ROLE=VALUE"),
            ('prompt="Describe', "a constant ends with its quote"),
            ('prompt="a" and', "a constant ends with its quote"),
            ("prompt=Read {}", "a template holds {path}"),
            ("prompt=Read {a", "a template holds {path}"),
            ("prompt=Read a}", "a template holds {path}"),
            ("prompt=step()", "a path is missing"),
            ("prompt=step(a,)", "a path is missing"),
            ("prompt=step(a b, [c)", "expected a comma"),
            ("prompt=[a, b], c", "expected one [list] of paths"),
            ("prompt=[a", "expected a comma"),
            ("prompt=template(a)", 'template("...") takes one quoted text'),
        ],
    )
    def test_what_is_none_is_said(self, text, words):
        with pytest.raises(UsageError) as caught:
            parse_entry(text)

        assert words in str(caught.value)

    def test_half_a_character_is_refused(self):
        with pytest.raises(UsageError, match="half a character"):
            field_map([parse_entry('prompt="\\ud800"')])


class TestInPython:
    @pytest.mark.parametrize("given", [{"prompt": 7}, {"prompt": ["a"]}, {}])
    def test_a_dict_that_is_no_mapping(self, given):
        with pytest.raises(UsageError):
            format_of(mapping_of(given))


class TestFiles:
    def test_a_file_says_what_flags_say(self):
        flags = {
            "prompt": "question",
            "response": "first-of-list(answers)",
            "images": "[left, right]",
            "system": '"Be brief."',
        }

        assert parse_mapping(FILE, "m.yaml") == mapping_of(flags)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "m.yaml:1: the file: None is not of type 'object'"),
            (b"- a", "m.yaml:1: the file: "),
            (b"mapping: 1\nfields: {}", "m.yaml:2: fields: {} "),
            (b"mapping: 2\nfields: {a: b}", "m.yaml:1: mapping: 1 was expected"),
            (b"fields: {a: b}", "m.yaml:1: the file: 'mapping' is a required property"),
            (FILE + b"more: 1\n", "m.yaml:1: the file: Additional properties"),
            (FILE + b"  id: yes\n", "m.yaml:7: fields.id: expected a path, [path, path], "),
            (FILE + b"  id: {constant: 7}\n", "m.yaml:7: fields.id"),
            (FILE + b"  id: {step: a}\n", "m.yaml:7: fields.id: expected a path"),
            (FILE + b"  prompt: b\n", "m.yaml:7: prompt stands twice"),
            (FILE + b"  id: &a b\n  tools: *a\n", "m.yaml:7: a mapping has no anchors"),
            (FILE + b"  id: {template: 'a {'}\n", "m.yaml: id: a template holds {path}"),
            (FILE + b"  id: {\n", "m.yaml:8: not YAML: "),
            (FILE + b"  7: b\n", "m.yaml:3: fields: 7 is not of type 'string'"),
            (FILE + b"  a b: c\n", "m.yaml:3: fields: 'a b' does not match"),
            (b"\xff\xfe\x00", "m.yaml: not YAML: "),
            (b"mapping: !!python/name:os.system", "m.yaml"),
        ],
    )
    def test_what_does_not_fit_names_its_line(self, data, words):
        with pytest.raises(UsageError) as caught:
            parse_mapping(data, "m.yaml")

        assert str(caught.value).startswith(words)

    def test_a_file_that_is_none(self, tmp_path):
        with pytest.raises(UsageError, match="No such file"):
            read_mapping(tmp_path / "none.yaml")

    def test_saving_leaves_another_file_alone(self, tmp_path):
        path, mapping = tmp_path / "m.yaml", mapping_of({"prompt": "q", "response": "a"})
        save_mapping(mapping, path)
        save_mapping(mapping, path)

        with pytest.raises(OutputError, match="says something else"):
            save_mapping(mapping_of({"prompt": "b", "response": "a"}), path)

        assert mapping_of(path) == read_mapping(path) == mapping


class TestPlans:
    PLAN = Plan((SourceFile("train", "a.jsonl", "/x/a.jsonl", 10, 7),), "trl")
    MAPPED = dataclasses.replace(PLAN, mapping=parse_mapping(FILE, "m.yaml"))

    def test_a_plan_without_a_mapping_is_the_plan_it_was(self):
        assert "mapping" not in plan_facts(self.PLAN)

    def test_a_mapping_changes_the_plan_and_the_difference_is_said_in_flags(self):
        facts = [plan_facts(plan) for plan in (self.PLAN, self.MAPPED)]

        assert fingerprint(self.PLAN) != fingerprint(self.MAPPED)
        assert plan_differences(*facts) == [
            "the mapping was none; now images=[left, right], prompt=question, "
            'response=first-of-list(answers), system="Be brief."'
        ]

    def test_a_stored_plan_comes_back(self):
        for plan in (self.PLAN, self.MAPPED):
            assert parse_plan(json.loads(json.dumps(dataclasses.asdict(plan)))) == plan
