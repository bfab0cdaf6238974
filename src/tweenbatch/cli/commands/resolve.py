"""``tweenbatch resolve``: record a person's decision on jobs that the program can't settle."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import note_rehearsal, table_options, table_url
from tweenbatch.cli.selection import pop_selection, select, selection_options
from tweenbatch.errors import LeaseLost, UsageError
from tweenbatch.records import Billed, Failure, Job, Outcome
from tweenbatch.report import text
from tweenbatch.states import IDENTIFIED, Event, ImpossibleTransition, State
from tweenbatch.store import Store

CHOICES = "choose one of --read-again, --adopt REQUEST_ID, --absent and --give-up"


@click.command(short_help="Manually resolve stuck jobs.")
@selection_options
@click.option(
    "--read-again",
    is_flag=True,
    help="Read the results of their requests again and collect the clips found. Free.",
)
@click.option(
    "--adopt",
    metavar="REQUEST_ID",
    help="fal has the clip under this request id: collect it. Free. One job at a time.",
)
@click.option(
    "--absent", is_flag=True, help="fal never accepted it: the next run submits and pays for it."
)
@click.option("--give-up", is_flag=True, help="Mark it failed; its price counts as spent.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(
    *,
    read_again: bool,
    adopt: str | None,
    absent: bool,
    give_up: bool,
    yes: bool,
    db: str,
    rehearse: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Resolve stuck JOBS manually, after checking them on fal's dashboard.

    For submissions with an unknown outcome, use --adopt, --absent or --give-up. For paid clips
    whose result or file is not available, use --give-up; until then every run reads them again.
    For failed jobs that may have a clip at fal, use --read-again or --adopt.
    """
    if (adopt is not None) + read_again + absent + give_up != 1:
        raise UsageError(CHOICES)
    if adopt is not None and len(options["jobs"]) != 1:
        raise UsageError("--adopt needs exactly one job number: a request belongs to one job")
    states = {State.UNCERTAIN}
    if read_again:
        states = {State.FAILED}
    elif adopt is not None:
        states |= {State.FAILED}
    elif give_up:
        states |= IDENTIFIED
    selection = pop_selection(options, states)
    if not selection.is_narrowed:
        raise UsageError(
            "which jobs? Give their numbers, --manifest, --row, --error, --tag or --name"
        )
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        jobs = store.jobs.get([each.job_id for each in select(store, selection)])
        outcome_of = _outcomes(read_again=read_again, adopt=adopt, absent=absent)
        outcomes = [(job, outcome_of(job)) for job in jobs]
        consequence = _consequence(jobs, read_again=read_again, adopt=adopt, absent=absent)
        note_rehearsal(rehearse=rehearse, err=True)
        _show(jobs, consequence, yes=yes)
        settled = [_settle(store, job, outcome) for job, outcome in outcomes]
    if as_json:
        click.echo(json.dumps({"resolved": {str(job.id): str(job.state) for job in settled}}))
        return
    for job in settled:
        click.echo(f"job {job.id}  {text.plain(job.output_name)}: now {job.state}")
    click.echo("`tweenbatch run` continues from here")


def _outcomes(*, read_again: bool, adopt: str | None, absent: bool) -> Callable[[Job], Outcome]:
    """Return a function from a job to the outcome to record for it."""
    if read_again:

        def read(job: Job) -> Outcome:
            if job.request is None:
                raise UsageError(
                    f"job {job.id}: fal gave it no request, so there is no result to read. "
                    "Nothing was changed"
                )
            return Outcome(event=Event.REOPENED, request=job.request)

        return read
    if adopt is not None:
        from tweenbatch.fal import request_of

        def adopted(job: Job) -> Outcome:
            event = Event.REOPENED if job.state is State.FAILED else Event.ACCEPTED
            return Outcome(event=event, request=request_of(job.spec.endpoint, adopt))

        return adopted
    if absent:
        return lambda _: Outcome(event=Event.PROVEN_ABSENT)
    failure = Failure(
        type="given_up",
        message="a person gave it up; fal may have billed it",
        billed=Billed.UNKNOWN,
    )
    return lambda _: Outcome(event=Event.GAVE_UP, failure=failure)


def _consequence(jobs: Sequence[Job], *, read_again: bool, adopt: str | None, absent: bool) -> str:
    cost = text.usd(sum((job.price_usd for job in jobs), Decimal(0)))
    count, one = text.clips(len(jobs)), len(jobs) == 1
    if read_again:
        return f"the next run reads {count} again and collects the results it finds; free"
    if adopt is not None:
        return f"request {text.plain(adopt)} becomes its request and is collected; free"
    if absent:
        return (
            f"{count} {'goes' if one else 'go'} back into the queue, and the next run pays {cost} "
            f"for {'it' if one else 'them'}; if fal did accept {'it' if one else 'them'}, "
            f"{'it is' if one else 'they are'} paid for twice"
        )
    return f"{count} {'counts' if one else 'count'} as failed, and {cost} as spent"


def _show(jobs: Sequence[Job], consequence: str, *, yes: bool) -> None:
    """Show the jobs and the consequence, and ask; raise ``UsageError`` unless a person agrees."""
    for job in jobs:
        sent = f", sent {job.sent_at:%Y-%m-%d %H:%M:%S} UTC" if job.sent_at else ""
        name = text.plain(job.output_name)
        click.echo(
            f"  job {job.id}  {name}  {job.state} ({text.usd(job.price_usd)}{sent})", err=True
        )
    if yes:
        click.echo(f"  {consequence}", err=True)
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{consequence}. There is no terminal to ask on; add --yes to agree. Nothing was "
            "changed"
        )
    if not click.confirm(f"  {consequence}. Continue?", err=True):
        raise UsageError("not confirmed; nothing was changed")


def _settle(store: Store, job: Job, outcome: Outcome) -> Job:
    try:
        return store.jobs.settle(job, outcome, now=datetime.now(UTC))
    except LeaseLost as error:
        raise UsageError(
            f"job {job.id} has changed meanwhile; check it with `tweenbatch show {job.id}`"
        ) from error
    except ImpossibleTransition as error:
        raise UsageError(f"{error}. Nothing was changed") from error
