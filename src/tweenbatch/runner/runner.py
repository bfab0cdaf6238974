"""Who works on what: jobs are claimed while there is room, until nothing is left to do.

The runner decides when a job may start; the worker does it and writes it down.
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

MAX_JOBS_AT_HAND = 2000
"""Tasks at one time: a bound for memory, far above what an account can have in flight."""

HEARTBEAT_SECONDS = 15.0

ASLEEP_SECONDS = 30.0
"""A heartbeat so late says that the network must be felt for before money goes out."""

A_MOMENT = timedelta(milliseconds=1)
"""Less than a microsecond is nothing to a date: a wait for it would never end."""


COLLECTS_ONLY = (
    "what is at fal is collected, and nothing is submitted; `tweenbatch resume` lifts it"
)

PAUSE_LOOK_SECONDS = 3.0
"""How long it takes at most until a pause is heard of, or its end."""

IDLE_SECONDS = 60.0
"""The longest wait before the table is looked at again."""


def table_failed(error: Exception) -> TableFailed:
    """Return what trouble of the table means once money may have been spent."""
    return TableFailed(
        f"the job table failed in the middle of the run: {error}; "
        "once that is mended, run again: it goes on from what is recorded"
    )


@dataclass(slots=True, kw_only=True)
class Runner:
    """One run over one table. ``manifests`` bounds what is submitted, never what is collected."""

    state: RunState
    work: Callable[[Job], Awaitable[None]]
    """Takes a job through its stages, and raises nothing."""
    reconciler: Reconciler
    price_watch: PriceWatch
    limits: Limits
    manifests: Collection[int] | None = None
    disk_trouble: Callable[[], str | None] = lambda: None
    """Tells why nothing more should be submitted that would have to be written to a disk."""
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _idle_since: datetime | None = None
    _idle_count: int = 0
    """How many were laid aside then."""
    _began: datetime | None = None
    _interrupted: bool = False
    _canaries: frozenset[int] = frozenset()
    """Those that hold up all others."""
    _canaries_say: str | None = None
    _paused: bool = False
    _began_paused: bool = False

    async def run(self) -> RunEnd:
        """Work until nothing is left to do, or as far as the limits allow.

        Raises ``TableFailed`` where the table did not hold out.
        """
        state = self.state
        self._began = state.clock.now()
        self._canaries = frozenset(self.limits.canaries)
        try:
            await self._look_for_a_pause()
            self._began_paused = self._paused
            if self._paused:
                state.watcher.notice(f"paused: {COLLECTS_ONLY}")
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self._heartbeat(), name="heartbeat"),
                    group.create_task(self._obey(), name="pauses"),
                    group.create_task(self.reconciler.run(), name="reconciler"),
                    group.create_task(self.price_watch.run(), name="prices"),
                ]
                state.slots.no_more_submissions = self._goes_no_more
                await self._dispatch(group)
                await self._wind_up()
                for helper in helpers:
                    helper.cancel()
        except* (TableUnusable, TableBusy) as failures:
            state.broken_table = failures.exceptions[0]
        finally:
            if state.posts:
                await asyncio.wait(state.posts)
            state.table.close()
        if state.broken_table is not None:
            raise table_failed(state.broken_table) from state.broken_table
        if self.reconciler.doubt:
            state.watcher.notice(
                f"uncertain submissions are still unresolved: {self.reconciler.doubt}"
            )
        limit = self._limit_reached()
        return RunEnd(
            interrupted=self._interrupted,
            # Time that ran out at a closed gate was taken by the trouble, not by the work.
            trouble=state.gate.closed
            or state.gate.held
            or state.streak.held
            or state.models.reason
            or (state.gate.paused if limit == OUT_OF_TIME else None),
            same_failure=self._same_failure(),
            limit=limit,
        )

    def stop(self) -> None:
        """Submit nothing more, finish what must not be cut off, and come to the end."""
        self._interrupted = True
        self.state.stop()

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
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
            if more_to_collect or state.clock.now() >= collect_at:
                space = MAX_JOBS_AT_HAND - len(self._tasks)
                more_to_collect = await self._hand_out(group, self.limits.collects, space) == space
                collect_at = await self._next_collection()
            if self._canaries:
                await self._hear_the_canaries()
            room = self._room()
            state.slots.admit()
            handed_out = await self._hand_out(group, {State.PENDING}, room, self.manifests)
            if room and handed_out == room:
                continue
            pause = await self._pause(collect_at, room)
            if pause is None:
                return
            try:
                async with asyncio.timeout(pause):
                    await state.wake.wait()
            except TimeoutError:
                continue

    async def _hear_the_canaries(self) -> None:
        """Let all others follow once those that go first have succeeded, and somebody agrees."""
        state = self.state
        jobs = await state.table(state.store.jobs.get, self._canaries)
        if any(job.state not in FINAL for job in jobs) or self._canaries_say is not None:
            return
        if any(job.state is not State.SUCCEEDED for job in jobs):
            self._canaries_say = CANARY_FAILED
            return
        left = await state.table(state.store.views.pending, self.manifests)
        count = sum(each.jobs for each in left)
        if count and not await asyncio.to_thread(self.limits.agree, count):
            self._canaries_say = NOT_AGREED
            return
        self._canaries = frozenset()

    async def _next_collection(self) -> datetime:
        """Return when there may be paid work again that nobody holds."""
        idle = self.state.clock.now() + timedelta(seconds=IDLE_SECONDS)
        due = await self._next_due(self.limits.collects)
        return idle if due is None else min(due, idle)

    async def _hand_out(
        self,
        group: asyncio.TaskGroup,
        states: Collection[State],
        limit: int,
        manifests: Collection[int] | None = None,
    ) -> int:
        """Claim at most so many jobs and set them going; return how many there were."""
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
            if job.state is State.PENDING:
                state.starting.add(job.id)
            elif job.state is State.SUBMITTED:
                state.collect(job)
            task = group.create_task(self._work(job), name=f"job-{job.id}")
            self._tasks[job.id] = task
        return len(jobs)

    def _only(self) -> Collection[int] | None:
        """Return the jobs that alone may be submitted now, because all others wait for them."""
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

    def _room(self) -> int:
        """Return how many submissions may be made ready now."""
        if self._submissions_over() or self._held_back():
            return 0
        state = self.state
        rooms = [
            state.slots.room(preparing=state.preparing),
            MAX_JOBS_AT_HAND - len(self._tasks),
        ]
        left = self.limits.left(state.submissions + len(state.starting))
        if left is not None:
            rooms.append(left)
        room = max(0, min(rooms))
        if room:
            self._look_at_the_disk()
        return 0 if state.gate.closed else room

    def _goes_no_more(self, job_id: int) -> bool:
        """Tell whether a job that stands in line need not wait: it is not submitted now."""
        if self.state.slots.free and not self._submissions_over():
            self._look_at_the_disk()
        probe = self.state.brake.probe
        return self._submissions_over() or self._held_back() or probe not in {None, job_id}

    def _held_back(self) -> bool:
        """Tell whether submissions have to wait, though not for ever."""
        return self._paused or self.limits.is_early(self.state.clock.now())

    def _ends_waiting(self) -> datetime | None:
        """Return until when to wait for what is at fal, if there is such a time."""
        return None if self._began is None else self.limits.waits_until(self._began)

    def _grace_is_over(self) -> bool:
        ends = self._ends_waiting()
        return ends is not None and self.state.clock.now() >= ends

    def _look_at_the_disk(self) -> None:
        trouble = self.disk_trouble()
        if trouble is not None:
            self.state.refuse_to_submit(trouble)

    def _submissions_over(self) -> bool:
        state = self.state
        stopped = (
            state.gate.closed or state.streak.held or self._same_failure() or self._limit_reached()
        )
        return state.stopping or stopped is not None or not self.limits.submits

    def _same_failure(self) -> str | None:
        return self.state.streak.stop or self.state.brake.stop

    def _limit_reached(self) -> str | None:
        state = self.state
        reached = self.limits.reached(
            submissions=state.submissions, budget=state.budget_reached, now=state.clock.now()
        )
        if reached is None and self._paused and self._began_paused:
            return PAUSED
        return reached or self._canaries_say

    async def _pause(self, collect_at: datetime, room: int) -> float | None:
        """Return the seconds until there may be something to hand out; None: nothing is left.

        What was due is handed out already, as far as there was room: with enough in line for the
        slots, only a job that ends makes a difference, or a lane that opens.
        """
        state = self.state
        now = state.clock.now()
        if collect_at <= now:
            return 0.0
        times = [collect_at]
        opens = state.gate.wait_seconds()
        if state.slots.in_line and opens:
            times.append(now + timedelta(seconds=opens) + A_MOMENT)
        if not state.slots.full(preparing=state.preparing):
            paid = await self._next_due(self.limits.collects)
            unpaid = None if self._submissions_over() else await self._unpaid_due(now, room)
            times += [time for time in (paid, unpaid) if time is not None]
            if unpaid is None and self._tasks.keys() <= state.laid_aside:
                # A job may have come to rest while the table was asked.
                if state.wake.is_set():
                    return 0.0
                settled_by = self._settled_by(now, next_try=now if self._tasks else paid)
                if settled_by is None:
                    return None
                times.append(settled_by)
            else:
                self._idle_since = None
        ends = (self.limits.until, self._ends_waiting())
        times += [end for end in ends if end is not None and end > now]
        # Not longer, for the clock may be set back meanwhile.
        return min(IDLE_SECONDS, max(0.0, (min(times) - now).total_seconds()))

    def _settled_by(self, now: datetime, *, next_try: datetime | None) -> datetime | None:
        """Return until when to wait for what was laid aside or is uncertain; None: not any more.

        Each clip that comes gives the others as much time again; a try alone does not.
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
        # What an earlier run left is looked for once, however short the time.
        return None if self.reconciler.looks else now + timedelta(seconds=IDLE_SECONDS)

    async def _unpaid_due(self, now: datetime, room: int) -> datetime | None:
        """Return when the next submission may go, were there a slot."""
        if await self._passes_over_the_probe():
            return now
        times = [await self._next_due({State.PENDING}, self.manifests)]
        if not room:
            times.append(await self._opens(now))
        return min((time for time in times if time is not None), default=None)

    async def _passes_over_the_probe(self) -> bool:
        """Let another job tell where the one that all wait for can't: it is uncertain, or gone."""
        state = self.state
        probe = state.brake.probe
        if probe is None or probe in self._tasks:
            return False
        (job,) = await state.table(state.store.jobs.get, [probe])
        if job.state is State.PENDING:
            return False
        state.brake.left(probe)
        return True

    async def _opens(self, now: datetime) -> datetime | None:
        """Return when those may go that only wait for the lane, their hour or a pause's end."""
        state = self.state
        pause = state.gate.wait_seconds()
        waits = [] if pause is None else [now + timedelta(seconds=pause) + A_MOMENT]
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
        """Leave what can wait, finish what must not be cut off."""
        for job_id in self.state.interruptible & self._tasks.keys():
            self._tasks[job_id].cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _obey(self) -> None:
        """Hear of a pause, and of its end, within seconds."""
        while True:
            await self.state.clock.sleep(PAUSE_LOOK_SECONDS)
            before = self._paused
            try:
                await self._look_for_a_pause()
            except TableBusy:
                continue
            if self._paused is not before:
                self.state.watcher.notice(
                    f"paused: {COLLECTS_ONLY}" if self._paused else "resumed: submissions go on"
                )
                self.state.wake.set()

    async def _look_for_a_pause(self) -> None:
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
