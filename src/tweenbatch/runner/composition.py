"""Puts the parts of a run together."""

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
from tweenbatch.stages.dead_frames import DeadFrames
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
    dead_frames: DeadFrames,
    rng: random.Random,
) -> Runner:
    """Return a runner with all its parts, over an opened table and a connection to fal."""
    polls = PollScheduler(clock=clock, timing=PollTiming(rng))
    polls.timing.seen_before(took.seconds for took in store.views.latest_clips())
    waiter = Waiter(
        fal=fal,
        clock=clock,
        rng=rng,
        polls=polls,
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
            prepares_ahead=settings.most_usd is None,
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
        downloader=ClipDownloader(
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
            on_read=state.wake.set,
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
