"""``tweenbatch verify``: check that clips are on disk, whole and unchanged."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import pop_selection, select, selection_options
from tweenbatch.planning.missing import MissingClip, changed
from tweenbatch.printable import printable_line
from tweenbatch.records import KeptClip, Selection
from tweenbatch.report import missing as missing_report
from tweenbatch.report import text
from tweenbatch.states import State
from tweenbatch.store import Store

SOME_WRONG = 1
MOST_NUMBERS = 20


@click.command(short_help="Check clips on disk.")
@selection_options
@table_options
def command(*, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Decode the clips of succeeded JOBS and compare them with the job table.

    Without JOBS or options: all clips. Changes nothing. Exit code 1: some are not as recorded.
    """
    selection = pop_selection(options, {State.SUCCEEDED})
    count, wrong = 0, list[MissingClip]()
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        for count, found in enumerate(changed(_clips(store, selection)), start=1):  # noqa: B007 - the count is printed
            if found is None:
                continue
            wrong.append(found)
            if not as_json:
                line = f"  job {found.job_id}  {found.path} {found.why}"
                click.echo(printable_line(line))
    if as_json:
        click.echo(json.dumps({"looked_at": count, "wrong": missing_report.listed(wrong)}))
    else:
        click.echo(f"{text.clips(count)} checked, {len(wrong)} not as recorded")
        if wrong:
            numbers = " ".join(str(each.job_id) for each in wrong[:MOST_NUMBERS])
            click.echo(f"  next     tweenbatch fetch {numbers}  (downloads them again, at no cost)")
    sys.exit(SOME_WRONG if wrong else 0)


def _clips(store: Store, selection: Selection) -> Iterator[KeptClip]:
    if not selection.is_narrowed:
        return store.views.kept_clips()
    return store.views.kept_clips([each.job_id for each in select(store, selection)])
