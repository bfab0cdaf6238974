"""``tweenbatch resolve``: a person settles what the program can't, from every state."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import chosen, selection_options, taken_from
from tweenbatch.errors import LeaseLost, UsageError
from tweenbatch.records import Billed, Failure, Job, Outcome
from tweenbatch.report import text
from tweenbatch.states import IDENTIFIED, Event, ImpossibleTransition, State
from tweenbatch.store import Store

WAY = "choose one of --read-again, --adopt REQUEST_ID, --absent and --give-up"


@click.command(short_help="Manually resolve jobs that hang.")
@selection_options
@click.option(
    "--read-again",
    is_flag=True,
    help="Read the results of their requests again and collect what is there. Costs nothing.",
)
@click.option(
    "--adopt",
    metavar="REQUEST_ID",
    help="fal has it under this id: collect it. Costs nothing. One job at a time.",
)
@click.option(
    "--absent", is_flag=True, help="fal never accepted it: the next run submits, and pays for, it."
)
@click.option("--give-up", is_flag=True, help="Leave it; its price counts as spent.")
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
    """Settle JOBS that hang, as fal's dashboard shows them.

    Submissions of unknown outcome take --adopt, --absent or --give-up. Paid clips whose result or
    file can't be had take --give-up; every run reads them again until then. Failed jobs that fal
    may have a clip for take --read-again or --adopt.
    """
    if (adopt is not None) + read_again + absent + give_up != 1:
        raise UsageError(WAY)
    if adopt is not None and len(options["jobs"]) != 1:
        raise UsageError("--adopt is for one job by its number: a request belongs to one alone")
    states = {State.UNCERTAIN}
    if read_again:
        states = {State.FAILED}
    elif adopt is not None:
        states |= {State.FAILED}
    elif give_up:
        states |= IDENTIFIED
    selection = taken_from(options, states)
    if not selection.is_narrowed:
        raise UsageError(
            "which jobs? Give their numbers, --manifest, --row, --error, --tag or --name"
        )
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        jobs = store.jobs.get([each.job_id for each in chosen(store, selection)])
        outcome_of = _outcomes(read_again=read_again, adopt=adopt, absent=absent)
        outcomes = [(job, outcome_of(job)) for job in jobs]
        meaning = _meaning(jobs, read_again=read_again, adopt=adopt, absent=absent)
        _show(jobs, meaning, yes=yes)
        settled = [_settle(store, job, outcome) for job, outcome in outcomes]
    if as_json:
        click.echo(json.dumps({"resolved": {str(job.id): str(job.state) for job in settled}}))
        return
    for job in settled:
        click.echo(f"job {job.id}  {text.plain(job.output_name)}: now {job.state}")
    click.echo("`tweenbatch run` continues from here")


def _outcomes(*, read_again: bool, adopt: str | None, absent: bool) -> Callable[[Job], Outcome]:
    """Return what is to be written down for each job."""
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


def _meaning(jobs: Sequence[Job], *, read_again: bool, adopt: str | None, absent: bool) -> str:
    cost = text.usd(sum((job.price_usd for job in jobs), Decimal(0)))
    count = text.clips(len(jobs))
    if read_again:
        return f"the next run reads {count} again and collects what is there; nothing is paid"
    if adopt is not None:
        return f"request {text.plain(adopt)} is taken for it and collected; nothing is paid"
    if absent:
        return (
            f"{count} go back into the queue, and the next run pays {cost} for them; if fal did "
            "accept them, they are paid for twice"
        )
    return f"{count} count as failed, and {cost} as spent"


def _show(jobs: Sequence[Job], meaning: str, *, yes: bool) -> None:
    """Show what it means and ask; raises ``UsageError`` where nobody agrees."""
    for job in jobs:
        sent = f", sent {job.sent_at:%Y-%m-%d %H:%M:%S} UTC" if job.sent_at else ""
        name = text.plain(job.output_name)
        click.echo(
            f"  job {job.id}  {name}  {job.state} ({text.usd(job.price_usd)}{sent})", err=True
        )
    if yes:
        click.echo(f"  {meaning}", err=True)
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{meaning}. There is no terminal to ask on; add --yes to agree. Nothing was changed"
        )
    if not click.confirm(f"  {meaning}. Do that?", err=True):
        raise UsageError("not confirmed; nothing was changed")


def _settle(store: Store, job: Job, outcome: Outcome) -> Job:
    try:
        return store.jobs.settle(job, outcome, now=datetime.now(UTC))
    except LeaseLost as error:
        raise UsageError(f"job {job.id} has moved on meanwhile; look at it again") from error
    except ImpossibleTransition as error:
        raise UsageError(f"{error}. Nothing was changed") from error
