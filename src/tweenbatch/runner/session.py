"""One run, from the opened table to its exit code: the rooms put together."""

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
from datetime import datetime
from functools import partial
from pathlib import Path

from tweenbatch import logs
from tweenbatch.clips.checker import Checker
from tweenbatch.clock import Clock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.exit_codes import ExitCode
from tweenbatch.fal import Fal
from tweenbatch.files import space
from tweenbatch.records.result import RunEnd, RunResult
from tweenbatch.recovery import stale_table, witness
from tweenbatch.recovery.adopt_lost import LostRequestRecovery
from tweenbatch.recovery.reconciler import Reconciler
from tweenbatch.recovery.table_marks import TableMarks
from tweenbatch.recovery.witness import Witness
from tweenbatch.runner.charges import Charges
from tweenbatch.runner.collector import Collector
from tweenbatch.runner.downloader import Downloader
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.limits import Limits
from tweenbatch.runner.price_watch import AS_KNOWN, PriceAgreement, PriceWatch
from tweenbatch.runner.recorder import Recorder
from tweenbatch.runner.runner import Runner, table_failed
from tweenbatch.runner.state import RunState
from tweenbatch.runner.submitter import Submitter
from tweenbatch.runner.throttle import descriptors
from tweenbatch.runner.throttle.adaptive_limit import AdaptiveLimit
from tweenbatch.runner.throttle.brake import Brake
from tweenbatch.runner.throttle.failure_streak import FailureStreak
from tweenbatch.runner.throttle.gate import SubmissionGate
from tweenbatch.runner.throttle.slots import Slots
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.runner.worker import Worker
from tweenbatch.settings import RunSettings
from tweenbatch.stages.dead_frames import DeadFrames
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.stages.listings import Listings
from tweenbatch.stages.poll_schedule import PollScheduler
from tweenbatch.stages.poll_timing import PollTiming
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import RunnerLock, Store
from tweenbatch.store.thread import StoreThread
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
    own_witness = Witness(_take_over(settings, store, watcher, run_id, now=started))
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
                runner = _runner(
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
                    await _look_back(
                        settings,
                        runner.state,
                        doubt=doubt,
                        known_until=before.at if before else None,
                        endpoints=endpoints,
                        settled=partial(stale_table.settled, store, lock, marks),
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


def _take_over(
    settings: RunSettings, store: Store, watcher: RunWatcher, run_id: int, *, now: datetime
) -> Path:
    """Settle what runs that died left, as far as can be; return where our witness is to be."""
    if store.network is not None:
        watcher.notice(
            f"{store.file} lies on a network file system ({store.network}), where SQLite's locks "
            "are not to be relied on: keep it on a disk of this machine, or use PostgreSQL"
        )
    recovered = store.runs.recover(run_id, now=now)
    place = witness.place(store.file, settings.output, run_id)
    doubted = recovered.uncertain - _hear_witnesses(place, store, watcher, now=now)
    if doubted > 0:
        watcher.notice(
            f"{doubted} submission(s) of a run that died have an unknown outcome; "
            "they are looked up, and not sent again"
        )
    return place


def _hear_witnesses(own: Path, store: Store, watcher: RunWatcher, *, now: datetime) -> int:
    """Take over what runs that died could tell a witness only; return how many requests."""
    adopted = 0
    for path in witness.left_behind(own, shared=store.file is None):
        notes = witness.read_notes(path)
        for job in witness.adopt(notes, store, now=now):
            adopted += 1
            watcher.moved(job, State.UNCERTAIN)
            watcher.notice(
                f"{job.output_name}: fal had accepted it, as a run noted that could not write to "
                "the table; it is collected, not paid again"
            )
        witness.discard(path, notes, store)
    return adopted


async def _look_back(
    settings: RunSettings,
    state: RunState,
    *,
    doubt: stale_table.StaleTable | None,
    known_until: datetime | None,
    endpoints: Collection[str] | None,
    settled: Callable[[], None],
) -> None:
    """Find out what was paid for and the table lacks, or see to it that nothing is submitted.

    ``known_until`` is the table's last sign of life before this run; ``settled`` writes down that
    the table lacks nothing.
    """
    if settings.rehearse:
        return
    if doubt is not None and not settings.trust_table:
        state.refuse_to_submit(f"{doubt.reason}; nothing is submitted")
        return
    lost = LostRequestRecovery(
        store=state.store,
        table=state.table,
        fal=state.fal,
        clock=state.clock,
        notice=state.watcher.notice,
        moved=state.watcher.moved,
        absent_after=settings.absent_after,
    )
    try:
        if settings.trust_table:
            obstacle = await lost.look(doubt)
            if obstacle is not None:
                state.refuse_to_submit(obstacle)
            else:
                await state.table(settled)
        elif not settings.pay_again:
            paid_at = await lost.look_up(known_until, endpoints)
            if paid_at is not None:
                await state.table(state.store.runs.mark_incomplete, paid_at)
                state.refuse_to_submit(
                    "clips were paid for lately that this table knew nothing of, as if it had been "
                    "put back, copied or begun anew: others may still run, and fal lists only what "
                    "has ended. Nothing is submitted; run again with --trust-table, which says "
                    "when it may pay"
                )
    except (TableUnusable, TableBusy) as error:
        raise table_failed(error) from error


def _runner(
    settings: RunSettings,
    *,
    store: Store,
    run_id: int,
    fal: Fal,
    clock: Clock,
    watcher: RunWatcher,
    limits: Limits,
    manifests: Collection[int] | None,
    own_witness: Witness,
    agreement: PriceAgreement,
    checker: Checker,
    dead_frames: DeadFrames,
    rng: random.Random,
) -> Runner:
    looks = PollScheduler(clock=clock, rhythm=PollTiming(rng))
    looks.rhythm.seen_before(took.seconds for took in store.views.latest_clips())
    waiter = Waiter(
        fal=fal,
        clock=clock,
        rng=rng,
        looks=looks,
        listings=Listings(fal=fal, clock=clock, rng=rng),
        with_logs=settings.logs,
    )
    state = RunState(
        store=store,
        table=StoreThread(store.group_commit),
        run_id=run_id,
        fal=fal,
        clock=clock,
        watcher=watcher,
        slots=Slots(
            limit=_adaptive_limit(settings, watcher),
            gate=SubmissionGate(monotonic=clock.monotonic, rng=rng),
            # A budget is known to hold only when it comes to paying: nothing is uploaded before.
            ahead=settings.most_usd is None,
        ),
        streak=FailureStreak(None if settings.keep_going else settings.same_failures),
        brake=Brake(None if settings.keep_going else settings.same_failures),
    )
    try:
        own_witness.prepare(notes=state.slots.limit.widest)
    except OSError as error:
        state.refuse_to_submit(
            f"{own_witness.path} can't be written ({error.strerror or error}), which would keep "
            "request ids if the table failed; mend that, and run again"
        )
    intents = Intents(
        store=store, table=state.table, fal=fal, clock=clock, prices=agreement.quote.prices
    )
    recorder = Recorder(state=state, intents=intents)
    submitter = Submitter(
        state=state,
        recorder=recorder,
        intents=intents,
        waiter=waiter,
        witness=own_witness,
        period_limits=settings.period_limits,
    )
    worker = Worker(
        state=state,
        submitter=submitter,
        collector=Collector(
            state=state,
            recorder=recorder,
            submitter=submitter,
            intents=intents,
            charges=Charges(intents=intents, agreed=agreement.rises),
            waiter=waiter,
            dead_frames=dead_frames,
        ),
        downloader=Downloader(
            state=state,
            recorder=recorder,
            fetcher=Fetcher(fal=fal, clock=clock, rng=rng, output=settings.output, checker=checker),
        ),
    )
    written_to = [settings.output, *([store.file.parent] if store.file else [])]
    return Runner(
        state=state,
        work=worker.work,
        reconciler=Reconciler(
            store=store,
            table=state.table,
            fal=fal,
            clock=clock,
            notice=watcher.notice,
            moved=watcher.moved,
            looked=state.wake.set,
            doubted=state.doubted,
            absent_after=settings.absent_after,
            rng=rng,
        ),
        price_watch=PriceWatch(
            state=state, intents=intents, agreement=agreement, manifests=manifests
        ),
        limits=limits,
        manifests=manifests,
        disk_trouble=partial(space.trouble, written_to),
    )


def _adaptive_limit(settings: RunSettings, watcher: RunWatcher) -> AdaptiveLimit:
    """Return how many clips may be at fal: as asked for, or as many as there are descriptors."""
    files = descriptors.raise_limit()
    fitting = descriptors.enough_for(files)
    most, fixed = settings.max_in_flight, settings.concurrency
    if (fixed or most) > fitting:
        watcher.notice(
            f"at most {fitting} clips at one time: this process may have no more than {files} "
            "files open (`ulimit -Hn` is the most that it may ask for)"
        )
    return AdaptiveLimit(most=min(most, fitting), fixed=min(fixed, fitting) if fixed else None)


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
