"""``tweenbatch digest``: show or send the results of a job file's last run, even if it died."""

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


@click.command(short_help="Show, and send, the last run's results.")
@click.argument("jobfile", type=click.Path(path_type=Path))
@click.option(
    "--last",
    is_flag=True,
    help="Also send the digest to the job file's targets, unless it was sent already. For a unit's "
    "failure hook: a run that was killed can't send its own digest.",
)
@click.option("--rehearse", is_flag=True, help="Use the rehearsal's job table.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
def command(*, jobfile: Path, last: bool, rehearse: bool, as_json: bool) -> None:
    """Show the results of JOBFILE's last run. --last also sends them, if they were not sent."""
    if jobfile.suffix.lower() != SUFFIX:
        raise click.UsageError(f"{jobfile} isn't a job file; expected a name that ends in {SUFFIX}")
    arguments = [str(jobfile), *(["--rehearse"] if rehearse else [])]
    context = running.command.make_context("run", arguments)
    job, options = context.obj, dict(context.params)
    delivery = running.digests_of(options)
    last_digest = _nothing_ran(job, rehearsal=rehearse)
    existing = Store.find(table_url(options["db"], rehearse=rehearse))
    with closing(existing) if existing else nullcontext() as store:
        run = store.runs.latest_of_job(job.night.job) if store else None
        # A run that died may belong to the night before, if midnight has passed since.
        if store and run and (run.notified_at is None or run.night == job.night.date):
            last_digest = Digest.of_run(
                run, store.runs.activity(run), lives=_lives(run), rehearsal=rehearse
            )
            if last and not last_digest.lives and run.notified_at is None:
                delivery.deliver_run(run, store, now=datetime.now(UTC))
        elif last:
            delivery.send(last_digest)
    if as_json:
        click.echo(json.dumps(digest.shape(last_digest)))
        return
    for line in digest.lines(last_digest):
        click.echo(printable_line(line))


def _nothing_ran(job: LoadedJobFile, *, rehearsal: bool) -> Digest:
    return Digest(
        job=job.night.job,
        night=job.night.date,
        why="no run of this job file started on that day",
        began=False,
        rehearsal=rehearsal,
    )


def _lives(run: Run) -> bool:
    """Return whether a run is in progress; on this machine, check that its process exists."""
    if not lives(run) or run.host != socket.gethostname():
        return lives(run)
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the process exists and belongs to another user
        pass
    return True
