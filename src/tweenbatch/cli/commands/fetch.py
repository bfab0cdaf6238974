"""``tweenbatch fetch``: download paid clips that are missing here, at no cost."""

import asyncio
import json
import os
import sys
from collections.abc import Collection
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from tweenbatch import paths
from tweenbatch.api.connection import connection
from tweenbatch.cli.options import output_option, table_options, table_url
from tweenbatch.cli.progress import Progress
from tweenbatch.cli.selection import pop_selection, select, selection_options
from tweenbatch.clock import SystemClock
from tweenbatch.exit_codes import ExitCode
from tweenbatch.files.output import check_output
from tweenbatch.planning import missing
from tweenbatch.printable import printable_line
from tweenbatch.records import Billed, Job, Selection
from tweenbatch.records.result import RunResult
from tweenbatch.report import status, text
from tweenbatch.runner import session
from tweenbatch.runner.inputs import Ownership
from tweenbatch.settings import RunSettings
from tweenbatch.states import State
from tweenbatch.store import RunnerLock, Store

PAID = frozenset({State.READY, State.SUCCEEDED, State.FAILED})


@click.command(short_help="Download missing paid clips.")
@selection_options
@output_option
@table_options
def command(*, output: Path, db: str, rehearse: bool, as_json: bool, **options: Any) -> None:
    """Download paid clips that are missing here: deleted, truncated, lost or not yet downloaded.

    Submits nothing and costs nothing. A clip is written to its old path, or to --output if that
    folder is gone; a different file under its name is kept. With JOBS, the content of the existing
    clips is checked too.
    """
    selection = pop_selection(options, PAID)
    settings = RunSettings(
        db=table_url(db, rehearse=rehearse),
        output=(paths.rehearsal_output(output) if rehearse else output).absolute(),
        connect_to=None if rehearse else os.environ.get("TWEENBATCH_CONNECT_TO"),
        rehearse=rehearse,
        asked="fetch",
        fetch_only=True,
    )
    say = partial(click.echo, err=as_json)
    with (
        RunnerLock(settings.db) as lock,
        closing(Store.open(settings.db, create=False)) as store,
    ):
        to_fetch = _missing_jobs(store, selection, settings.output)
        missed = store.jobs.miss(to_fetch, now=datetime.now(UTC))
        left = store.jobs.get(set(to_fetch) - missed)
        unknown = [job for job in left if job.state is State.FAILED]
        for job in unknown:
            say(printable_line(_without_address(job)))
        ready = store.views.counts()[State.READY]
        code, still = ExitCode.FAILED if unknown else ExitCode.SUCCEEDED, list[int]()
        if ready:
            check_output(settings.output)
            say(f"{text.clips(ready)} to download, at no cost.")
            result = _run(settings, store, lock, total=ready)
            still = _not_here(store, missed)
            code = _exit_code(result, still=[*still, *unknown])
            for line in _lines(result, store, still=still):
                say(printable_line(line))
        elif not unknown:
            say("Nothing to download: every paid clip is where the job table says.")
    if as_json:
        fetched = sorted(missed - set(still))
        click.echo(json.dumps({"fetched": fetched, "not_fetched": still, "exit_code": int(code)}))
    sys.exit(code)


def _missing_jobs(store: Store, selection: Selection, output: Path) -> list[int]:
    """Return the jobs whose clips are missing here, or were given up as lost."""
    if not selection.is_narrowed:
        lost = [each.job_id for each in store.views.attention() if status.is_lost(each)]
        return [*missing.find(store.views.kept_clips(), output=output, most=None).job_ids, *lost]
    named = {each.job_id: each.state for each in select(store, selection)}
    done = [job_id for job_id, state in named.items() if state is State.SUCCEEDED]
    wrong = [
        each.job_id for each in missing.changed(store.views.kept_clips(done)) if each is not None
    ]
    return [*wrong, *(job_id for job_id, state in named.items() if state is State.FAILED)]


def _without_address(job: Job) -> str:
    """Return a line: why a failed job has no clip to download, and the next step."""
    name = f"  job {job.id}  {job.output_name}"
    if job.billed is not Billed.YES or job.request is None:
        return f"{name}: it has no paid clip"
    adopt = f"tweenbatch resolve {job.id} --adopt {job.request.request_id}"
    return f"{name}: the address of its clip is unknown; {adopt} reads its result again, at no cost"


def _run(settings: RunSettings, store: Store, lock: RunnerLock, *, total: int) -> RunResult:
    with ExitStack() as stack:
        connect = connection(settings, stack)
        progress = stack.enter_context(Progress(total=total, running=total, free=True))
        fetching = session.run(
            settings,
            store=store,
            fal=connect,
            watcher=progress,
            on_stop=lambda: progress.notice("stopping: the next fetch or run continues from here"),
            clock=SystemClock(),
            ownership=Ownership(lock=lock),
        )
        return asyncio.run(fetching)


def _not_here(store: Store, missed: Collection[int]) -> list[int]:
    """Return those of these jobs whose clips are still missing."""
    left = [job.id for job in store.jobs.get(missed) if job.state is not State.SUCCEEDED]
    return sorted({*left, *missing.find(store.views.kept_clips(missed), most=None).job_ids})


def _exit_code(result: RunResult, *, still: Collection[object]) -> ExitCode:
    if result.ended.interrupted:
        return ExitCode.INTERRUPTED
    if result.counts[State.READY]:
        return ExitCode.LIMIT if result.ended.trouble is None else ExitCode.TROUBLE
    return ExitCode.FAILED if still else ExitCode.SUCCEEDED


def _lines(result: RunResult, store: Store, *, still: Collection[int]) -> list[str]:
    lines = []
    if result.ended.trouble is not None:
        lines.append(f"  stopped: {result.ended.trouble}")
    for job in store.jobs.get(still):
        why = "not downloaded yet" if job.state is State.READY else "fal does not have it now"
        lines.append(f"  job {job.id}  {job.output_name}: {why}")
    if result.counts[State.READY]:
        return [*lines, "  next     tweenbatch fetch  (tries again, at no cost)"]
    if still:
        return [*lines, "  next     tweenbatch show JOB  (shows everything about a job)"]
    return [*lines, "Every paid clip is here."]
