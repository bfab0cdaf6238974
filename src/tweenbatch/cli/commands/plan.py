"""``tweenbatch plan``: show the work and the cost of a run; writes nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tweenbatch import paths
from tweenbatch.api.preview import preview
from tweenbatch.cli import tables
from tweenbatch.cli.manifests import (
    ManifestCommand,
    manifest_options,
    manifests_argument,
    requested,
)
from tweenbatch.cli.options import (
    concurrency_option,
    note_rehearsal,
    output_option,
    table_options,
    table_url,
)
from tweenbatch.cli.progress import FrameProgress
from tweenbatch.errors import ManifestError
from tweenbatch.planning.other_tables import OtherTable
from tweenbatch.printable import printable_line, printable_lines
from tweenbatch.report import missing, plan, text
from tweenbatch.report import other_tables as messages
from tweenbatch.settings import ASSUMED_CONCURRENCY


@click.command(cls=ManifestCommand, short_help="Check and price manifests.")
@manifests_argument(required=True)
@concurrency_option(
    "Clips at fal at one time, for the estimate of the duration. auto is measured by a run; "
    f"a plan assumes {ASSUMED_CONCURRENCY}."
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
    """Validate MANIFESTS, compare them with the job table and show the cost."""
    request = requested({**options, "strict": strict}, moves=False)
    output = paths.rehearsal_output(output) if rehearse else output
    url = table_url(db, rehearse=rehearse)
    try:
        with FrameProgress() as looking:
            found = preview(
                request,
                db=url,
                output=output,
                concurrency=concurrency,
                rehearse=rehearse,
                warn=lambda line: click.echo(printable_lines(line), err=True),
                frames_watcher=looking,
            )
    except ManifestError as error:
        if as_json:
            click.echo(json.dumps(plan.problems(error)))
        raise
    made, others = found.plan, found.other_tables
    if as_json:
        click.echo(
            json.dumps(
                {
                    **plan.shape(made),
                    "mapped": plan.mapped(found.manifests),
                    "fitted": plan.fitted(found.manifests),
                    "disk": plan.room(found.room),
                    "missing": missing.shape(found.missing),
                    "other_tables": [messages.shape(each) for each in others],
                }
            )
        )
        return
    click.echo(printable_line(plan.title(made)))
    note_rehearsal(rehearse=rehearse)
    warned = plan.warning_lines(made.warnings)
    if found.shortage:
        warned.append(f"  warning: {found.shortage}")
    if not rehearse:
        warned += _of_other_tables(others, url)
    for line in (
        *plan.column_lines(found.manifests),
        *plan.fitted_lines(found.manifests),
        *plan.lines(made),
        *missing.lines(found.missing, "a run downloads them again"),
        *warned,
    ):
        click.echo(printable_line(line))
    click.echo(
        f"A run would submit {text.clips(made.clips_to_pay)} for {text.usd(made.usd_to_pay)}."
    )


def _of_other_tables(others: Sequence[OtherTable], url: str) -> list[str]:
    """Warn of other tables that would make a run refuse this one."""
    warnings = [messages.warning(others, url)] if others else []
    if slip := tables.slip(url):
        warnings.append(slip)
    return [f"  warning: {text}" for text in warnings]
