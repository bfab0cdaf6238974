"""``tweenbatch plan``: what a run would do and cost; writes nothing."""

import json
from pathlib import Path
from typing import Any

import click

from tweenbatch import places
from tweenbatch import plan as planning
from tweenbatch.cli import streams
from tweenbatch.cli.manifests import Asked, manifest_options
from tweenbatch.cli.options import table_options, table_url
from tweenbatch.report import shapes, text
from tweenbatch.store import Store


@click.command(short_help="Check and price manifests.")
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@manifest_options
@table_options
def command(*, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Check MANIFESTS, hold them against the table and price the difference."""
    asked = Asked.taken_from(options)
    read = asked.read()
    url = table_url(db, rehearse=rehearse)
    file = places.sqlite_path(url)
    store = Store.open(url, create=False) if file is None or file.exists() else None
    try:
        made = planning.make(read, store)
    finally:
        if store is not None:
            store.close()
    if as_json:
        click.echo(json.dumps(shapes.plan(made)))
        return
    names = ", ".join(str(path) for path in asked.paths)
    click.echo(streams.visible_line(f"{names}: {text.clips(len(made.rows))}"))
    for line in (*text.mapped_lines(read), *text.plan_lines(made)):
        click.echo(streams.visible_line(line))
    click.echo(
        f"A run would submit {text.clips(made.clips_to_pay)} for {text.usd(made.usd_to_pay)}."
    )
