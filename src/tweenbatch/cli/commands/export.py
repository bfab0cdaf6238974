"""``tweenbatch export``: the results file."""

import sys
from functools import partial
from pathlib import Path

import click

from tweenbatch.cli import streams
from tweenbatch.cli.options import table_options, table_url
from tweenbatch.errors import UsageError
from tweenbatch.files import atomic
from tweenbatch.planning import missing
from tweenbatch.printable import printable_line
from tweenbatch.report import missing as missed
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
@click.option(
    "--raw",
    is_flag=True,
    help="Leave texts that begin like a formula (= + - @) as they are: for programs, never for a "
    "spreadsheet.",
)
@click.option(
    "--redact",
    is_flag=True,
    help="Leave prompts, frames, addresses, request ids and messages empty: a file to share.",
)
@click.option("--force", is_flag=True, help="Write over a file that is no results file.")
@table_options
def command(
    *, target: str, raw: bool, redact: bool, force: bool, db: str, rehearse: bool, as_json: bool
) -> None:
    """Write one line for each manifest row: state, request, files, cost, error."""
    if Path(target).suffix not in (".csv", ".jsonl") and target != "-":
        raise UsageError(f"-o {target}: expected a name that ends in .csv or .jsonl, or -")
    if target != "-":
        _refuse_to_lose(Path(target), force=force)
    store = Store.open(table_url(db, rehearse=rehearse), create=False)
    try:
        as_json = as_json if target == "-" else target.endswith(".jsonl")
        kind = results.jsonl if as_json else partial(results.csv, raw=raw)
        write = partial(kind, extra=store.views.extra_columns())
        rows = results.redacted(store.views.export()) if redact else store.views.export()
        if target == "-":
            seen = sys.stdout.isatty()
            write(rows, streams.visible(sys.stdout) if seen else sys.stdout)
        else:
            count = results.write_file(rows, Path(target), write)
            click.echo(printable_line(f"{count} rows written to {target}"), err=True)
        gone = missing.find(store.views.kept_clips())
        for line in missed.lines(gone, "`tweenbatch fetch` brings them back"):
            click.echo(printable_line(line), err=True)
    except FileNotFoundError as error:
        raise UsageError(f"-o {target}: there is no such folder; make it first") from error
    except OSError as error:
        if target == "-":
            raise
        raise UsageError(f"-o {target}: can't be written ({error.strerror})") from error
    finally:
        store.close()


def _refuse_to_lose(path: Path, *, force: bool) -> None:
    """Raise ``UsageError`` where something else than a results file would be written over."""
    try:
        atomic.require_regular(path)
        ours = force or results.may_be_overwritten(path)
    except OSError as error:
        raise UsageError(f"-o {path}: can't be written ({error.strerror})") from error
    if not ours:
        raise UsageError(
            f"-o {path}: is there already and is no results file; choose another name, or add "
            "--force to write over it"
        )
