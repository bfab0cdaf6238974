"""Builds the runner of a run from its parts."""

import random
from collections.abc import Collection
from functools import partial

from tweenbatch.clips.checker import Checker
from tweenbatch.clock import Clock
from tweenbatch.fal import Fal
from tweenbatch.files import space
from tweenbatch.recovery.reconciler import Reconciler
from tweenbatch.recovery.witness import Witness
from tweenbatch.runner.charges import Charges
from tweenbatch.runner.collector import Collector
from tweenbatch.runner.downloader import ClipDownloader
from tweenbatch.runner.inputs import Parts
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.limits import Limits
from tweenbatch.runner.price_watch import PriceAgreement, PriceWatch
from tweenbatch.runner.recorder import Recorder
from tweenbatch.runner.runner import Runner
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
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.stages.listings import Listings
from tweenbatch.stages.poll_schedule import PollScheduler
from tweenbatch.stages.poll_timing import PollTiming
from tweenbatch.stages.wait import Waiter
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread


def runner_of(
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
    parts: Parts,
) -> Runner:
    """Return a runner with all its parts, for an open table and a connection to fal."""
    rng = parts.rng
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
            # A budget is checked only when a job has a slot: nothing is uploaded before that.
            prepares_ahead=settings.most_usd is None,
        ),
        streak=FailureStreak(None if settings.keep_going else settings.same_failures),
        brake=Brake(None if settings.keep_going else settings.same_failures),
    )
    _prepare_witness(own_witness, state)
    intents = Intents(
        store=store, table=state.table, fal=fal, clock=clock, prices=agreement.quote.prices
    )
    recorder = Recorder(state=state, intents=intents)
    waiter = _waiter(settings, state, rng)
    submitter = Submitter(
        state=state,
        recorder=recorder,
        intents=intents,
        waiter=waiter,
        witness=own_witness,
        period_limits=settings.period_limits,
    )
    collector = Collector(
        state=state,
        recorder=recorder,
        submitter=submitter,
        intents=intents,
        charges=Charges(intents=intents, agreed=agreement.rises),
        waiter=waiter,
        dead_frames=parts.dead_frames,
    )
    fetcher = Fetcher(fal=fal, clock=clock, rng=rng, output=settings.output, checker=checker)
    worker = Worker(
        state=state,
        submitter=submitter,
        collector=collector,
        downloader=ClipDownloader(state=state, recorder=recorder, fetcher=fetcher),
    )
    folders = [settings.output, *([store.file.parent] if store.file else [])]
    return Runner(
        state=state,
        work=worker.work,
        reconciler=_reconciler(settings, state, rng),
        price_watch=PriceWatch(
            state=state, intents=intents, agreement=agreement, manifests=manifests
        ),
        limits=limits,
        manifests=manifests,
        disk_trouble=partial(space.trouble, folders),
    )


def _waiter(settings: RunSettings, state: RunState, rng: random.Random) -> Waiter:
    polls = PollScheduler(clock=state.clock, timing=PollTiming(rng))
    polls.timing.seen_before(clip.seconds for clip in state.store.views.latest_clips())
    return Waiter(
        fal=state.fal,
        clock=state.clock,
        rng=rng,
        polls=polls,
        listings=Listings(fal=state.fal, clock=state.clock, rng=rng),
        with_logs=settings.logs,
    )


def _reconciler(settings: RunSettings, state: RunState, rng: random.Random) -> Reconciler:
    return Reconciler(
        store=state.store,
        table=state.table,
        fal=state.fal,
        clock=state.clock,
        notice=state.watcher.notice,
        moved=state.watcher.moved,
        on_read=state.wake.set,
        doubted=state.new_uncertain,
        absent=state.inherited.add,
        absent_after=settings.absent_after,
        rng=rng,
    )


def _prepare_witness(own_witness: Witness, state: RunState) -> None:
    """Reserve the witness file; without one, submit nothing."""
    try:
        own_witness.prepare(notes=state.slots.limit.widest)
    except OSError as error:
        state.refuse_to_submit(
            f"{own_witness.path} can't be written ({error.strerror or error}); it would keep "
            "request ids if the job table failed. Fix this, then run again"
        )


def _adaptive_limit(settings: RunSettings, watcher: RunWatcher) -> AdaptiveLimit:
    """Return the limit from the options, reduced to what this process's open files allow."""
    files = descriptors.raise_limit()
    allowed = descriptors.enough_for(files)
    most, fixed = settings.max_in_flight, settings.concurrency
    if (fixed or most) > allowed:
        watcher.notice(
            f"at most {allowed} clips at one time: this process may open only {files} files "
            "(`ulimit -Hn` shows how far that can be raised)"
        )
    return AdaptiveLimit(most=min(most, allowed), fixed=min(fixed, allowed) if fixed else None)
