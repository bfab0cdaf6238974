"""One run, from the opened table to its result. It does not know manifests or terminals."""

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import datetime
from decimal import Decimal
from functools import partial

from tweenbatch import logs
from tweenbatch.clips.checker import Checker
from tweenbatch.clock import Clock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.exit_codes import ExitCode
from tweenbatch.fal import Fal
from tweenbatch.records.result import RunEnd, RunResult
from tweenbatch.recovery import stale_table
from tweenbatch.recovery.stale_table import StaleTable
from tweenbatch.recovery.witness import Witness
from tweenbatch.runner.composition import runner_of
from tweenbatch.runner.inputs import Consent, Ownership, Parts, Scope
from tweenbatch.runner.limits import Limits
from tweenbatch.runner.runner import table_failed
from tweenbatch.runner.takeover import look_back, settle_dead_runs
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.settings import RunSettings
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import Store
from tweenbatch.version import __version__

log = logging.getLogger(__name__)


async def run(
    settings: RunSettings,
    *,
    store: Store,
    fal: Callable[[], Fal] | None,
    clock: Clock,
    watcher: RunWatcher,
    on_stop: Callable[[], None] = lambda: None,
    scope: Scope | None = None,
    consent: Consent | None = None,
    ownership: Ownership | None = None,
    parts: Parts | None = None,
) -> RunResult:
    """Work on an opened table and return how the run ended.

    ``fal`` connects, inside the event loop; None: there is nothing to do at fal. ``on_stop`` is
    called at the first interrupt; the second one ends the process at once, which loses nothing.
    """
    scope, consent = scope or Scope(), consent or Consent()
    ownership, parts = ownership or Ownership(), parts or Parts()
    started = clock.now()
    last_used = store.runs.high_water_mark()
    run_id, doubt = _begin(settings, store, ownership, now=started)
    spent_before = store.views.money().spent
    own_witness = Witness(settle_dead_runs(settings, store, watcher, run_id, now=started))
    limits = _limits(settings, store, scope, consent, now=started)
    # If this run crashes from here on, the next one finds and closes it.
    ended = RunEnd()
    if fal is not None:
        checker = nullcontext(parts.checker) if parts.checker else Checker()
        async with fal() as connected:
            with own_witness, checker as checks:
                runner = runner_of(
                    settings,
                    store=store,
                    run_id=run_id,
                    fal=connected,
                    clock=clock,
                    watcher=watcher,
                    limits=limits,
                    manifests=scope.manifests,
                    own_witness=own_witness,
                    agreement=consent.prices,
                    checker=checks,
                    parts=parts,
                )
                recover = partial(
                    look_back,
                    settings,
                    runner.state,
                    doubt=doubt,
                    known_until=last_used.at if last_used else None,
                    settled=partial(stale_table.clear_mark, store, ownership.lock, ownership.marks),
                )
                with _signals(runner.stop, on_stop):
                    await recover(scope.endpoints)
                    ended = await runner.run(recover)
    return _end(settings, store, scope, run_id, ended, spent_before=spent_before, clock=clock)


def _begin(
    settings: RunSettings, store: Store, ownership: Ownership, *, now: datetime
) -> tuple[int, StaleTable | None]:
    """Record the start of a run; return its number, and why the table may be out of date."""
    doubt, lock, marks = None, ownership.lock, ownership.marks
    with marks.alone(store) if marks else nullcontext():
        if lock is not None and not settings.rehearse:
            doubt = stale_table.detect_and_mark(store, lock, now=now, marks=marks)
        run_id = store.runs.begin(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            now=now,
            max_cost_usd=settings.max_cost,
            night=settings.night,
            asked=settings.asked,
        )
        logs.of_run(run_id)
        log.info("run %d begins: %s", run_id, settings.asked or "all unfinished work")
        if lock is not None and doubt is None:
            stale_table.remember(store, lock, marks)
    return run_id, doubt


def _limits(
    settings: RunSettings, store: Store, scope: Scope, consent: Consent, *, now: datetime
) -> Limits:
    """Return the limits of a run that starts now."""
    return Limits(
        submissions=settings.limit,
        opens=settings.not_before,
        until=settings.submits_until(now),
        grace=settings.grace,
        canaries=store.jobs.canaries(scope.manifests, settings.canary) if settings.canary else (),
        agree=consent.rest,
        settle=settings.settle,
        submits=not settings.fetch_only,
        collects={State.READY} if settings.fetch_only else IDENTIFIED,
    )


def _end(
    settings: RunSettings,
    store: Store,
    scope: Scope,
    run_id: int,
    ended: RunEnd,
    *,
    spent_before: Decimal,
    clock: Clock,
) -> RunResult:
    """Record the end of a run and return its result."""
    try:
        result = RunResult(
            ended=ended,
            rejected=settings.rejected,
            counts=store.views.counts(scope.manifests),
            missing=scope.count_missing(),
            spent_usd=store.views.money().spent - spent_before,
        )
        store.runs.end(run_id, now=clock.now(), exit_code=result.exit_code, note=result.note)
    except (TableUnusable, TableBusy) as error:
        raise table_failed(error) from error
    note = f" ({result.note})" if result.note else ""
    log.info("run %d ends with %d%s, $%s spent", run_id, result.exit_code, note, result.spent_usd)
    return result


def _signals(stop: Callable[[], None], on_stop: Callable[[], None]) -> ExitStack:
    """Let the first SIGINT or SIGTERM end the run, and the second one the process.

    Python delivers signals to the main thread only: a run in another thread handles none.
    """
    if threading.current_thread() is not threading.main_thread():
        return ExitStack()
    loop = asyncio.get_running_loop()
    stopped = False

    def handle() -> None:
        nonlocal stopped
        if stopped:
            sys.stderr.write("\nstopping now; the next run continues from here\n")
            sys.stderr.flush()
            os._exit(ExitCode.INTERRUPTED)
        stopped = True
        on_stop()
        stop()

    stack = ExitStack()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle)
        stack.callback(loop.remove_signal_handler, number)
    return stack
