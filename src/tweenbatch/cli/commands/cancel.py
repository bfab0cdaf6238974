"""``tweenbatch cancel``: cancel queued jobs and ask fal to stop running ones."""

import asyncio
import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import confirm, pop_selection, select, selection_options
from tweenbatch.clock import SystemClock
from tweenbatch.errors import LeaseLost, UsageError
from tweenbatch.records import Job, JobNeedingAttention, Outcome
from tweenbatch.report import text
from tweenbatch.stages.cancel import CancelResult, Fate, cancel
from tweenbatch.states import UNFINISHED, Event, State
from tweenbatch.store import Store

FATES = {
    Fate.STOPPED: "stopped",
    Fate.CONTINUES: "fal was asked to stop but still runs it; a run collects the result",
    Fate.ENDED: "had ended already; a run collects it",
    Fate.UNREACHED: "fal could not be asked",
}


@click.command(short_help="Cancel queued and running jobs.")
@selection_options
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in State if state in UNFINISHED]),
    multiple=True,
    help="Only jobs in this state; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(
    *, yes: bool, db: str, rehearse: bool, as_json: bool, states: tuple[str, ...], **options: Any
) -> None:
    """Cancel unfinished JOBS. Without JOBS: all that match every filter.

    Queued jobs are cancelled at no cost. fal is asked to stop running ones; those it can't stop are
    paid for and still collected. `tweenbatch retry --state cancelled` queues them again.
    """
    selection = pop_selection(options, [State(state) for state in states] or UNFINISHED)
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        found = select(store, selection)
        if rehearse and any(each.state is State.SUBMITTED for each in found):
            raise UsageError(
                "a rehearsal's emulator runs only during the rehearsal, so it can't stop these "
                "jobs; --state pending cancels only queued ones. Nothing was changed"
            )
        if found:
            confirm(found, list(_consequences(found)), yes=yes, rehearse=rehearse)
        waiting = {each.job_id for each in found if each.state is State.PENDING}
        dropped = store.jobs.cancel(waiting, now=datetime.now(UTC))
        # Jobs submitted since the question was asked are stopped as well.
        ids = [each.job_id for each in found if each.job_id not in dropped]
        results = _stop(store, [job for job in store.jobs.get(ids) if job.state is State.SUBMITTED])
    if as_json:
        fates = {str(each.job.id): each.fate.value for each in results}
        click.echo(json.dumps({"dropped": sorted(dropped), "asked": fates}))
        return
    click.echo(f"{text.clips(len(dropped))} cancelled before submission, at no cost")
    for each in results:
        trouble = f" ({text.plain(each.trouble)})" if each.trouble else ""
        name = text.plain(each.job.output_name)
        click.echo(f"  job {each.job.id}  {name}: {FATES[each.fate]}{trouble}")


def _consequences(found: Sequence[JobNeedingAttention]) -> Iterator[str]:
    by_state = {state: [each for each in found if each.state is state] for state in State}
    waiting, at_fal = by_state[State.PENDING], by_state[State.SUBMITTED]
    if waiting:
        cost = text.usd(sum((each.price_usd for each in waiting), Decimal(0)))
        yield f"{text.clips(len(waiting))} not submitted yet: cancelled, which saves {cost}"
    if at_fal:
        yield (
            f"fal is asked to stop {text.clips(len(at_fal))}; stopped clips still count as spent, "
            "because fal does not say whether it bills them"
        )
    if rest := len(found) - len(waiting) - len(at_fal):
        yield (
            f"{text.clips(rest)} can't be stopped: on the way to fal, of unknown outcome, or "
            "already made; a run continues with them"
        )


def _stop(store: Store, jobs: Sequence[Job]) -> list[CancelResult]:
    """Ask fal to stop these jobs, and record those it stopped."""
    if not jobs:
        return []
    from tweenbatch.fal import Fal

    async def ask() -> list[CancelResult]:
        async with Fal.connect(connect_to=os.environ.get("TWEENBATCH_CONNECT_TO")) as fal:
            rng = random.Random()  # noqa: S311 - jitter, not secrets
            return await cancel(jobs, fal=fal, clock=SystemClock(), rng=rng)

    results = asyncio.run(ask())
    for each in results:
        if each.fate is Fate.STOPPED:
            outcome = Outcome(event=Event.CANCELLED, failure=each.failure)
            # A run in progress may have recorded the same.
            with suppress(LeaseLost):
                store.jobs.settle(each.job, outcome, now=datetime.now(UTC))
    return results
