"""``tweenbatch retry``: failed jobs go back into the queue."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import agreed, chosen, selection_options, taken_from
from tweenbatch.records import JobNeedingAttention
from tweenbatch.report import status as standing
from tweenbatch.report import text
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
    help="May be repeated.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(
    *, yes: bool, db: str, rehearse: bool, as_json: bool, states: tuple[str, ...], **options: Any
) -> None:
    """Queue the failed JOBS again; the next run pays for them.

    All of them without a number, or those that every option speaks of.
    """
    selection = taken_from(options, [State(state) for state in states])
    store = Store.open(table_url(db, rehearse=rehearse), create=False)
    try:
        found = chosen(store, selection)
        if found:
            _confirm(found, yes=yes)
        count = store.jobs.requeue([each.job_id for each in found], now=datetime.now(UTC))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"requeued": count}))
    else:
        click.echo(f"{text.clips(count)} queued again; `tweenbatch run` submits what is queued")


def _confirm(chosen: list[JobNeedingAttention], *, yes: bool) -> None:
    """Show what will be paid anew and ask; raises ``UsageError`` where nobody agrees."""
    cost = text.usd(sum((a.price_usd for a in chosen), Decimal(0)))
    meaning = [f"{text.clips(len(chosen))} will be paid anew, {cost}"]
    if lost := sum(map(standing.is_lost, chosen)):
        meaning.append(f"{lost} of them made and lost: `tweenbatch fetch` asks again, for nothing")
    agreed(chosen, meaning, yes=yes)
