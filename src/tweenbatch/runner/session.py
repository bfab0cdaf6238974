"""One run, from the opened table to its exit code."""

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack, nullcontext
from functools import partial

from tweenbatch import logs
from tweenbatch.clips.checker import Checker
from tweenbatch.clock import Clock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.exit_codes import ExitCode
from tweenbatch.fal import Fal
from tweenbatch.records.result import RunEnd, RunResult
from tweenbatch.recovery import stale_table
from tweenbatch.recovery.table_marks import TableMarks
from tweenbatch.recovery.witness import Witness
from tweenbatch.runner.composition import runner_of
from tweenbatch.runner.limits import Limits
from tweenbatch.runner.price_watch import AS_KNOWN, PriceAgreement
from tweenbatch.runner.runner import table_failed
from tweenbatch.runner.takeover import look_back, settle_dead_runs
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.settings import RunSettings
from tweenbatch.stages.dead_frames import DeadFrames
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import RunnerLock, Store
from tweenbatch.version import __version__

log = logging.getLogger(__name__)


async def run(
    settings: RunSettings,
    *,
    store: Store,
    fal: Callable[[], Fal] | None,
    watcher: RunWatcher,
    manifests: Collection[int] | None,
    on_stop: Callable[[], None],
    clock: Clock,
    agree: Callable[[int], bool] = lambda _: True,
    agreement: PriceAgreement = AS_KNOWN,
    lock: RunnerLock | None = None,
    missing: Callable[[], int] = lambda: 0,
    checker: Checker | None = None,
    marks: TableMarks | None = None,
    endpoints: Collection[str] | None = None,
    dead_frames: DeadFrames | None = None,
    rng: random.Random | None = None,
) -> RunResult:
    """Work on the table, which this process owns, and return how it ended.

    ``fal`` connects, inside the event loop; None: there is nothing to do at fal. ``on_stop`` is
    called at the first interrupt; the second one ends the process at once, which loses nothing.
    ``agree`` is asked, in a thread, whether so many clips may follow the canaries that succeeded.
    ``agreement`` is about the prices of what is submitted. ``lock`` is the one by which this
    process owns the table; it knows whether that is older than what was done here, and ``marks``
    whether it is older than what was done anywhere. ``endpoints`` are those of what waits to be
    paid for. ``missing`` counts, at the end, the clips that are not where they were. ``checker``
    is one to share, ``dead_frames`` asks addresses of frames. ``rng`` spreads the pauses.
    """
    started = clock.now()
    doubt = None
    before = store.runs.high_water_mark()
    with marks.alone(store) if marks else nullcontext():
        if lock is not None and not settings.rehearse:
            doubt = stale_table.detect_and_mark(store, lock, now=started, marks=marks)
        run_id = store.runs.begin(
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            now=started,
            max_cost_usd=settings.max_cost,
            night=settings.night,
            asked=settings.asked,
        )
        logs.of_run(run_id)
        log.info("run %d begins: %s", run_id, settings.asked or "all unfinished work")
        if lock is not None and doubt is None:
            stale_table.remember(store, lock, marks)
    spent_before = store.views.money().spent
    own_witness = Witness(settle_dead_runs(settings, store, watcher, run_id, now=started))
    limits = Limits(
        submissions=settings.limit,
        opens=settings.not_before,
        until=settings.submits_until(started),
        grace=settings.grace,
        canaries=store.jobs.canaries(manifests, settings.canary) if settings.canary else (),
        agree=agree,
        settle=settings.settle,
        submits=not settings.fetch_only,
        collects={State.READY} if settings.fetch_only else IDENTIFIED,
    )
    # A run that breaks off here is found and closed by the next one.
    ended = RunEnd()
    if fal is not None:
        async with fal() as connected:
            with own_witness, Checker() if checker is None else nullcontext(checker) as checks:
                runner = runner_of(
                    settings,
                    store=store,
                    run_id=run_id,
                    fal=connected,
                    clock=clock,
                    watcher=watcher,
                    limits=limits,
                    manifests=manifests,
                    own_witness=own_witness,
                    agreement=agreement,
                    checker=checks,
                    dead_frames=dead_frames or DeadFrames(),
                    rng=rng or random.Random(),  # noqa: S311 - jitter, not secrets
                )
                with _signals(runner.stop, on_stop):
                    await look_back(
                        settings,
                        runner.state,
                        doubt=doubt,
                        known_until=before.at if before else None,
                        endpoints=endpoints,
                        settled=partial(stale_table.clear_mark, store, lock, marks),
                    )
                    ended = await runner.run()
    try:
        result = RunResult(
            ended=ended,
            rejected=settings.rejected,
            counts=store.views.counts(manifests),
            missing=missing(),
            spent_usd=store.views.money().spent - spent_before,
        )
        store.runs.end(run_id, now=clock.now(), exit_code=result.exit_code, note=result.note)
    except (TableUnusable, TableBusy) as error:
        raise table_failed(error) from error
    said = f" ({result.note})" if result.note else ""
    log.info("run %d ends with %d%s, $%s spent", run_id, result.exit_code, said, result.spent_usd)
    return result


def _signals(stop: Callable[[], None], on_stop: Callable[[], None]) -> ExitStack:
    """Let the first SIGINT or SIGTERM wind the run up, and the second end the process.

    Python delivers signals to the main thread only: a run in any other thread takes none.
    """
    if threading.current_thread() is not threading.main_thread():
        return ExitStack()
    loop = asyncio.get_running_loop()
    stopped = False

    def handle() -> None:
        nonlocal stopped
        if stopped:
            sys.stderr.write("\nleaving at once; the next run goes on from here\n")
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
