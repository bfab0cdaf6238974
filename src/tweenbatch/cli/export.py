"""``tweenbatch export``: the results file."""

import sys
from pathlib import Path

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.report import results
from tweenbatch.store import Store


@click.command(short_help="Write the results file.")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    default="-",
    show_default=True,
    help="A .csv or .jsonl file; - for stdout.",
)
@table_options
def command(target: str, db: str, rehearse: bool, as_json: bool) -> None:
    """Write one line for each manifest row: state, request, files, cost, error."""
    store = Store.open(table_url(db, rehearse=rehearse), create=False)
    try:
        write = results.jsonl if as_json or target.endswith(".jsonl") else results.csv
        if target == "-":
            write(store.export(), sys.stdout)
        else:
            count = results.write_file(store.export(), Path(target), write)
            click.echo(f"{count} rows written to {target}", err=True)
    finally:
        store.close()
