"""``tweenbatch pause``: stop new submissions, including in a run in progress."""

import json
from contextlib import closing
from datetime import UTC, datetime

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.report import status
from tweenbatch.store import Store


@click.command(short_help="Pause new submissions.")
@table_options
def command(*, db: str, rehearse: bool, as_json: bool) -> None:
    """Pause new submissions until `tweenbatch resume`.

    The pause is stored in the job table. A run in progress stops submitting within seconds and
    waits. A run started during the pause collects the clips at fal and ends.
    """
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        since = store.runs.pause(now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"paused_since": since.isoformat()}))
        return
    click.echo(status.paused(since).strip())
