"""``tweenbatch status``: show job counts, money and the jobs that need a person."""

import json
import time
from contextlib import suppress

import click

from tweenbatch.api.table_status import table_status
from tweenbatch.cli.options import note_rehearsal, rehearsal_mark, table_options, table_url
from tweenbatch.printable import printable_line
from tweenbatch.report import missing, status
from tweenbatch.store import Store

READ_SECONDS = 1.0
READ_SHARE = 20.0
LATEST_RUNS = 20


@click.command(short_help="Show counts and money.")
@click.option("--watch", is_flag=True, help="Follow the runs in progress until they end.")
@table_options
def command(db: str, rehearse: bool, as_json: bool, watch: bool) -> None:
    """Show how many jobs are in each state, the money, and the jobs that need a person."""
    url = table_url(db, rehearse=rehearse)
    store = Store.open(url, create=False)
    try:
        if watch:
            with suppress(KeyboardInterrupt):
                _watch(store, as_json=as_json, rehearse=rehearse)
        current = table_status(store)
    finally:
        store.close()
    if as_json:
        shape = status.shape(current.counts, current.money, current.attention)
        not_here = {"missing": missing.shape(current.missing)} if current.missing.count else {}
        click.echo(json.dumps({**shape, **not_here, **rehearsal_mark(rehearse=rehearse)}))
        return
    note_rehearsal(rehearse=rehearse)
    for line in status.lines(current.counts, current.money, current.attention):
        click.echo(line)
    for line in missing.lines(current.missing, "`tweenbatch fetch` downloads them again"):
        click.echo(printable_line(line))
    if current.paused_since is not None:
        click.echo(status.paused(current.paused_since))


def _watch(store: Store, *, as_json: bool, rehearse: bool) -> None:
    """Show a progress bar until no run is in progress."""
    from tweenbatch.cli.commands.runs import lives
    from tweenbatch.cli.progress import Progress

    shown = ""
    with Progress(total=sum(store.views.counts().values()), free=rehearse) as progress:
        while any(lives(run) for run in store.runs.latest(limit=LATEST_RUNS)):
            began = time.monotonic()
            counts, money = store.views.counts(), store.views.money()
            progress.seen(counts, money.spent + money.reserved + money.uncertain)
            shape = ""
            if as_json:
                counted = status.shape(counts, money, store.views.attention())
                shape = json.dumps({**counted, **rehearsal_mark(rehearse=rehearse)})
            if shape != shown:
                click.echo(shape)
                shown = shape
            # A large table is read less often, so that it does not slow down its run.
            took = time.monotonic() - began
            time.sleep(max(READ_SECONDS, READ_SHARE * took))
