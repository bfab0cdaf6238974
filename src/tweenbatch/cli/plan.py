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
from tweenbatch.settings import DEFAULT_CONCURRENCY, MOST_AT_ONCE
from tweenbatch.store import Store


@click.command(short_help="Check and price manifests.")
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, MOST_AT_ONCE),
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    help="Clips at fal at one time: for how long it takes.",
)
@manifest_options
@table_options
def command(*, db: str, rehearse: bool, as_json: bool, concurrency: int, **options: Any) -> None:
    """Check MANIFESTS, hold them against the table and price the difference."""
    asked = Asked.taken_from(options)
    read = asked.read()
    url = table_url(db, rehearse=rehearse)
    file = places.sqlite_path(url)
    store = Store.open(url, create=False) if file is None or file.exists() else None
    try:
        # How long fal takes is nothing that a rehearsal could tell.
        made = planning.make(read, store, concurrency=None if rehearse else concurrency)
    finally:
        if store is not None:
            store.close()
    if as_json:
        click.echo(json.dumps(shapes.plan(made)))
        return
    names = ", ".join(str(path) for path in asked.paths)
    click.echo(streams.visible_line(f"{names}: {text.clips(len(made.rows))}"))
    warned = text.warning_lines(made.warnings)
    for line in (*text.mapped_lines(read), *text.plan_lines(made), *warned):
        click.echo(streams.visible_line(line))
    click.echo(
        f"A run would submit {text.clips(made.clips_to_pay)} for {text.usd(made.usd_to_pay)}."
    )
