"""``tweenbatch status``: counts, money, and what needs a person."""

import json

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.report import shapes, text
from tweenbatch.store import Store


@click.command(short_help="Show counts and money.")
@table_options
def command(db: str, rehearse: bool, as_json: bool) -> None:
    """Show how the jobs stand, where the money is, and what needs a person."""
    url = table_url(db, rehearse=rehearse)
    store = Store.open(url, create=False)
    try:
        counts, money, attention = store.counts(), store.money(), store.attention()
        paused_since = store.paused_since()
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(shapes.status(counts, money, attention)))
        return
    for line in text.status_lines(counts, money, attention):
        click.echo(line)
    if paused_since is not None:
        click.echo(text.paused(paused_since))
