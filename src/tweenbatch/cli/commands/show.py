"""``tweenbatch show``: the whole story of one job."""

import json
from contextlib import closing

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.errors import UsageError
from tweenbatch.printable import printable_line
from tweenbatch.report import job as story
from tweenbatch.store import Store


@click.command(short_help="Tell all that is known of a job.")
@click.argument("job")
@table_options
def command(*, job: str, db: str, rehearse: bool, as_json: bool) -> None:
    """Tell all that is known of JOB: a job's number, or the name of its clip."""
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        told = (store.views.history(int(job)) if job.isdecimal() else None) or store.views.history(
            job
        )
    if told is None:
        raise UsageError(
            f"there is no job {job}, and no clip of that name; `tweenbatch export` lists all rows"
        )
    if as_json:
        click.echo(json.dumps(story.shape(told)))
        return
    for line in story.lines(told):
        click.echo(printable_line(line))
