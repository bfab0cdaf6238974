"""``tweenbatch plan``: what a run would do and cost; writes nothing."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tweenbatch import paths as places
from tweenbatch.cli import streams, tables
from tweenbatch.cli.manifests import Asked, ManifestCommand, manifest_options, manifests_argument
from tweenbatch.cli.options import concurrency_option, output_option, table_options, table_url
from tweenbatch.errors import ManifestError, OutputUnusable
from tweenbatch.files import space as disk
from tweenbatch.planning import estimate as pace
from tweenbatch.planning import missing
from tweenbatch.planning import planner as planning
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.report import missing as missed
from tweenbatch.report import other_tables as messages
from tweenbatch.report import plan as planned
from tweenbatch.report import text
from tweenbatch.settings import ASSUMED_CONCURRENCY
from tweenbatch.store import Store


@click.command(cls=ManifestCommand, short_help="Check and price manifests.")
@manifests_argument(required=True)
@concurrency_option(
    "Clips at fal at one time: for how long it takes. "
    f"auto, whose limit a run finds, is taken for {ASSUMED_CONCURRENCY} here."
)
@output_option
@manifest_options
@table_options
def command(
    *,
    db: str,
    rehearse: bool,
    as_json: bool,
    concurrency: int | None,
    output: Path,
    strict: bool,
    **options: Any,
) -> None:
    """Check MANIFESTS, hold them against the table and price the difference."""
    asked = Asked.taken_from({**options, "strict": strict}, moves=False)
    output = places.rehearsal_output(output) if rehearse else output
    url = table_url(db, rehearse=rehearse)
    try:
        asked = asked.with_what_arrived()
        read, _ = asked.read(output, url, writes=False)
    except ManifestError as error:
        if as_json:
            click.echo(json.dumps(planned.problems(error)))
        raise
    store = Store.find(url)
    try:
        # How long fal takes is nothing that a rehearsal could tell.
        at_once = concurrency or ASSUMED_CONCURRENCY
        made = planning.make(
            read,
            store,
            concurrency=None if rehearse else at_once,
            old_failures=asked.old_failures,
        )
        if concurrency is None:
            made = replace(made, estimate=pace.assumed(made.estimate))
    finally:
        if store is not None:
            store.close()
    gone = missing.look(made.kept, output=output.absolute())
    clip_bytes = disk.PREVIEW_BYTES if rehearse else disk.CLIP_BYTES
    room = disk.room(output, made.clips_to_pay, clip_bytes=clip_bytes)
    shortage = room.shortage if room and made.clips_to_pay else None
    if strict and shortage:
        raise OutputUnusable(shortage)
    others = [] if rehearse else tables.others(read, url, output.absolute())
    if as_json:
        click.echo(
            json.dumps(
                {
                    **planned.shape(made),
                    "mapped": planned.mapped(read),
                    "fitted": planned.fitted(read),
                    "disk": planned.room(room),
                    "missing": missed.shape(gone),
                    "other_tables": [messages.shape(each) for each in others],
                }
            )
        )
        return
    click.echo(streams.visible_line(planned.title(made)))
    warned = planned.warning_lines(made.warnings)
    if shortage:
        warned.append(f"  warning: {shortage}")
    if not rehearse:
        warned += _of_other_tables(others, url)
    for line in (
        *planned.column_lines(read),
        *planned.fitted_lines(read),
        *planned.lines(made),
        *missed.lines(gone, "a run brings them back"),
        *warned,
    ):
        click.echo(streams.visible_line(line))
    click.echo(
        f"A run would submit {text.clips(made.clips_to_pay)} for {text.usd(made.usd_to_pay)}."
    )


def _of_other_tables(others: Sequence[OtherTable], url: str) -> list[str]:
    """Say what a run with this table would refuse."""
    said = [messages.warning(others, url)] if others else []
    if slip := tables.slip(url):
        said.append(slip)
    return [f"  warning: {text}" for text in said]
