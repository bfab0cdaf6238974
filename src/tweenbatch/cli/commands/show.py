"""``tweenbatch show``: show the history of one job."""

import json
from contextlib import closing

import click

from tweenbatch.cli.options import note_rehearsal, rehearsal_mark, table_options, table_url
from tweenbatch.errors import UsageError
from tweenbatch.printable import printable_line
from tweenbatch.report.job import lines, shape
from tweenbatch.store import Store


@click.command(short_help="Show everything about a job.")
@click.argument("job")
@table_options
def command(*, job: str, db: str, rehearse: bool, as_json: bool) -> None:
    """Show everything about JOB: a job number or the name of its clip."""
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        by_number = store.views.history(int(job)) if job.isdecimal() else None
        history = by_number or store.views.history(job)
    if history is None:
        raise UsageError(
            f"there is no job {job} and no clip of that name; `tweenbatch export` lists all rows"
        )
    if as_json:
        click.echo(json.dumps({**shape(history), **rehearsal_mark(rehearse=rehearse)}))
        return
    note_rehearsal(rehearse=rehearse)
    for line in lines(history):
        click.echo(printable_line(line))
