"""``tweenbatch pause``: nothing new is paid for, also by a run that is going."""

import json
from contextlib import closing
from datetime import UTC, datetime

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.report import status as standing
from tweenbatch.store import Store


@click.command(short_help="Let nothing new be submitted.")
@table_options
def command(*, db: str, rehearse: bool, as_json: bool) -> None:
    """Let nothing new be submitted until `tweenbatch resume`.

    The table remembers it. A run that is going obeys within seconds and waits; one that is started
    meanwhile collects what is at fal, and ends.
    """
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        since = store.runs.pause(now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"paused_since": since.isoformat()}))
        return
    click.echo(standing.paused(since).strip())
