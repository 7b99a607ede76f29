"""The command line: options to config, errors to exit codes, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from vlm_trainer.addresses import disk_path, place_of
from vlm_trainer.config import TrainConfig, options
from vlm_trainer.errors import OutputError, VlmTrainerError
from vlm_trainer.failures import is_full
from vlm_trainer.reporting import send_no_telemetry

HELP = ("-h", "--help")
DASHES: dict[str, Any] = {
    "token_normalize_func": lambda name: name.replace("_", "-"),
    "help_option_names": HELP,
}
FILE = click.Path(path_type=Path)
COUNT = click.IntRange(min=1)
PIPE_CLOSED, INTERRUPTED = 141, 130


class TrainByDefault(click.Group):
    """A group that trains when no command is named, as `accelerate launch -m` needs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``train`` before the options when no command stands there."""
        first = args[0] if args else ""
        if first.endswith((".yaml", ".yml")):
            raise click.UsageError(f"a config is named by its option: --config {first}")
        named = first in (*HELP, "--version") or (first and not first.startswith("-"))
        return super().parse_args(ctx, args if named else ["train", *args])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what click would end with code 1 or a blank line is ended here."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except KeyboardInterrupt:
            goes_on = "; the same command goes on" if ctx.invoked_subcommand == "train" else ""
            click.echo(f"vlm-trainer: interrupted{goes_on}", err=True)
            sys.exit(INTERRUPTED)


@click.group(cls=TrainByDefault, context_settings=DASHES, invoke_without_command=True)
@click.version_option(package_name="vlm-trainer")
def cli() -> None:
    """Fine-tune Qwen2.5-VL on the shards that vlm-datakit writes.

    Without a command it trains: `vlm-trainer --config x.yaml`, or with several processes
    `accelerate launch -m vlm_trainer --config x.yaml`.
    """


debug_option = click.option(  # main() looks for it
    "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
)


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --config and a flag for every field of the config."""
    for name, field in reversed(options().items()):
        flag, kind = f"--{name.replace('_', '-')}", field.metadata["kind"]
        text = field.metadata["help"]
        if kind is bool:
            flag = f"{flag}/--no-{name.replace('_', '-')}"
        elif field.default not in (None, "", ()):
            default: Any = field.default
            shown = ",".join(default) if kind is tuple else default
            text = f"{text} [{shown}]"
        choices = field.metadata["choices"]
        as_type = click.Choice(choices) if choices and kind is str else _click_type(kind)
        decorate = click.option(
            flag, name, type=as_type, default=None, help=text, multiple=kind is tuple
        )
        command = decorate(command)
    command = debug_option(command)
    return click.option("--config", "config_file", type=FILE, help="YAML with the same keys.")(
        command
    )


def _click_type(kind: type) -> Any:
    if kind is bool:
        return None
    return str if kind is tuple else kind


@cli.command("train", context_settings=DASHES)
@config_options
@click.option("--print-config", is_flag=True, help="Print the effective config and stop.")
@click.option("--dry-run", is_flag=True, help="Check all, train one step, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
def train_command(
    *, config_file: Path | None, print_config: bool, dry_run: bool, as_json: bool, **flags: Any
) -> None:
    """Train a LoRA, or all weights with --tuning full, by SFT or DPO. The same command resumes."""
    from vlm_trainer.settings import dump_config

    config = _config(config_file, flags)
    if print_config:
        click.echo(dump_config(config), nl=False)
        return
    summary = _rehearsed(config) if dry_run else _trained(config)
    if as_json and int(os.environ.get("RANK") or 0) == 0:
        click.echo(json.dumps(asdict(summary)))


def _trained(config: TrainConfig) -> Any:
    from vlm_trainer.run import train

    return train(config)


def _rehearsed(config: TrainConfig) -> Any:
    from vlm_trainer.rehearsal import rehearse

    return rehearse(config)


@cli.command("plan", context_settings=DASHES)
@config_options
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="TOKENS_PER_S",
    help="Say how long the run takes when all devices together train so many tokens a second.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON on stdout.")
def plan_command(
    *, config_file: Path | None, rate: float | None, as_json: bool, **flags: Any
) -> None:
    """Count rows, tokens, steps and memory of a training, without torch or a GPU."""
    from vlm_trainer.launch import Processes
    from vlm_trainer.run import prepare

    config = _config(config_file, flags)
    _check_planned(config)
    prepared = prepare(config, Processes(config.schedule.expect_processes or 1))
    click.echo(json.dumps(prepared.facts(rate)) if as_json else "\n".join(prepared.lines(rate)))
    for row in prepared.lengths.refused:
        click.echo(f"refused {row}", err=True)
    prepared.check()


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name a trained model."""
    for decorate in (
        click.option("--model-name-or-path", help="Base model, or output folder of a run."),
        click.option("--adapter", type=FILE, help="Output folder of a LoRA run."),
        click.option("--min-pixels", type=int, help="Default: as trained."),
        click.option("--max-pixels", type=int, help="Default: as trained."),
        click.option("--use-cpu/--no-use-cpu", default=False, help="Stay on the CPU."),
        click.option(
            "--load-in", type=click.Choice(["4bit", "8bit"]), help="Quantise the base (QLoRA)."
        ),
        debug_option,
    ):
        command = decorate(command)
    return command


@cli.command("evaluate", context_settings=DASHES)
@click.option(
    "--data", type=place_of, metavar="FOLDER", required=True,
    help="Folder of an import, or its address.",
)  # fmt: skip
@click.option("--split", default="test", show_default=True, help="Held-out split.")
@click.option("--limit", type=COUNT, help="First so many rows that can be asked.")
@click.option(
    "--on-refused", type=click.Choice(["stop", "drop"]), default="stop", show_default=True,
    help="What happens if a row cannot be asked.",
)  # fmt: skip
@click.option("--batch-size", type=COUNT, default=32, show_default=True)
@click.option(
    "--max-new-tokens", type=COUNT, help="Longest answer; default: twice the longest expected."
)
@click.option(
    "--output", type=disk_path, metavar="PATH",
    help="Folder for every answer and a page of the wrong ones.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON on stdout.")
@model_options
def evaluate_command(*, as_json: bool, **given: Any) -> None:
    """Measure loss and how right the answers are on held-out rows."""
    from vlm_trainer.evaluate import EvaluateConfig, evaluate, figure_lines

    result = evaluate(EvaluateConfig(**given), _say)
    if as_json:
        click.echo(json.dumps(asdict(result)))
        return
    for line in figure_lines(result):
        click.echo(line)


@cli.command("generate", context_settings=DASHES)
@click.option("--prompt", help="The question.")
@click.option("--image", "images", type=FILE, multiple=True, help="A picture; repeatable.")
@click.option("--system", help="System message.")
@click.option(
    "--input",
    "lines",
    type=click.File(encoding="utf-8", errors="surrogateescape"),
    help="JSON lines that ask; - is stdin.",
)
@click.option("--image-root", type=FILE, help="Where their pictures lie; default: beside them.")
@click.option("--batch-size", type=COUNT, default=8, show_default=True, help="Lines at once.")
@click.option("--max-new-tokens", type=COUNT, default=256, show_default=True)
@model_options
def generate_command(**given: Any) -> None:
    """Answer one prompt about pictures, or a file of them; answers go to stdout."""
    from vlm_trainer.generate import GenerateConfig, generate, read_pictures
    from vlm_trainer.prompts import Prompt

    prompt, images, system, lines, root = [
        given.pop(name) for name in ("prompt", "images", "system", "lines", "image_root")
    ]
    if (prompt is None) is (lines is None):
        raise click.UsageError("give --prompt TEXT, or --input FILE of JSON lines")
    if lines is None:
        asked = Prompt(prompt, read_pictures(images), system)
        click.echo(generate(GenerateConfig(**given), asked, _say))
        return
    if images or system is not None:
        raise click.UsageError("--image and --system go with --prompt; lines have their own")
    beside = Path() if lines.name == "<stdin>" else Path(lines.name).parent
    _answer_lines(GenerateConfig(**given, image_root=root or beside), lines)


def _answer_lines(config: Any, lines: Any) -> None:
    from vlm_trainer.errors import RowsRefused
    from vlm_trainer.generate import as_line, generate_lines

    refused = 0
    for row in generate_lines(config, lines, _say):
        refused += "error" in row and row["response"] is None
        click.echo(as_line(row))
    if refused:
        raise RowsRefused(f"{refused} lines could not be asked; their error stands in them")


@cli.command("merge", context_settings=DASHES)
@click.option("--adapter", type=FILE, required=True, help="Output folder of a LoRA run.")
@click.option(
    "--output-dir", type=disk_path, metavar="PATH", required=True,
    help="New folder for the whole model.",
)  # fmt: skip
@click.option("--model-name-or-path", help="Its base; default: the one the adapter names.")
@click.option("--dtype", help="Of the merged weights; default: that of the base.")
@debug_option
def merge_command(**given: Any) -> None:
    """Merge an adapter into its base: one folder that transformers and vLLM load."""
    from vlm_trainer.merge import MergeConfig, merge

    merged = merge(MergeConfig(**given), _say)
    _say(
        f"{merged.output_dir}: merged in {merged.dtype}; logits differ by {merged.difference:.2g} "
        f"at most, the largest is {merged.largest:.3g}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every deliberate error is one line and its exit code."""
    send_no_telemetry(os.environ)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        cli.main(args=given, prog_name="vlm-trainer", standalone_mode=False)
    except VlmTrainerError as error:
        if "--debug" in given:
            raise
        click.echo(f"vlm-trainer: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        if "--debug" in given or not is_full(error):
            raise
        click.echo(f"vlm-trainer: the output cannot be written ({error.strerror})", err=True)
        sys.exit(OutputError.exit_code)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _config(config_file: Path | None, flags: dict[str, Any]) -> TrainConfig:
    from vlm_trainer.settings import read_config, split_list

    given = {key: value for key, value in flags.items() if value is not None and value != ()}
    texts = {key: value for key, value in given.items() if isinstance(value, tuple)}
    lists = {key: [part for text in texts[key] for part in split_list(text)] for key in texts}
    return read_config(config_file, {**given, **lists})


def _check_planned(config: TrainConfig) -> None:
    from vlm_trainer.errors import UsageError

    if not config.model.model_name_or_path or not config.data.data:
        raise UsageError("which model and data? give --model-name-or-path MODEL --data FOLDER")
