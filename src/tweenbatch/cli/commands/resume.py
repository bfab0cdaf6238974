"""``tweenbatch resume``: lift a pause."""

import json
from contextlib import closing
from datetime import UTC, datetime

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.store import Store


@click.command(short_help="Allow new submissions again.")
@table_options
def command(*, db: str, rehearse: bool, as_json: bool) -> None:
    """Lift a pause. A waiting run continues within seconds; if none is waiting, start one."""
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        lifted = store.runs.lift_pause(now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps({"lifted": lifted}))
    elif lifted:
        click.echo("resumed: a waiting run continues; if none is waiting, `tweenbatch run`")
    else:
        click.echo("there was no pause; `tweenbatch run` continues unfinished work")
