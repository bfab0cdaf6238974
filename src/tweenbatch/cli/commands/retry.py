"""``tweenbatch retry``: queue failed or cancelled jobs again."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import confirm, pop_selection, select, selection_options
from tweenbatch.records import JobNeedingAttention
from tweenbatch.report import status, text
from tweenbatch.states import State
from tweenbatch.store import Store


@click.command(short_help="Queue failed jobs again.")
@selection_options
@click.option(
    "--state",
    "states",
    type=click.Choice([State.FAILED.value, State.CANCELLED.value]),
    multiple=True,
    default=[State.FAILED.value],
    show_default=True,
    help="Jobs in this state; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(
    *, yes: bool, db: str, rehearse: bool, as_json: bool, states: tuple[str, ...], **options: Any
) -> None:
    """Queue failed JOBS again; the next run pays for them again.

    Without JOBS: all failed jobs that match every filter.
    """
    selection = pop_selection(options, [State(state) for state in states])
    store = Store.open(table_url(db, rehearse=rehearse), create=False)
    try:
        jobs = select(store, selection)
        if jobs:
            _confirm(jobs, yes=yes, rehearse=rehearse)
        count = store.jobs.requeue([each.job_id for each in jobs], now=datetime.now(UTC))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"requeued": count}))
    else:
        click.echo(f"{text.clips(count)} queued again; `tweenbatch run` submits what is queued")


def _confirm(jobs: list[JobNeedingAttention], *, yes: bool, rehearse: bool) -> None:
    """Show the jobs and their cost, and ask; raise ``UsageError`` unless a person agrees."""
    cost = text.usd(sum((job.price_usd for job in jobs), Decimal(0)))
    consequences = [f"{text.clips(len(jobs))} will be charged again, {cost}"]
    if lost := sum(map(status.is_lost, jobs)):
        consequences.append(
            f"{text.clips(lost)} of these paid for and lost: `tweenbatch fetch` asks fal again, at "
            "no cost"
        )
    confirm(jobs, consequences, yes=yes, rehearse=rehearse)
