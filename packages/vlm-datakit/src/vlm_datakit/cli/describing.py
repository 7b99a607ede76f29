"""``vlm-datakit schema``."""

from __future__ import annotations

import click


@click.command("schema")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """Print the JSON Schema of a row format, of a refused row's line, or of the manifest.

    Without a NAME, list the names.
    """
    from vlm_datakit.schemas import names, schema_text

    click.echo("\n".join(names()) if name is None else schema_text(name).rstrip("\n"))
