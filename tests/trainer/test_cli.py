"""The command line: one clear line and the right exit code, without loading torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from vlm_trainer.cli import cli, main
from vlm_trainer.settings import read_config


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code: str | int | None = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    return int(code or 0), out, err


def test_nothing_given_says_which_model_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys)

    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--model-name-or-path MODEL, --data FOLDER, --output-dir FOLDER" in err


@pytest.mark.parametrize("command", [[], ["train"], ["plan"], ["evaluate"], ["merge"]])
def test_help_is_given_by_its_short_name_too(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert said(capsys, *command, "-h") == said(capsys, *command, "--help")
    assert said(capsys, *command, "-h")[1].startswith("Usage: ")


@pytest.mark.parametrize(
    "spelling", [["--max-steps", "3"], ["--max_steps", "3"], ["--max_steps=3"], ["--max-steps=3"]]
)
@pytest.mark.parametrize("command", [[], ["train"]])
def test_options_are_spelled_with_dashes_or_underscores(
    command: list[str], spelling: list[str]
) -> None:
    result = CliRunner().invoke(cli, [*command, *spelling, "--print-config"])

    assert (result.exit_code, yaml.safe_load(result.stdout)["max_steps"]) == (0, 3)


def test_a_printed_config_reads_back(tmp_path: Path) -> None:
    flags = ["--lora-scope", "language,merger", "--learning-rate", "1e-3", "--no-bf16"]
    printed = CliRunner().invoke(cli, [*flags, "--exclude-ids", "a,b", "--print-config"]).stdout
    (tmp_path / "x.yaml").write_text(printed)

    config = read_config(tmp_path / "x.yaml", {})

    assert config.lora.lora_scope == ("language", "merger")
    assert (config.schedule.learning_rate, config.schedule.bf16) == (1e-3, False)
    assert config.data.exclude_ids == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        (["--mix", "a=2,b"], ("a=2", "b")),
        (["--mix", r"scans\, 2024=2", "--mix", "b"], ("scans, 2024=2", "b")),
        (["--mix", r"a,b\,c"], ("a", "b,c")),
    ],
)
def test_a_comma_in_the_name_of_a_folder_is_written_behind_a_stroke(
    arguments: list[str], folders: tuple[str, ...], tmp_path: Path
) -> None:
    printed = CliRunner().invoke(cli, [*arguments, "--print-config"]).stdout
    (tmp_path / "x.yaml").write_text(printed)

    assert read_config(tmp_path / "x.yaml", {}).data.mix == folders


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--config", "none.yaml"], 2, "none.yaml: cannot be read"),
        (["my_own.yaml"], 2, "a config is named by its option: --config my_own.yaml"),
        (["--learning-rte", "1"], 2, "No such option"),
        (["--lora-scope", "all"], 2, "choose from language, vision, merger"),
        (["plan", "--data", "d"], 2, "which model and data?"),
        (["--model-name-or-path", "tiny", "--data", "d", "--output-dir", "o"], 3, "no such folder"),
        (["evaluate", "--data", "d"], 3, "no such folder"),
        (["generate", "--prompt", "?"], 2, "which model?"),
        (["generate", "--prompt", "?", "--max-new-tokens", "0"], 2, "--max-new-tokens"),
        (["evaluate", "--data", "d", "--batch-size", "0"], 2, "--batch-size"),
        (["evaluate", "--data", "d", "--limit", "-3"], 2, "--limit"),
        (["--lr-scheduler-type", "cosin"], 2, "cosine"),
        (["--train-on", "first"], 2, "last-turn"),
        (["--output-dir", "s3://b/o"], 2, "s3://b/o: an address is only read from; write to"),
        (["plan", "--output-dir", "file:///o"], 2, "file:///o: an address is only read from"),
        (["evaluate", "--data", "d", "--output", "s3://k:word@b/o"], 2, " s3://b/o: an address"),
        (["merge", "--adapter", "a", "--output-dir", "s3://b/o"], 2, "s3://b/o: an address"),
        (["--expect-processes", "2", "--data", "d", "--output-dir", "o",
          "--model-name-or-path", "tiny"], 2, "--num_processes 2"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_its_code(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    found, _, err = said(capsys, *arguments)

    assert found == code
    assert words in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        pytest.param([], 0, "", id="all fit"),
        pytest.param(["--max-length", "5"], 6, "24 row-too-long", id="none fits"),
        pytest.param(["--max-length", "40"], 0, "", id="just so"),
        pytest.param(["--max-length", "5", "--on-refused", "drop"], 6, "24 row-", id="all dropped"),
        pytest.param(["--exclude-ids", "x,digit-3"], 0, "", id="an unknown id"),
    ],
)
def test_a_plan_ends_as_the_training_would(
    capsys: pytest.CaptureFixture[str], digits: Path, options: list[str], code: int, words: str
) -> None:
    found, out, err = said(
        capsys, "plan", "--data", digits, "--model-name-or-path", "tiny", *options
    )

    assert found == code
    assert out.startswith("rows    ")
    assert words in err
    assert ("1 of --exclude-ids are not in these rows: 'x'" in out) == ("x,digit-3" in options)


def run_into(stdout: int) -> tuple[int, str]:
    """Run a command that writes into a file that takes nothing."""
    command = [sys.executable, "-m", "vlm_trainer", "--print-config"]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def test_a_reader_that_leaves_ends_it_quietly_with_141() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    assert run_into(writing) == (141, "")
    os.close(writing)


def test_output_that_finds_no_room_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        code, err = run_into(full.fileno())

    assert (code, err) == (
        5,
        "vlm-trainer: the output cannot be written (No space left on device)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "goes_on"),
    [
        (["--model-name-or-path", "tiny", "--data", "{data}", "--output-dir", "{out}"], True),
        (["generate", "--model-name-or-path", "tiny", "--input", "-"], False),
    ],
)
def test_an_interrupted_command_says_that_it_goes_on_where_it_does(
    digits: Path, tmp_path: Path, arguments: list[str], goes_on: bool
) -> None:
    given = [word.format(data=digits, out=tmp_path / "out") for word in arguments]
    running = subprocess.Popen(
        [sys.executable, "-m", "vlm_trainer", *given, "--use-cpu"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("loading torch"):
            break
    running.send_signal(signal.SIGINT)

    out, err = running.communicate(timeout=60)

    assert (running.returncode, out) == (130, "")
    assert err.strip() == "vlm-trainer: interrupted" + "; the same command goes on" * goes_on


def test_a_plan_counts_without_torch(digits: Path) -> None:
    code = (
        "import sys; from vlm_trainer.cli import main\n"
        f"main(['plan', '--data', {str(digits)!r}, '--model-name-or-path', 'tiny', '--json'])\n"
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    plan, heavy = done.stdout.splitlines()
    assert '"rows": 24, "images": 24,' in plan
    assert heavy == "False False"
