"""``tweenbatch verify``: do the clips lie where the table says, whole and unchanged."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import click

from tweenbatch.cli.options import table_options, table_url
from tweenbatch.cli.selection import chosen, selection_options, taken_from
from tweenbatch.planning.missing import MissingClip, changed
from tweenbatch.printable import printable_line
from tweenbatch.records import KeptClip, Selection
from tweenbatch.report import missing as missed
from tweenbatch.report import text
from tweenbatch.states import State
from tweenbatch.store import Store

SOME_WRONG = 1
MOST_NUMBERS = 20


@click.command(short_help="Check clips on disk.")
@selection_options
@table_options
def command(*, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Compare the clips of JOBS that succeeded with what was recorded, and decode them.

    All clips without a number. Changes nothing. Exit code 1: some are not as recorded.
    """
    selection = taken_from(options, {State.SUCCEEDED})
    count, wrong = 0, list[MissingClip]()
    with closing(Store.open(table_url(db, rehearse=rehearse), create=False)) as store:
        for count, found in enumerate(changed(_clips(store, selection)), start=1):  # noqa: B007 - the count is said
            if found is None:
                continue
            wrong.append(found)
            if not as_json:
                line = f"  job {found.job_id}  {found.path} {found.why}"
                click.echo(printable_line(line))
    if as_json:
        click.echo(json.dumps({"looked_at": count, "wrong": missed.listed(wrong)}))
    else:
        click.echo(f"{text.clips(count)} checked, {len(wrong)} not as recorded")
        if wrong:
            numbers = " ".join(str(each.job_id) for each in wrong[:MOST_NUMBERS])
            click.echo(f"  next     tweenbatch fetch {numbers}  (brings them back, for nothing)")
    sys.exit(SOME_WRONG if wrong else 0)


def _clips(store: Store, selection: Selection) -> Iterator[KeptClip]:
    if not selection.is_narrowed:
        return store.views.kept_clips()
    return store.views.kept_clips([each.job_id for each in chosen(store, selection)])
