"""``tweenbatch runs``: list past runs, or show one run's results."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import click

from tweenbatch.cli.options import note_rehearsal, rehearsal_mark, table_options, table_url
from tweenbatch.errors import UsageError
from tweenbatch.exit_codes import ExitCode
from tweenbatch.printable import printable_line
from tweenbatch.records import Run
from tweenbatch.report import digest, text
from tweenbatch.report.digest import Digest
from tweenbatch.store import Store

SILENT_FOR = timedelta(minutes=2)
"""A run renews its heartbeat every few seconds."""


@click.group("runs", invoke_without_command=True, short_help="List past runs.")
@click.option("--limit", metavar="N", type=int, default=20, show_default=True, help="The latest N.")
@table_options
@click.pass_context
def command(context: click.Context, *, limit: int, db: str, rehearse: bool, as_json: bool) -> None:
    """List the latest runs, newest first; `tweenbatch runs show ID` shows one run's results."""
    if context.invoked_subcommand is not None:
        return
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        runs = store.runs.latest(limit=limit)
    if as_json:
        click.echo(
            json.dumps([{**_shape(run), **rehearsal_mark(rehearse=rehearse)} for run in runs])
        )
        return
    note_rehearsal(rehearse=rehearse)
    if not runs:
        click.echo("no runs yet")
    for run in runs:
        took = text.span((run.ended_at - run.started_at).total_seconds())
        cells = (
            f"{run.id:>5}",
            f"{run.started_at.astimezone():%Y-%m-%d %H:%M}",
            f"{took:>10}",
            f"{text.usd(run.committed_usd):>9}",
            f"{run.job or run.asked or 'all unfinished work':<24}",
            ended(run),
        )
        click.echo(printable_line("  ".join(cells)))


@command.command(short_help="Show a run's results.")
@click.argument("run_id", metavar="ID", type=int)
@table_options
def show(*, run_id: int, db: str, rehearse: bool, as_json: bool) -> None:
    """Show the results of run ID: clips made, failures, uncertain, spent, slowest, next command."""
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        run = store.runs.find(run_id)
        if run is None:
            raise UsageError(f"there is no run {run_id}; `tweenbatch runs` lists them")
        results = Digest.of_run(run, store.runs.activity(run), lives=lives(run), rehearsal=rehearse)
    if as_json:
        click.echo(json.dumps(digest.shape(results)))
        return
    for line in digest.lines(results):
        click.echo(printable_line(line))


def lives(run: Run) -> bool:
    """Return whether a run is in progress, judging by its heartbeat in the table."""
    return run.finished_at is None and datetime.now(UTC) - run.heartbeat_at < SILENT_FOR


def ended(run: Run) -> str:
    """Describe how a run ended."""
    if run.exit_code is None:
        return digest.RUNNING if lives(run) else digest.DIED
    return f"{run.exit_code}  {run.note or ExitCode(run.exit_code).words}"


def _shape(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat(),
        "lives": lives(run),
        "exit_code": run.exit_code,
        "note": run.note,
        "job": run.job,
        "night": run.night and run.night.isoformat(),
        "asked": run.asked,
        "committed": float(run.committed_usd),
        "notified_at": run.notified_at and run.notified_at.isoformat(),
    }
