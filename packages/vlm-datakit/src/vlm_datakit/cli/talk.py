"""What the commands say on standard error: lines, counts, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import click

from vlm_datakit.cli import printable
from vlm_datakit.errors import Reason, TooManyRejects

if TYPE_CHECKING:
    from vlm_datakit.hub.download import Told
    from vlm_datakit.plan import SourceFile

_KB, _MB = 1_000, 1_000_000

#: What to do about a reason, for people who meet it for the first time.
HINTS = {
    Reason.IMAGE_FILE_MISSING: "neither base64 of a picture nor a file below the data file's "
    "folder or an --image-root, nor one of its repository on the Hub",
    Reason.IMAGE_OUTSIDE_ROOT: "allow the folder with --image-root FOLDER",
    Reason.IMAGE_URL_NOT_FETCHED: "--fetch fetches pictures named by URL",
    Reason.IMAGE_URL_REFUSED: "--fetch-allow HOST admits a private image server of your own",
    Reason.IMAGE_FETCH_FAILED: "a rerun asks again",
    Reason.IMAGE_NOT_IN_PLAN: "the first rows have no pictures: say --with-images",
    Reason.LAYOUT_DIFFERS: "conversations and prompt/completion rows go into separate imports",
    Reason.DOES_NOT_FIT_FORMAT: "--lossy NAME leaves out what does not fit, and counts it",
    Reason.LINE_TOO_LONG: "one row is one line",
}


def say(text: str) -> None:
    """Write one line for a person; control characters are escaped, markup means nothing."""
    click.echo(printable(text), err=True)


def download_teller(*, quiet: bool) -> Told | None:
    """Return what says how far downloads are; see `vlm_datakit.cli.arriving`."""
    from vlm_datakit.cli.arriving import Arrivals

    return None if quiet else Arrivals()


def say_counts(title: str, counts: Mapping[str, int], *, hints: bool = True) -> None:
    """Write a small table of reason codes, most frequent first."""
    if not counts:
        return
    say(title)
    width = max(map(len, counts))
    for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        hint = HINTS.get(Reason(reason)) if hints and reason in set(Reason) else None
        say(f"  {reason:<{width}}  {count:>8,}" + (f"  ({hint})" if hint else ""))


def say_left_out(files: Iterable[SourceFile]) -> None:
    """Write a line for each source of which parts are not read."""
    from vlm_datakit.sources.left_out import left_out

    for file in files:
        if (words := left_out(file)) is not None:
            say(words)


def size_words(size: int) -> str:
    """Return a size for a person.

    Example:
        >>> size_words(104_857_600), size_words(7_204)
        ('104.9 MB', '7.2 kB')
    """
    return f"{size / _MB:,.1f} MB" if size >= _MB // 10 else f"{size / _KB:,.1f} kB"


def say_on_hub(files: Iterable[SourceFile]) -> None:
    """Write a line for each data set on the Hub: at which commit, how many files, how large."""
    from vlm_datakit.hub.names import pinned

    sets: dict[tuple[str, str], list[SourceFile]] = {}
    for file in files:
        if (on_hub := pinned(file.path)) is not None:
            sets.setdefault(on_hub[:2], []).append(file)
    for (repo, commit), mine in sets.items():
        splits = ", ".join(dict.fromkeys(file.split for file in mine))
        size = size_words(sum(file.size_bytes or 0 for file in mine))
        what = mine[0].name if len(mine) == 1 else f"{len(mine)} files"
        say(f"{repo} at {commit[:7]}: {what} ({size}) for {splits}")


def say_pictures_on_hub(error: TooManyRejects, files: Iterable[SourceFile]) -> None:
    """Say how to get pictures that rows of a data set on the Hub name, if rows were refused so."""
    from vlm_datakit.hub.names import pinned

    if not {Reason.IMAGE_OUTSIDE_ROOT, Reason.IMAGE_FILE_MISSING} & error.by_reason.keys():
        return
    for repo, commit in dict.fromkeys(hub[:2] for file in files if (hub := pinned(file.path))):
        say(f"{repo} lists no such file; if pictures lie in an archive there, get it with")
        say(f"  hf download {repo} --repo-type dataset --revision {commit} --local-dir DIR")
        say("unpack it, and run again with --image-root DIR")


def say_refused(lines: Iterable[str]) -> None:
    """Write refused rows, one a line."""
    for line in lines:
        say(f"refused  {line}")
