"""Options that several commands share, each spelled once."""

from __future__ import annotations

import click

format_option = click.option(
    "--from",
    "format_",
    default="auto",
    show_default=True,
    metavar="FORMAT",
    help="openai, simple, trl, or pkg.module:NAME",
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
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Say only how it ended.")
