"""The command line. Only click is imported until a command runs."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from typing import NoReturn

import click

from vlm_datakit.errors import VlmDataKitError
from vlm_datakit.version import __version__

#: command -> module and one line of help, so that `--help` imports no command.
COMMANDS = {
    "import": ("importing", "Turn rows into normalized shards; resumes after a kill."),
    "finish": ("finishing", "Commit an import that several jobs have done with --slices."),
    "convert": ("converting", "Turn rows of one format into another, in a pipe or in files."),
    "validate": ("validating", "Count what is wrong with rows, or check a finished import."),
    "suggest-mapping": ("suggesting", "Say how the columns of rows map, told by looking at them."),
    "schema": ("describing", "Print the JSON Schema of a row format, or list the formats."),
    "search": ("looking", "Find data sets on the Hugging Face Hub."),
    "popular": ("looking", "List data sets for a first look, by kind."),
    "info": ("looking", "Tell what a data set on the Hub is, without its data."),
    "preview": ("previewing", "Show the first rows as an import would make them."),
    "push": ("pushing", "Put a finished import on the Hugging Face Hub; private by default."),
    "sample": ("sampling", "Write sample rows with really drawn pictures, some broken."),
}
_OUTPUT_FAULTS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
    | {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EMFILE}
)
_RESUMES = frozenset({"import", "finish", "push"})
_PIPE_CLOSED, _INTERRUPTED = 141, 130


class LazyGroup(click.Group):
    """Imports the module of a command when the command is asked for."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what click would end with code 1 or a blank line is ended here."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _close_quietly()
        except KeyboardInterrupt:
            is_piped = any(word == "-" or word.endswith("=-") for word in sys.argv)
            resumes = ctx.invoked_subcommand in _RESUMES and not is_piped
            goes_on = "; the same command goes on" if resumes else ""
            click.echo(f"vlm-datakit: interrupted{goes_on}", err=True)
            sys.exit(_INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order of a person's day."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"vlm_datakit.cli.{COMMANDS[cmd_name][0]}")
        name = f"{cmd_name}_command"  # of several in one module
        command: click.Command = getattr(module, name, None) or module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; name the nearest if there is none."""
        from difflib import get_close_matches

        near = get_close_matches(args[0], COMMANDS, n=1)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vlm-datakit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def vlm_datakit(*, debug: bool) -> None:
    """Any vision-language data set in, normalized shards out.

    Data goes to standard output, words to standard error. Exit codes: 0 done, 2 usage,
    3 source unreadable, 4 remote, 5 output refused, 6 rows refused, 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line; the one place where errors become exit codes."""
    _open_closed_streams()
    # The system's allocator gives memory back: 25 MB less at the most, and no slower.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Arrow imports NumPy, whose algebra, which nobody here needs, starts a thread on each core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = vlm_datakit.main(prog_name="vlm-datakit", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        _close_quietly()
    except VlmDataKitError as error:
        _fail(f"{error}", error.exit_code)
    except OSError as error:
        if error.errno not in _OUTPUT_FAULTS:
            raise
        what = os.strerror(error.errno)  # Arrow's own words are longer and say less
        _fail(f"{error.filename or 'output'}: {what}; run again to go on", 5)


def _fail(message: str, code: int) -> NoReturn:
    if "--debug" in sys.argv:
        raise  # noqa: PLE0704 - called from an except block, on the user's wish
    click.echo(f"vlm-datakit: error: {printable(message)}", err=True)
    sys.exit(code)


def _open_closed_streams() -> None:
    """Let /dev/null stand for a closed standard stream, or a file of ours takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _close_quietly() -> NoReturn:
    """End as a program killed by SIGPIPE ends, without Python's own complaint."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_PIPE_CLOSED)


def printable(text: str) -> str:
    r"""Return text that a terminal shows as it is: control characters escaped.

    Example:
        >>> printable("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
