"""The main loop of a run: claims jobs, starts them, and stops when nothing is left to do.

It decides when a job starts. It does not know how a job is carried out: the worker does that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tweenbatch.errors import TableBusy, TableFailed, TableUnusable
from tweenbatch.records import Job
from tweenbatch.records.result import CANARY_FAILED, NOT_AGREED, OUT_OF_TIME, PAUSED, RunEnd
from tweenbatch.recovery.reconciler import Reconciler
from tweenbatch.runner.limits import Limits
from tweenbatch.runner.price_watch import PriceWatch
from tweenbatch.runner.state import RunState
from tweenbatch.states import FINAL, State

MAX_TASKS = 2000
"""The most jobs in memory at one time, far more than an account can have in flight."""

HEARTBEAT_SECONDS = 15.0

ASLEEP_SECONDS = 30.0
"""A heartbeat this late means that the machine slept: one probe must succeed before more POSTs."""

CLOCK_RESOLUTION = timedelta(milliseconds=1)
"""Added to waits: one below the microsecond of ``datetime`` would round to zero and loop."""

COLLECTS_ONLY = (
    "submitted clips are still collected, and nothing new is submitted; `tweenbatch resume` ends "
    "the pause"
)

PAUSE_CHECK_SECONDS = 3.0
"""How often the table is read for a pause, or its end."""

IDLE_SECONDS = 60.0
"""The longest wait before the table is read again."""


def table_failed(error: Exception) -> TableFailed:
    """Return the error for a table that failed after money may have been spent."""
    return TableFailed(
        f"the job table failed during the run: {error}; "
        "after fixing this, run again: the next run continues from what is recorded"
    )


LookBack = Callable[[Collection[str]], Awaitable[None]]
"""Recovers paid requests of these endpoints that the table lacks."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Claims and starts jobs; ``manifests`` restricts submissions, never collection."""

    state: RunState
    work: Callable[[Job], Awaitable[None]]
    """Takes a job through its stages; never raises."""
    reconciler: Reconciler
    price_watch: PriceWatch
    limits: Limits
    manifests: Collection[int] | None = None
    disk_trouble: Callable[[], str | None] = lambda: None
    """Returns why clips can't be written to disk, or None."""
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _unproven: set[str] = field(default_factory=set)
    """Endpoints whose list at fal must be read again before the next submission."""
    _idle_since: datetime | None = None
    _idle_count: int = 0
    """How many jobs were laid aside then."""
    _began: datetime | None = None
    _interrupted: bool = False
    _canaries: frozenset[int] = frozenset()
    """Jobs that must succeed before others are submitted."""
    _canary_stop: str | None = None
    """Why nothing follows the canaries."""
    _paused: bool = False
    _began_paused: bool = False

    async def run(self, look_back: LookBack) -> RunEnd:
        """Work until nothing is left to do or a limit is reached.

        Raises ``TableFailed`` if the job table failed.
        """
        state = self.state
        self._began = state.clock.now()
        self._canaries = frozenset(self.limits.canaries)
        try:
            await self._check_pause()
            self._began_paused = self._paused
            if self._paused:
                state.watcher.notice(f"paused: {COLLECTS_ONLY}")
            await self._run_tasks(look_back)
        except* (TableUnusable, TableBusy) as failures:
            state.broken_table = failures.exceptions[0]
        finally:
            if state.posts:
                await asyncio.wait(state.posts)
            state.table.close()
        if state.broken_table is not None:
            raise table_failed(state.broken_table) from state.broken_table
        if self.reconciler.doubt:
            state.watcher.notice(f"uncertain jobs are still unresolved: {self.reconciler.doubt}")
        return self._end()

    async def _run_tasks(self, look_back: LookBack) -> None:
        """Run the main loop beside the background tasks, which end with it."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._heartbeat(), name="heartbeat"),
                group.create_task(self._watch_pause(), name="pauses"),
                group.create_task(self.reconciler.run(), name="reconciler"),
                group.create_task(self.price_watch.run(), name="prices"),
            ]
            self.state.slots.no_more_submissions = self._may_not_submit
            await self._dispatch(group, look_back)
            await self._wind_up()
            for task in background:
                task.cancel()

    def _end(self) -> RunEnd:
        """Return why the run ended."""
        state, limit = self.state, self._reached_limit()
        return RunEnd(
            interrupted=self._interrupted,
            # If the time ran out while the gate was paused, the trouble is the cause.
            trouble=state.gate.closed
            or state.gate.held
            or state.streak.held
            or state.models.reason
            or (state.gate.paused if limit == OUT_OF_TIME else None),
            same_failure=self._same_failure(),
            limit=limit,
        )

    def stop(self) -> None:
        """End the run early: submit nothing more, and finish what must not be interrupted."""
        self._interrupted = True
        self.state.stop()

    async def _dispatch(self, group: asyncio.TaskGroup, look_back: LookBack) -> None:
        state = self.state
        more_to_collect, collect_at = True, state.clock.now()
        while not state.stopping:
            state.wake.clear()
            if self._grace_is_over():
                state.stop()
                return
            if state.collect_again:
                state.collect_again = False
                collect_at = min(collect_at, await self._next_collection())
            if self.reconciler.settled:
                self.reconciler.settled = False
                state.budget_reached = None
                more_to_collect = True
            if self._unproven:
                endpoints, self._unproven = self._unproven, set()
                await look_back(endpoints)
                more_to_collect = True
            if more_to_collect or state.clock.now() >= collect_at:
                free = MAX_TASKS - len(self._tasks)
                started = await self._claim_and_start(group, self.limits.collects, free)
                more_to_collect = started == free
                collect_at = await self._next_collection()
            await self._check_canaries()
            allowance = self._allowance()
            state.slots.admit()
            started = await self._claim_and_start(group, {State.PENDING}, allowance, self.manifests)
            if allowance and started == allowance:
                continue
            pause = await self._seconds_to_wait(collect_at, allowance)
            if pause is None:
                return
            try:
                async with asyncio.timeout(pause):
                    await state.wake.wait()
            except TimeoutError:
                continue

    async def _check_canaries(self) -> None:
        """Release the other jobs when all canaries have succeeded and the user agrees."""
        if not self._canaries:
            return
        state = self.state
        jobs = await state.table(state.store.jobs.get, self._canaries)
        if any(job.state not in FINAL for job in jobs) or self._canary_stop is not None:
            return
        if any(job.state is not State.SUCCEEDED for job in jobs):
            self._canary_stop = CANARY_FAILED
            return
        pending = await state.table(state.store.views.pending, self.manifests)
        count = sum(group.jobs for group in pending)
        if count and not await asyncio.to_thread(self.limits.agree, count):
            self._canary_stop = NOT_AGREED
            return
        self._canaries = frozenset()

    async def _next_collection(self) -> datetime:
        """Return when to claim paid jobs again."""
        idle = self.state.clock.now() + timedelta(seconds=IDLE_SECONDS)
        due = await self._next_due(self.limits.collects)
        return idle if due is None else min(due, idle)

    async def _claim_and_start(
        self,
        group: asyncio.TaskGroup,
        states: Collection[State],
        limit: int,
        manifests: Collection[int] | None = None,
    ) -> int:
        """Claim at most ``limit`` jobs and start them; return how many were started."""
        if limit <= 0:
            return 0
        state = self.state
        jobs = await state.table.urgent(
            state.store.jobs.claim,
            state.run_id,
            states,
            limit=limit,
            now=state.clock.now(),
            manifests=manifests,
            only=self._only() if states == {State.PENDING} else None,
            closed=state.models.names if states == {State.PENDING} else (),
        )
        for job in jobs:
            if job.state is State.PENDING and job.id in state.inherited:
                await self._look_first(job)
                continue
            if job.state is State.PENDING:
                state.starting.add(job.id)
            elif job.state is State.SUBMITTED:
                state.take_slot(job)
                state.inherited.add(job.id)
            task = group.create_task(self._work(job), name=f"job-{job.id}")
            self._tasks[job.id] = task
        return len(jobs)

    async def _look_first(self, job: Job) -> None:
        """Give back a job that may be paid for already, if the table is a copy of an older one."""
        state = self.state
        state.inherited.discard(job.id)
        self._unproven.add(job.spec.endpoint)
        await state.table(state.store.jobs.release, job, now=state.clock.now())
        state.wake.set()

    def _only(self) -> Collection[int] | None:
        """Return the only jobs that may be submitted now; None: all may."""
        probe = self.state.brake.probe
        if probe is not None:
            return {probe}
        return self._canaries or None

    async def _work(self, job: Job) -> None:
        try:
            await self.work(job)
        finally:
            if self._tasks.get(job.id) is asyncio.current_task():
                del self._tasks[job.id]

    def _allowance(self) -> int:
        """Return how many submissions may be prepared now."""
        if self._submissions_over() or self._held_back():
            return 0
        state = self.state
        bounds = [
            state.slots.allowance(preparing=state.preparing),
            MAX_TASKS - len(self._tasks),
        ]
        left = self.limits.left(state.submissions + len(state.starting))
        if left is not None:
            bounds.append(left)
        allowance = max(0, min(bounds))
        if allowance:
            self._check_disk()
        return 0 if state.gate.closed else allowance

    def _may_not_submit(self, job_id: int) -> bool:
        """Tell whether a job should leave the line, because it can't be submitted now."""
        if self.state.slots.free and not self._submissions_over():
            self._check_disk()
        probe = self.state.brake.probe
        return self._submissions_over() or self._held_back() or probe not in {None, job_id}

    def _held_back(self) -> bool:
        """Tell whether submissions have to wait for the end of a pause, or for their hour."""
        return self._paused or self.limits.is_early(self.state.clock.now())

    def _wait_deadline(self) -> datetime | None:
        """Return until when to wait for requests in progress; None: until they end."""
        return None if self._began is None else self.limits.waits_until(self._began)

    def _grace_is_over(self) -> bool:
        ends = self._wait_deadline()
        return ends is not None and self.state.clock.now() >= ends

    def _check_disk(self) -> None:
        trouble = self.disk_trouble()
        if trouble is not None:
            self.state.refuse_to_submit(trouble)

    def _submissions_over(self) -> bool:
        state = self.state
        stopped = (
            state.gate.closed or state.streak.held or self._same_failure() or self._reached_limit()
        )
        return state.stopping or stopped is not None or not self.limits.submits

    def _same_failure(self) -> str | None:
        return self.state.streak.stop or self.state.brake.stop

    def _reached_limit(self) -> str | None:
        state = self.state
        reached = self.limits.reached(
            submissions=state.submissions, budget=state.budget_reached, now=state.clock.now()
        )
        if reached is None and self._paused and self._began_paused:
            return PAUSED
        return reached or self._canary_stop

    async def _seconds_to_wait(self, collect_at: datetime, allowance: int) -> float | None:
        """Return the seconds until a job may be due; None: nothing is left to do.

        Jobs that are due have been started already. With enough jobs in line for the slots, only a
        job that ends, or a gate that opens, changes anything.
        """
        state = self.state
        now = state.clock.now()
        if collect_at <= now:
            return 0.0
        times = [collect_at]
        opens = state.gate.wait_seconds()
        if state.slots.in_line and opens:
            times.append(now + timedelta(seconds=opens) + CLOCK_RESOLUTION)
        if not state.slots.full(preparing=state.preparing):
            paid = await self._next_due(self.limits.collects)
            unpaid = None if self._submissions_over() else await self._unpaid_due(now, allowance)
            times += [time for time in (paid, unpaid) if time is not None]
            if unpaid is None and self._tasks.keys() <= state.laid_aside:
                # A job may have been laid aside while the table was read.
                if state.wake.is_set():
                    return 0.0
                deadline = self._settle_deadline(now, next_try=now if self._tasks else paid)
                if deadline is None:
                    return None
                times.append(deadline)
            else:
                self._idle_since = None
        ends = (self.limits.until, self._wait_deadline())
        times += [end for end in ends if end is not None and end > now]
        # Bounded, because the clock may be set back in the meantime.
        return min(IDLE_SECONDS, max(0.0, (min(times) - now).total_seconds()))

    def _settle_deadline(self, now: datetime, *, next_try: datetime | None) -> datetime | None:
        """Return until when to wait for jobs laid aside or uncertain; None: stop waiting.

        The time starts again whenever one of these jobs moves on, not when it is only tried.
        """
        if next_try is None and not self.reconciler.hopeful:
            return None
        count = len(self.state.laid_aside)
        if self._idle_since is None or count < self._idle_count:
            self._idle_since = now
        self._idle_count = count
        until = self._idle_since + self.limits.settle
        if now < until and (self.reconciler.hopeful or (next_try is not None and next_try < until)):
            return until
        # Uncertain jobs of earlier runs are looked up once, however short the time is.
        return None if self.reconciler.reads else now + timedelta(seconds=IDLE_SECONDS)

    async def _unpaid_due(self, now: datetime, allowance: int) -> datetime | None:
        """Return when the next submission may start, if there is a slot."""
        if await self._skip_lost_probe():
            return now
        times = [await self._next_due({State.PENDING}, self.manifests)]
        if not allowance:
            times.append(await self._gate_opens_at(now))
        return min((time for time in times if time is not None), default=None)

    async def _skip_lost_probe(self) -> bool:
        """Replace the brake's probe if it can't be submitted: it is uncertain, or finished."""
        state = self.state
        probe = state.brake.probe
        if probe is None or probe in self._tasks:
            return False
        (job,) = await state.table(state.store.jobs.get, [probe])
        if job.state is State.PENDING:
            return False
        state.brake.skip(probe)
        return True

    async def _gate_opens_at(self, now: datetime) -> datetime | None:
        """Return when jobs may start that wait only for the gate, their hour or a pause's end."""
        state = self.state
        pause = state.gate.wait_seconds()
        waits = [] if pause is None else [now + timedelta(seconds=pause) + CLOCK_RESOLUTION]
        if self.limits.opens is not None and self.limits.opens > now:
            waits.append(self.limits.opens)
        if self._paused:
            waits.append(now + timedelta(seconds=IDLE_SECONDS))
        if not waits or not await state.table(state.store.views.pending, self.manifests):
            return None
        return max(waits)

    async def _next_due(
        self, states: Collection[State], manifests: Collection[int] | None = None
    ) -> datetime | None:
        state = self.state
        return await state.table(
            state.store.jobs.next_due, states, now=state.clock.now(), manifests=manifests
        )

    async def _wind_up(self) -> None:
        """Interrupt tasks that only wait or read, and finish all others."""
        for job_id in self.state.interruptible & self._tasks.keys():
            self._tasks[job_id].cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _watch_pause(self) -> None:
        """Notice within seconds that a pause begins or ends."""
        while True:
            await self.state.clock.sleep(PAUSE_CHECK_SECONDS)
            before = self._paused
            try:
                await self._check_pause()
            except TableBusy:
                continue
            if self._paused is not before:
                self.state.watcher.notice(
                    f"paused: {COLLECTS_ONLY}" if self._paused else "resumed: submissions continue"
                )
                self.state.wake.set()

    async def _check_pause(self) -> None:
        state = self.state
        self._paused = await state.table(state.store.runs.paused_since) is not None

    async def _heartbeat(self) -> None:
        state = self.state
        while True:
            before = state.clock.now()
            await state.clock.sleep(HEARTBEAT_SECONDS)
            slept = (state.clock.now() - before).total_seconds() - HEARTBEAT_SECONDS
            if slept > ASLEEP_SECONDS:
                state.pause_submissions(
                    f"this machine was asleep, or its clock jumped by {slept:.0f} s"
                )
            await state.table(state.store.runs.heartbeat, state.run_id, now=state.clock.now())
