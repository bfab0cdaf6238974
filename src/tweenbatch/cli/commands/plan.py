"""``tweenbatch plan``: what a run would do and cost; writes nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tweenbatch import paths as places
from tweenbatch.api.preview import preview
from tweenbatch.cli import tables
from tweenbatch.cli.manifests import (
    ManifestCommand,
    manifest_options,
    manifest_request,
    manifests_argument,
)
from tweenbatch.cli.options import concurrency_option, output_option, table_options, table_url
from tweenbatch.cli.progress import LookingAtFrames
from tweenbatch.errors import ManifestError
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.printable import printable_line, printable_lines
from tweenbatch.report import missing as missed
from tweenbatch.report import other_tables as messages
from tweenbatch.report import plan as planned
from tweenbatch.report import text
from tweenbatch.settings import ASSUMED_CONCURRENCY


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
    asked = manifest_request({**options, "strict": strict}, moves=False)
    output = places.rehearsal_output(output) if rehearse else output
    url = table_url(db, rehearse=rehearse)
    try:
        with LookingAtFrames() as looking:
            found = preview(
                asked,
                db=url,
                output=output,
                concurrency=concurrency,
                rehearse=rehearse,
                warn=lambda line: click.echo(printable_lines(line), err=True),
                frames_watcher=looking,
            )
    except ManifestError as error:
        if as_json:
            click.echo(json.dumps(planned.problems(error)))
        raise
    made, others = found.plan, found.other_tables
    if as_json:
        click.echo(
            json.dumps(
                {
                    **planned.shape(made),
                    "mapped": planned.mapped(found.manifests),
                    "fitted": planned.fitted(found.manifests),
                    "disk": planned.room(found.room),
                    "missing": missed.shape(found.missing),
                    "other_tables": [messages.shape(each) for each in others],
                }
            )
        )
        return
    click.echo(printable_line(planned.title(made)))
    warned = planned.warning_lines(made.warnings)
    if found.shortage:
        warned.append(f"  warning: {found.shortage}")
    if not rehearse:
        warned += _of_other_tables(others, url)
    for line in (
        *planned.column_lines(found.manifests),
        *planned.fitted_lines(found.manifests),
        *planned.lines(made),
        *missed.lines(found.missing, "a run brings them back"),
        *warned,
    ):
        click.echo(printable_line(line))
    click.echo(
        f"A run would submit {text.clips(made.clips_to_pay)} for {text.usd(made.usd_to_pay)}."
    )


def _of_other_tables(others: Sequence[OtherTable], url: str) -> list[str]:
    """Say what a run with this table would refuse."""
    said = [messages.warning(others, url)] if others else []
    if slip := tables.slip(url):
        said.append(slip)
    return [f"  warning: {text}" for text in said]
