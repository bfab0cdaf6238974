"""``tweenbatch retake``: queue another take of finished clips."""

import json
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import confirm, pop_selection, select, selection_options
from tweenbatch.errors import UsageError
from tweenbatch.report import text
from tweenbatch.states import State
from tweenbatch.store import Store


@click.command(short_help="Queue another take of finished clips.")
@selection_options
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(*, yes: bool, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Queue another take of succeeded JOBS; the next run pays for it.

    Existing clips are kept. Give job numbers or at least one filter.
    """
    selection = pop_selection(options, [State.SUCCEEDED])
    if not selection.is_narrowed:
        raise UsageError("which clips? Give job numbers, --manifest, --row, --tag or --name")
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        jobs = select(store, selection)
        cost = text.usd(sum((each.price_usd for each in jobs), Decimal(0)))
        consequence = f"another take of {text.clips(len(jobs))} will be charged, {cost}"
        confirm(jobs, [consequence], yes=yes, rehearse=rehearse)
        takes = store.jobs.retake([each.job_id for each in jobs], now=datetime.now(UTC))
    if as_json:
        click.echo(
            json.dumps({"takes": [{"job": job.id, "name": job.output_name} for job in takes]})
        )
        return
    for job in takes:
        click.echo(f"  job {job.id}  {text.plain(job.output_name)}")
    if skipped := len(jobs) - len(takes):
        click.echo(f"{text.clips(skipped)} skipped: no longer in any manifest")
    click.echo(f"{text.clips(len(takes))} queued; `tweenbatch run` submits what is queued")
