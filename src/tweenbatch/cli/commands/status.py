"""``tweenbatch status``: counts, money, and what needs a person."""

import json
import time
from contextlib import suppress

import click

from tweenbatch.api.table_status import table_status
from tweenbatch.cli.options import table_options, table_url
from tweenbatch.printable import printable_line
from tweenbatch.report import missing as missed
from tweenbatch.report import status as standing
from tweenbatch.store import Store

LOOK_SECONDS = 1.0
LOOK_SHARE = 20.0
LATEST_RUNS = 20


@click.command(short_help="Show counts and money.")
@click.option("--watch", is_flag=True, help="Follow the runs that are going, to their end.")
@table_options
def command(db: str, rehearse: bool, as_json: bool, watch: bool) -> None:
    """Show how the jobs stand, where the money is, and what needs a person."""
    url = table_url(db, rehearse=rehearse)
    store = Store.open(url, create=False)
    try:
        if watch:
            with suppress(KeyboardInterrupt):
                _watch(store, as_json=as_json)
        found = table_status(store)
    finally:
        store.close()
    if as_json:
        shape = standing.shape(found.counts, found.money, found.attention)
        not_here = {"missing": missed.shape(found.missing)} if found.missing.count else {}
        click.echo(json.dumps({**shape, **not_here}))
        return
    for line in standing.lines(found.counts, found.money, found.attention):
        click.echo(line)
    for line in missed.lines(found.missing, "`tweenbatch fetch` brings them back"):
        click.echo(printable_line(line))
    if found.paused_since is not None:
        click.echo(standing.paused(found.paused_since))


def _watch(store: Store, *, as_json: bool) -> None:
    """Show the bar of the runs that are going until none is."""
    from tweenbatch.cli.commands.runs import lives
    from tweenbatch.cli.progress import Progress

    said = ""
    with Progress(total=sum(store.views.counts().values())) as progress:
        while any(lives(run) for run in store.runs.latest(limit=LATEST_RUNS)):
            began = time.monotonic()
            counts, money = store.views.counts(), store.views.money()
            progress.seen(counts, money.spent + money.reserved + money.uncertain)
            shape = (
                json.dumps(standing.shape(counts, money, store.views.attention()))
                if as_json
                else ""
            )
            if shape != said:
                click.echo(shape)
                said = shape
            # A large table is looked at less often: what runs on it comes first.
            took = time.monotonic() - began
            time.sleep(max(LOOK_SECONDS, LOOK_SHARE * took))
