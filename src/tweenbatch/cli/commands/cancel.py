"""``tweenbatch cancel``: what waits is dropped, and fal is asked to stop what it has."""

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
from tweenbatch.cli.selection import agreed, chosen, selection_options, taken_from
from tweenbatch.clock import SystemClock
from tweenbatch.errors import LeaseLost, UsageError
from tweenbatch.records import Job, JobNeedingAttention, Outcome
from tweenbatch.report import text
from tweenbatch.stages.cancel import CancelResult, Fate, cancel
from tweenbatch.states import UNFINISHED, Event, State
from tweenbatch.store import Store

SAID = {
    Fate.STOPPED: "stopped",
    Fate.CONTINUES: "fal was asked to stop and is still at it; the run collects what comes of it",
    Fate.ENDED: "had ended already; the run collects it",
    Fate.UNREACHED: "fal could not be asked",
}


@click.command(short_help="Drop what waits, and ask fal to stop what it has.")
@selection_options
@click.option(
    "--state",
    "states",
    type=click.Choice([state.value for state in State if state in UNFINISHED]),
    multiple=True,
    help="Only jobs that stand so; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(
    *, yes: bool, db: str, rehearse: bool, as_json: bool, states: tuple[str, ...], **options: Any
) -> None:
    """Cancel JOBS that are not at their end: all, or those that every option speaks of.

    What waits is dropped and costs nothing. fal is asked to stop what it has accepted; what it
    can't stop is paid for, and is still collected. `tweenbatch retry --state cancelled` brings
    them back.
    """
    selection = taken_from(options, [State(state) for state in states] or UNFINISHED)
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        found = chosen(store, selection)
        if rehearse and any(each.state is State.SUBMITTED for each in found):
            raise UsageError(
                "a rehearsal's fal is there only while it runs, so that it can't be asked to stop; "
                "--state pending leaves out what it has. Nothing was changed"
            )
        if found:
            agreed(found, list(_meaning(found)), yes=yes)
        waiting = {each.job_id for each in found if each.state is State.PENDING}
        dropped = store.jobs.cancel(waiting, now=datetime.now(UTC))
        # What was submitted while somebody thought about it is asked for as well.
        ids = [each.job_id for each in found if each.job_id not in dropped]
        asked = _ask(store, [job for job in store.jobs.get(ids) if job.state is State.SUBMITTED])
    if as_json:
        told = {str(each.job.id): each.fate.value for each in asked}
        click.echo(json.dumps({"dropped": sorted(dropped), "asked": told}))
        return
    click.echo(f"{text.clips(len(dropped))} dropped")
    for each in asked:
        trouble = f" ({text.plain(each.trouble)})" if each.trouble else ""
        name = text.plain(each.job.output_name)
        click.echo(f"  job {each.job.id}  {name}: {SAID[each.fate]}{trouble}")


def _meaning(found: Sequence[JobNeedingAttention]) -> Iterator[str]:
    by_state = {state: [each for each in found if each.state is state] for state in State}
    waiting, at_fal = by_state[State.PENDING], by_state[State.SUBMITTED]
    if waiting:
        cost = text.usd(sum((each.price_usd for each in waiting), Decimal(0)))
        yield f"{text.clips(len(waiting))} not begun yet: dropped, and {cost} is not spent"
    if at_fal:
        yield (
            f"fal is asked to stop {text.clips(len(at_fal))}; what it stops still counts as spent, "
            "for fal does not say whether it bills it"
        )
    if rest := len(found) - len(waiting) - len(at_fal):
        yield (
            f"{text.clips(rest)} can't be stopped: on the way to fal, of unknown outcome, or made "
            "already; the run goes on with them"
        )


def _ask(store: Store, jobs: Sequence[Job]) -> list[CancelResult]:
    """Ask fal to stop these, and write down which it did."""
    if not jobs:
        return []
    from tweenbatch.fal import Fal

    async def ask() -> list[CancelResult]:
        async with Fal.connect(connect_to=os.environ.get("TWEENBATCH_CONNECT_TO")) as fal:
            rng = random.Random()  # noqa: S311 - jitter, not secrets
            return await cancel(jobs, fal=fal, clock=SystemClock(), rng=rng)

    asked = asyncio.run(ask())
    for each in asked:
        if each.fate is Fate.STOPPED:
            outcome = Outcome(event=Event.CANCELLED, failure=each.failure)
            # A run that saw it as well has written the same.
            with suppress(LeaseLost):
                store.jobs.settle(each.job, outcome, now=datetime.now(UTC))
    return asked
