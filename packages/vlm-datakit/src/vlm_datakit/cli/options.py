"""Options that several commands share, each spelled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vlm_datakit.cli.talk import say
from vlm_datakit.errors import UsageError
from vlm_datakit.plan import (
    LIMIT_NAMES,
    FetchPolicy,
    ImagePolicy,
    Limits,
    parse_limits,
    parse_row_limit,
)

if TYPE_CHECKING:
    from vlm_datakit.importing import ImportRequest
    from vlm_datakit.mapping.fieldmap import FieldMap
    from vlm_datakit.sources.survey import Survey

_SHOWN = 12  # columns


def on_disk(_: click.Context, __: click.Parameter, place: str | None) -> str | None:
    """Return where to write, which is no address.

    Raises:
        UsageError: if it is one.
    """
    if place is not None and "://" in place:
        from vlm_datakit.sources.remote import check_output

        check_output(place)
    return place


format_option = click.option(
    "--from",
    "format_",
    default="auto",
    show_default=True,
    metavar="FORMAT",
    help="openai, simple, trl, ... as `vlm-datakit schema` lists them, or pkg.module:NAME",
)
image_root_option = click.option(
    "--image-root",
    multiple=True,
    metavar="DIR",
    help="Folder whose pictures rows may name; repeatable.",
)
rejects_raw_option = click.option(
    "--rejects-raw", is_flag=True, help="Keep refused rows whole in the ledger."
)
split_option = click.option(
    "--split",
    multiple=True,
    metavar="NAME",
    help="Split of sources without SPLIT=; repeatable; all: those there are [default: train]",
)
config_option = click.option(
    "--config", metavar="NAME", help="Of a data set on the Hub that has several."
)
with_datasets_option = click.option(
    "--with-datasets",
    is_flag=True,
    help="Read a data set on the Hub, or a folder, by the package `datasets`: for odd formats.",
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say only how it ended.")

_PICTURE_OPTIONS = (
    click.option(
        "--images",
        type=click.Choice(["canonical", "baked", "untouched"]),
        default="canonical",
        show_default=True,
        help="Rewrite pictures that readers differ on; baked: turn them upright, too; "
        "untouched: keep every byte.",
    ),
    click.option(
        "--check-images",
        type=click.Choice(["structure", "decode"]),
        default="structure",
        show_default=True,
        help="Walk each file to its end, or decode every picture.",
    ),
    click.option(
        "--shrink-to-pixels",
        type=click.IntRange(min=1),
        metavar="N",
        help="Write pictures of more than N pixels (width x height) smaller.",
    ),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="N|NAME=N",
        help="Read only the first N rows of each split; or raise or lower what a row may cost: "
        f"{', '.join(LIMIT_NAMES)}; repeatable.",
    ),
    click.option("--fetch", is_flag=True, help="Fetch pictures named by URL."),
    click.option(
        "--fetch-allow",
        multiple=True,
        metavar="HOST[:PORT]",
        help="A host that --fetch may reach at a private or loopback address; repeatable.",
    ),
)


_MAPPING_OPTIONS = (
    click.option(
        "--map",
        "maps",
        multiple=True,
        metavar="ROLE=VALUE",
        help='Where a role has its value from: a column, a path, "a constant", a template, '
        "step(column); repeatable.",
    ),
    click.option("--mapping", metavar="FILE", help="Take the roles from a file; --map overrides."),
    click.option(
        "--save-mapping",
        metavar="FILE",
        callback=on_disk,
        help="Write the mapping to a YAML file.",
    ),
)
goal_option = click.option(
    "--goal",
    type=click.Choice(["vlm", "sl", "dpo", "sft"]),
    help="Without --from and --map: take what `suggest-mapping` suggests, if it is clear.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes at work at once [default: as many as there are cores and the input is worth; "
    "1 for standard input, and always with --fetch]",
)


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what becomes of pictures and what a row may cost."""
    for option in reversed(_PICTURE_OPTIONS):
        command = option(command)
    return command


def mapping_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which columns of a row become what."""
    for option in reversed(_MAPPING_OPTIONS):
        command = option(command)
    return command


def field_mapping(given: dict[str, Any]) -> FieldMap | None:
    """Return the mapping that the options give, None if they give none.

    Raises:
        UsageError: for one that cannot be read, or --save-mapping without one.
    """
    if not given["maps"] and given["mapping"] is None:
        if given["save_mapping"] is not None and given.get("goal") is None:
            raise UsageError("--save-mapping writes a mapping: give one with --map")
        return None
    from vlm_datakit.mapping.fieldmap import field_map, parse_entry, with_entries
    from vlm_datakit.mapping.file import read_mapping

    entries = [parse_entry(text) for text in given["maps"]]
    if given["mapping"] is None:
        return field_map(entries)
    return with_entries(read_mapping(Path(given["mapping"])), entries)


def say_mapping(mapping: FieldMap | None, found: Survey, given: dict[str, Any]) -> None:
    """Say which columns are not read, and save the mapping if that was asked for."""
    if not given.get("quiet"):
        if found.unused:
            more = ", ..." if len(found.unused) > _SHOWN else ""
            say(f"not used: {', '.join(found.unused[:_SHOWN])}{more}")
        for path in found.literal_places:
            say(f"{path} holds <image>, which stays a text; image-places({path}) makes it a place")
    if given["save_mapping"] is None:
        return
    if mapping is None:
        say(f"no mapping is saved: rows are {found.format} already")
        return
    from vlm_datakit.mapping.file import save_mapping

    save_mapping(mapping, Path(given["save_mapping"]))


def image_policy(given: dict[str, Any]) -> ImagePolicy:
    """Return what the options say about pictures."""
    return ImagePolicy(given["images"], given["check_images"], given["shrink_to_pixels"])


def fetch_policy(given: dict[str, Any]) -> FetchPolicy | None:
    """Return how pictures named by URL are fetched; None if they are not.

    Raises:
        UsageError: for --fetch-allow without --fetch.
    """
    if given["fetch"]:
        return FetchPolicy(given["fetch_allow"])
    if given["fetch_allow"]:
        raise UsageError("--fetch-allow says which hosts --fetch may reach: add --fetch")
    return None


def limits(given: dict[str, Any]) -> Limits:
    """Return the limits that the options set.

    Raises:
        UsageError: for a limit that is none.
    """
    return parse_limits(parse_row_limit(given["limits"])[1])


def row_limit(given: dict[str, Any]) -> int | None:
    """Return how many rows of each split are wanted; None: all.

    Raises:
        UsageError: for none at all.
    """
    return parse_row_limit(given["limits"])[0]


def import_request(sources: tuple[str, ...], given: dict[str, Any]) -> ImportRequest:
    """Return what options ask to import, look at or validate; not every command has all of them."""
    from vlm_datakit.importing import ImportRequest

    return ImportRequest(
        sources,
        given["format_"],
        given["split"] or None,
        given["image_root"],
        given.get("with_images"),
        given.get("rejects_raw", False),
        limits(given),
        image_policy(given),
        fetch_policy(given),
        field_mapping(given),
        given.get("goal"),
        given["config"],
        row_limit(given),
        given["with_datasets"],
    )
