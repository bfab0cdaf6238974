"""``tweenbatch digest``: what came of a job file's last run, also of one that died."""

import json
import os
import socket
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from tweenbatch.cli.commands import run as running
from tweenbatch.cli.commands.runs import lives
from tweenbatch.cli.options import table_url
from tweenbatch.nights.jobfile import SUFFIX, LoadedJobFile
from tweenbatch.printable import printable_line
from tweenbatch.records import Run
from tweenbatch.report import digest
from tweenbatch.report.digest import Digest
from tweenbatch.store import Store


@click.command(short_help="Tell, and send, what came of the last run.")
@click.argument("jobfile", type=click.Path(path_type=Path))
@click.option(
    "--last",
    is_flag=True,
    help="Also send it to whom the job file names, unless that was done: for a unit's failure "
    "hook, where the run itself may have died.",
)
@click.option("--rehearse", is_flag=True, help="The rehearsal's own table.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
def command(*, jobfile: Path, last: bool, rehearse: bool, as_json: bool) -> None:
    """Tell what came of the last run of JOBFILE; with --last, send it if nobody was told."""
    if jobfile.suffix.lower() != SUFFIX:
        raise click.UsageError(f"{jobfile} is no job file; its name ends with {SUFFIX}")
    arguments = [str(jobfile), *(["--rehearse"] if rehearse else [])]
    context = running.command.make_context("run", arguments)
    job, options = context.obj, dict(context.params)
    morning = running.digests_of(options)
    told = _nothing_ran(job, rehearsal=rehearse)
    found = Store.find(table_url(options["db"], rehearse=rehearse))
    with closing(found) if found else nullcontext() as store:
        run = store.runs.latest_of_job(job.night.job) if store else None
        # A run that died may be of the night before: midnight came between.
        if store and run and (run.notified_at is None or run.night == job.night.date):
            told = Digest.of_run(
                run, store.runs.activity(run), lives=_lives(run), rehearsal=rehearse
            )
            if last and not told.lives and run.notified_at is None:
                morning.deliver_run(run, store, now=datetime.now(UTC))
        elif last:
            morning.tell(told)
    if as_json:
        click.echo(json.dumps(digest.shape(told)))
        return
    for line in digest.lines(told):
        click.echo(printable_line(line))


def _nothing_ran(job: LoadedJobFile, *, rehearsal: bool) -> Digest:
    return Digest(
        job=job.night.job,
        night=job.night.date,
        why="no run of the job file began on that day",
        began=False,
        rehearsal=rehearsal,
    )


def _lives(run: Run) -> bool:
    """Tell whether a run is going; of this machine's own, its process tells."""
    if not lives(run) or run.host != socket.gethostname():
        return lives(run)
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and there
        pass
    return True
