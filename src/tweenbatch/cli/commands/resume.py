"""``tweenbatch resume``: submissions go again after ``tweenbatch pause``."""

import json
from contextlib import closing
from datetime import UTC, datetime

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.store import Store


@click.command(short_help="Let submissions go again.")
@table_options
def command(*, db: str, rehearse: bool, as_json: bool) -> None:
    """Lift a pause. A run that waits goes on within seconds; without one, start it."""
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        lifted = store.runs.lift_pause(now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"lifted": lifted}))
    elif lifted:
        click.echo("resumed: a run that waits goes on; if there is none, `tweenbatch run`")
    else:
        click.echo("there was no pause; `tweenbatch run` goes on with unfinished work")
