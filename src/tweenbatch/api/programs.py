"""Functions for Python programs: ``tweenbatch.plan``, ``run``, ``status`` and ``results``.

They work like the commands of the same names, take the same options, and raise the errors of
``tweenbatch.errors`` instead of printing them.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from pydantic import ValidationError

from tweenbatch.api.execution import Finished, execute
from tweenbatch.api.preparation import Checked, check, prepare
from tweenbatch.api.preview import Preview, preview
from tweenbatch.api.requests import ReadOptions, RunRequest, manifest_request
from tweenbatch.api.table_status import TableStatus, table_status
from tweenbatch.errors import UsageError
from tweenbatch.paths import (
    DEFAULT_DB,
    DEFAULT_OUTPUT,
    known_table,
    rehearsal_db,
    rehearsal_only,
    rehearsal_output,
)
from tweenbatch.records import ExportRow, Job
from tweenbatch.report import text
from tweenbatch.report.results import own_columns
from tweenbatch.settings import RunSettings, expectation
from tweenbatch.states import State
from tweenbatch.store import Store

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Manifests = str | PathLike[str] | Sequence[str | PathLike[str]]
"""One manifest or several: files, or patterns such as ``"shots/*.csv"``."""


class RunOptions(ReadOptions, total=False):
    """The limits of a run; see ``tweenbatch run --help``. Amounts are in US dollars."""

    concurrency: int | None
    max_in_flight: int
    max_cost: Decimal | int | str | None
    max_cost_per_day: Decimal | int | str | None
    max_cost_per_month: Decimal | int | str | None
    limit: int | None
    canary: int | None
    max_duration: timedelta | None
    not_before: datetime | None
    stop_at: datetime | None
    grace: timedelta
    settle: timedelta
    absent_after: timedelta | None
    same_failures: int
    keep_going: bool
    yes: bool
    accept_price: bool
    trust_table: bool
    new_table: bool
    pay_again: bool


def plan(
    manifests: Manifests = (),
    *,
    db: str = DEFAULT_DB,
    output: str | PathLike[str] = DEFAULT_OUTPUT,
    concurrency: int | None = None,
    **options: Unpack[ReadOptions],
) -> Preview:
    """Check manifests and return the work and cost of a run; write and spend nothing.

    Raises ``ManifestError`` with every problem of every manifest.
    """
    request = manifest_request(_paths(manifests), options, moves=False)
    if request.is_empty:
        raise UsageError("no manifest is named; expected at least one, or an inbox")
    return preview(
        request, db=known_table(db), output=Path(output), concurrency=concurrency, warn=log.warning
    )


def run(
    manifests: Manifests = (),
    *,
    db: str = DEFAULT_DB,
    output: str | PathLike[str] | None = None,
    rehearse: bool = False,
    agree: Callable[[Checked], bool] | None = None,
    **options: Unpack[RunOptions],
) -> Finished:
    """Import manifests and run until nothing is left to do; without any, resume unfinished work.

    This spends money, so you must agree: pass ``yes=True``, or ``agree``, a function that gets the
    work and its price and returns whether to continue. Raises ``UsageError`` otherwise.
    ``rehearse=True`` makes the clips on this machine, free of charge. ``output`` is the folder for
    clips, by default that of the last run, or ``videos``. Inside a running event loop, call it in
    a thread.
    """
    _refuse_running_loop()
    asked = manifest_request(_paths(manifests), options, moves=not rehearse)
    given = {*options, *(["output"] if output is not None else [])}
    folder = Path(DEFAULT_OUTPUT if output is None else output)
    if rehearse:
        db, folder = rehearsal_db(known_table(db)), rehearsal_only(rehearsal_output(folder))
    values = {name: value for name, value in options.items() if name in RunSettings.model_fields}
    try:
        settings = RunSettings(
            db=known_table(db),
            output=folder.absolute(),
            rehearse=rehearse,
            connect_to=None if rehearse else os.environ.get("TWEENBATCH_CONNECT_TO"),
            old_failures=asked.old_failures,
            **cast("dict[str, Any]", values),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][0]} is {first['input']}: {expectation(first)}") from error
    request = RunRequest(manifests=asked, settings=settings, given=frozenset(given))
    with prepare(request, say=log.info, warn=log.warning) as prepared:
        checked = check(prepared)
        free = settings.yes or rehearse or not checked.batch.to_pay
        if not (free or (agree is not None and agree(checked))):
            raise UsageError(
                f"{text.clips(checked.batch.to_pay)} would cost "
                f"{text.usd(checked.batch.usd_to_pay)}; to agree, pass yes=True, or agree=f with "
                "a function f that returns True. Nothing was submitted"
            )
        return execute(
            prepared,
            checked,
            watcher=_LogWatcher(),
            say=log.info,
            agree_to_rest=lambda _: agree is not None or settings.yes or rehearse,
        )


def status(db: str = DEFAULT_DB) -> TableStatus:
    """Return the job counts and money of a table, and the jobs that need a person.

    Raises ``TableMissing`` if the job table does not exist.
    """
    with closing(Store.open(known_table(db), create=False)) as store:
        return table_status(store)


def results(db: str = DEFAULT_DB) -> "pd.DataFrame":
    """Return one line for each manifest row, with the columns of ``tweenbatch export``.

    The other columns of the manifests follow. ``cost_usd`` is in US dollars, a missing number is
    ``<NA>``, and ``finished_at`` is in UTC. Raises ``TableMissing`` if the job table does not
    exist.
    """
    import pandas as pd

    with closing(Store.open(known_table(db), create=False)) as store:
        own = own_columns(store.views.extra_columns())
        rows = [(*row[:-1], *(row.extra.get(name) for name in own)) for row in store.views.export()]
    columns = [*ExportRow._fields[:-1], *own]
    frame = pd.DataFrame.from_records(rows, columns=columns)
    whole = dict.fromkeys(("row", "take", "bytes", "width", "height", "attempts"), "Int64")
    frame = frame.astype({**whole, "seconds": "Float64", "cost_usd": "float64"})
    frame["finished_at"] = pd.to_datetime(frame["finished_at"], utc=True)
    frame["state"] = pd.Categorical(frame["state"].map(str), categories=[str(s) for s in State])
    return frame


class _LogWatcher:
    """Logs the events of a run."""

    def moved(self, job: Job, before: State) -> None:
        log.info("%s: %s, was %s", job.output_name, job.state, before)

    def model_log(self, job: Job, line: str) -> None:
        log.debug("%s: %s", job.output_name, line)

    def notice(self, message: str) -> None:
        log.warning("%s", message)


def _paths(manifests: Manifests) -> list[Path]:
    if isinstance(manifests, str | PathLike):
        return [Path(manifests)]
    return [Path(each) for each in manifests]


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "tweenbatch.run can't be called inside a running event loop; call it in a thread, e.g. "
        "await asyncio.to_thread(tweenbatch.run, …)"
    )
