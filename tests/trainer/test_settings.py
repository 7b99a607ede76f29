"""A config says exactly what it means, or is refused with file, key and a suggestion."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlm_trainer.config import SCHEDULERS, TrainConfig, check_complete, from_flat, options, to_flat
from vlm_trainer.errors import UsageError
from vlm_trainer.settings import (
    check_trainer_fields,
    dump_config,
    join_list,
    read_config,
    split_list,
    typed_trainer_fields,
)

DEFAULTS = {
    "gradient_accumulation_steps": 8,
    "learning_rate": 2e-5,
    "lora_alpha": 16,
    "lora_r": 16,
    "lora_scope": ["language"],
    "max_length": None,
    "max_pixels": 1_003_520,
    "min_pixels": 3136,
    "per_device_train_batch_size": 1,
}


def test_the_defaults_are_the_documented_ones() -> None:
    flat = to_flat(TrainConfig())

    assert {key: flat[key] for key in DEFAULTS} == DEFAULTS


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("learning-rate: 2e-4\nlora_r: 8\nlora_scope: [vision, merger]\n")

    config = read_config(path, {"lora_r": "4"})

    assert config.schedule.learning_rate == 2e-4
    assert config.lora.lora_r == 4
    assert config.lora.lora_scope == ("vision", "merger")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "lora_r": st.integers(1, 512),
            "learning_rate": st.floats(0, 1),
            "use_cpu": st.booleans(),
            "bf16": st.none() | st.booleans(),
            "data": st.text("abc/é: #-'\"", max_size=8),
            "exclude_ids": st.lists(st.text("ab1:", min_size=1), max_size=3),
            "trainer": st.dictionaries(st.sampled_from(["optim", "tf32"]), st.integers()),
        },
    )
)
def test_a_config_survives_being_written_and_read(values: dict[str, Any]) -> None:
    import tempfile

    config = read_config(None, values)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(dump_config(config), encoding="utf-8")

        assert read_config(path, {}) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour: 8", "x.yaml: unknown key 'colour'"),
        ("learning_rte: 8", "x.yaml: unknown key 'learning_rte'; did you mean 'learning_rate'?"),
        ("lora_r: eight", "x.yaml: lora_r wants int, found 'eight'"),
        ("lora_r: 1.5", "x.yaml: lora_r wants int, found 1.5"),
        ("lora_r: true", "x.yaml: lora_r wants int, found True"),
        ("use_cpu: 1", "x.yaml: use_cpu wants bool, found 1"),
        ("learning_rate: .nan", "x.yaml: learning_rate wants float, found nan"),
        ("learning_rate: -1", "learning_rate is -1.0; it must be at least 0"),
        ("tuning: half", "x.yaml: tuning is 'half'; choose from lora, full"),
        ("lora_scope: all", "x.yaml: lora_scope is 'all'; choose from language, vision, merger"),
        ("lora_scope: []", "lora_scope is empty; choose from language, vision, merger"),
        ("packing: true", "packing needs max_length, the tokens of a packed row"),
        (
            "{packing: true, max_length: 9, mix: a}",
            "packing and mix: a packed row belongs to no folder, and has no weight",
        ),
        (
            "{packing: true, max_length: 9, group_by_length: true}",
            "packing and group_by_length: packed rows are of one length",
        ),
        ("augment: wild", "x.yaml: augment is 'wild'; choose from mild"),
        ("limit: 0", "limit is 0; it must be at least 1"),
        ("seed: 4294967296", "seed is 4294967296; it must be at most 4294967295"),
        ("max_pixels: 1", "min_pixels 3136 is above max_pixels 1"),
        ("on_too_long: cut", "x.yaml: on_too_long is 'cut'; choose from refuse, drop, shrink"),
        ("on_too_long: shrink", "on_too_long shrink needs max_length, the longest row"),
        ("json_focus: 1.5", "json_focus is 1.5; it must be at most 1"),
        ("json_focus: -1", "json_focus is -1.0; it must be at least 0"),
        ("json_focus_keys: true", "json_focus_keys needs json_focus, the weight of the form"),
        (
            "{json_focus: 0.5, packing: true, max_length: 9}",
            "json_focus weighs tokens, and packed rows keep no weights",
        ),
        (
            "{train_on: flags, trainer: {loss_type: dft}}",
            "train_on flags weighs tokens; trainer: loss_type dft does not",
        ),
        (
            "{json_focus: 0.5, trainer: {label_smoothing_factor: 0.1}}",
            "json_focus weighs tokens; trainer: label_smoothing_factor 0.1 does not",
        ),
        ("max_steps: 0", "max_steps is 0; it must be at least 1, or -1 for epochs"),
        ("max_steps: -5", "max_steps is -5; it must be at least 1, or -1 for epochs"),
        ("trainer: 3", "x.yaml: trainer wants a mapping of fields of TRL's config"),
        ("trainer: {lora_r: 3}", "x.yaml: 'lora_r' belongs at the top level, not under trainer"),
        ("trainer: 0", "x.yaml: trainer wants a mapping of fields of TRL's config"),
        ("- a", "x.yaml: expected keys and values, found list"),
        ("lora_r: 4\nlora_r: 8", "x.yaml: 'lora_r' stands twice"),
        ("lora-r: 4\nlora_r: 8", "x.yaml: 'lora_r' stands twice"),
        ("trainer: {optim: a, optim: b}", "x.yaml: 'optim' stands twice"),
        ("mix: {captions: 2}", "x.yaml: mix wants list, found {'captions': 2}"),
        ("mix: [captions: 2]", "x.yaml: mix wants list, found [{'captions': 2}]"),
        ("exclude_ids: [no]", "x.yaml: exclude_ids wants list, found [False]"),
        ("exclude_ids: [~]", "x.yaml: exclude_ids wants list, found [None]"),
    ],
)
def test_a_wrong_config_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        read_config(path, {})

    assert str(caught.value).replace(f"{tmp_path}/", "") == said


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"a: [", b"a: b: c", b"[" * 9999])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=r"x\.yaml: (cannot be read|not YAML)"):
        read_config(path, {})


def test_a_text_is_what_stands_in_the_file_also_where_it_looks_like_a_number(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("exclude_ids: [00042, 1_000, 7.10]\nmodel_revision: 1.10\ndata: 2024-1-1\n")

    config = read_config(path, {})

    assert config.data.exclude_ids == ("00042", "1_000", "7.10")
    assert (config.model.model_revision, config.data.data) == ("1.10", "2024-1-1")


def test_what_is_missing_is_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        check_complete(from_flat({"data": "x"}))

    assert "--model-name-or-path MODEL, --output-dir FOLDER" in str(caught.value)


def test_an_unknown_trainer_field_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean 'optim'"):
        check_trainer_fields({"optimm": 1}, {"optim": None})


def test_every_option_has_a_help_and_a_default_of_its_kind() -> None:
    for name, field in options().items():
        kind, default = field.metadata["kind"], field.default
        assert field.metadata["help"], name
        assert default is None or isinstance(default, kind) or kind is float, name


def test_a_number_that_yaml_reads_as_text_reaches_sftconfig_as_a_number() -> None:
    known = dataclasses.make_dataclass("Known", [("adam_epsilon", float, 1e-6), ("optim", str, "")])
    fields = {field.name: field for field in dataclasses.fields(known)}

    typed = typed_trainer_fields({"adam_epsilon": "1e-8", "optim": "sgd"}, fields)

    assert typed == {"adam_epsilon": 1e-8, "optim": "sgd"}
    with pytest.raises(UsageError, match="trainer: adam_epsilon wants float"):
        typed_trainer_fields({"adam_epsilon": "0.9x"}, fields)


def test_every_scheduler_is_one_of_transformers() -> None:
    from transformers.trainer_utils import SchedulerType

    assert set(SCHEDULERS) <= {str(kind.value) for kind in SchedulerType}


@given(st.lists(st.text(st.characters(exclude_characters="\\"), min_size=1).map(str.strip)))
def test_a_list_written_as_text_reads_back(values: list[str]) -> None:
    values = [value for value in values if value]

    assert split_list(join_list(values)) == values
