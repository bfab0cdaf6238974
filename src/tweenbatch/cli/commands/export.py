"""``tweenbatch export``: write the results file."""

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
from tweenbatch.report import missing as missing_report
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
    help="Don't escape texts that a spreadsheet would read as formulas (= + - @). For programs; "
    "don't open the file in a spreadsheet.",
)
@click.option(
    "--redact",
    is_flag=True,
    help="Leave prompts, frames, addresses, request ids and messages empty, so that the file can "
    "be shared.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that isn't a results file.")
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
            on_terminal = sys.stdout.isatty()
            write(rows, streams.visible(sys.stdout) if on_terminal else sys.stdout)
        else:
            count = results.write_file(rows, Path(target), write)
            rows_written = f"{count} row{'' if count == 1 else 's'}"
            click.echo(printable_line(f"{rows_written} written to {target}"), err=True)
        gone = missing.find(store.views.kept_clips())
        for line in missing_report.lines(gone, "`tweenbatch fetch` downloads them again"):
            click.echo(printable_line(line), err=True)
    except FileNotFoundError as error:
        raise UsageError(f"-o {target}: the folder does not exist; create it first") from error
    except OSError as error:
        if target == "-":
            raise
        raise UsageError(f"-o {target}: can't be written ({error.strerror})") from error
    finally:
        store.close()


def _refuse_to_lose(path: Path, *, force: bool) -> None:
    """Raise ``UsageError`` if the export would overwrite a file that isn't a results file."""
    try:
        atomic.require_regular(path)
        ours = force or results.may_be_overwritten(path)
    except OSError as error:
        raise UsageError(f"-o {path}: can't be written ({error.strerror})") from error
    if not ours:
        raise UsageError(
            f"-o {path}: the file already exists and isn't a results file; choose another name, or "
            "add --force to overwrite it"
        )
