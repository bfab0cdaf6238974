"""``tweenbatch retry``: failed jobs go back into the queue."""

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.errors import UsageError
from tweenbatch.records import Attention
from tweenbatch.report import text
from tweenbatch.states import State
from tweenbatch.store import Store


@click.command(short_help="Queue failed jobs again.")
@click.argument("jobs", nargs=-1, type=int)
@click.option("--yes", is_flag=True, help="Don't ask.")
@table_options
def command(jobs: tuple[int, ...], yes: bool, db: str, rehearse: bool, as_json: bool) -> None:
    """Queue the failed JOBS again (all of them without a number); the next run pays for them."""
    store = Store.open(table_url(db, rehearse=rehearse), create=False)
    try:
        failed = {a.job_id: a for a in store.attention() if a.state is State.FAILED}
        unknown = sorted(set(jobs) - failed.keys())
        if unknown:
            raise UsageError(
                f"not failed: job {', '.join(map(str, unknown))}; `tweenbatch status` lists those "
                "that are"
            )
        chosen = [failed[job] for job in (jobs or sorted(failed))]
        if chosen and not yes:
            _confirm(chosen)
        count = store.requeue([a.job_id for a in chosen], now=datetime.now(UTC))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"requeued": count}))
    else:
        click.echo(f"{text.clips(count)} queued again; `tweenbatch run` submits what is queued")


def _confirm(chosen: list[Attention]) -> None:
    """Show what will be paid anew and ask; raises ``UsageError`` where nobody agrees."""
    for line in text.attention_lines(chosen):
        click.echo(line, err=True)
    cost = text.usd(sum((a.price_usd for a in chosen), Decimal(0)))
    what = f"{text.clips(len(chosen))} will be paid anew, {cost}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{what}, and there is no terminal to ask on; add --yes to agree")
    if not click.confirm(f"{what}. Queue them?", err=True):
        raise UsageError("not confirmed; nothing was changed")
