"""``tweenbatch retake``: another take of clips that are there."""

import json
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import agreed, chosen, selection_options, taken_from
from tweenbatch.errors import UsageError
from tweenbatch.report import text
from tweenbatch.states import State
from tweenbatch.store import Store


@click.command(short_help="Ask for another take of finished clips.")
@selection_options
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(*, yes: bool, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Ask for another take of JOBS that succeeded; the next run pays for it.

    The clips that there are stay. Say which: job numbers, or at least one option.
    """
    selection = taken_from(options, [State.SUCCEEDED])
    if not selection.is_narrowed:
        raise UsageError("which clips? Give job numbers, --manifest, --row, --tag or --name")
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        found = chosen(store, selection)
        cost = text.usd(sum((each.price_usd for each in found), Decimal(0)))
        agreed(found, [f"another take of {text.clips(len(found))} will be paid, {cost}"], yes=yes)
        made = store.jobs.retake([each.job_id for each in found], now=datetime.now(UTC))
    if as_json:
        click.echo(
            json.dumps({"takes": [{"job": job.id, "name": job.output_name} for job in made]})
        )
        return
    for job in made:
        click.echo(f"  job {job.id}  {text.plain(job.output_name)}")
    if left_out := len(found) - len(made):
        click.echo(f"{text.clips(left_out)} that no manifest asks for any more left out")
    click.echo(f"{text.clips(len(made))} queued; `tweenbatch run` submits what is queued")
