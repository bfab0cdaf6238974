"""``tweenbatch backup``: copy the job table."""

import json
from pathlib import Path

import click

from tweenbatch.cli.options import LocalPath, table_options, table_url
from tweenbatch.printable import printable_line


@click.command(short_help="Copy the table.")
@click.argument("file", type=LocalPath(path_type=Path))
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@table_options
def command(*, file: Path, force: bool, db: str, rehearse: bool, as_json: bool) -> None:
    """Copy the whole job table to FILE, even while a run uses it.

    After a copy is restored, the next run asks before it pays: clips paid for since are not in it.
    """
    from tweenbatch.store.backup import back_up

    made = back_up(table_url(db, rehearse=rehearse), file, replace=force)
    if as_json:
        shape = {"backup": str(made.path), "bytes": made.bytes, "jobs": made.jobs}
        click.echo(json.dumps(shape))
    else:
        jobs = f"{made.jobs} job{'s' if made.jobs != 1 else ''}"
        click.echo(printable_line(f"{jobs} ({made.bytes:,} bytes) copied to {made.path}"))
