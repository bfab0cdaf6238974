"""Who works on what: jobs are claimed while there is room, until nothing is left to do.

The runner decides when a job may start; the worker does it and writes it down.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tweenbatch.errors import TableBusy, TableFailed, TableUnusable
from tweenbatch.records import Job
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.worker import Worker

MAX_JOBS_AT_HAND = 2000
"""Tasks at one time: a bound for memory, far above what an account can have in flight."""

HEARTBEAT_SECONDS = 15.0

IDLE_SECONDS = 60.0
"""The longest wait before the table is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to stop submitting; what is in the air is collected all the same."""

    concurrency: int
    submissions: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a run came to its end; nothing set: there was nothing left to do."""

    interrupted: bool = False
    trouble: str | None = None
    """The account or the service refused, in its own words."""
    limit: str | None = None
    """The option whose limit stopped the submissions."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """One run over one table. ``manifests`` bounds what is submitted, never what is collected."""

    worker: Worker
    limits: Limits
    manifests: Collection[int] | None = None
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> Ended:
        """Work until nothing is left to do, or as far as the limits allow.

        Raises ``TableFailed`` where the table did not hold out.
        """
        worker = self.worker
        try:
            async with asyncio.TaskGroup() as group:
                heart = group.create_task(self._heartbeat(), name="heartbeat")
                await self._dispatch(group)
                await self._wind_up()
                heart.cancel()
        except* (TableUnusable, TableBusy) as failures:
            worker.broken_table = failures.exceptions[0]
        finally:
            if worker.posts:
                await asyncio.wait(worker.posts)
            worker.table.close()
        if worker.broken_table is not None:
            raise TableFailed(
                f"the job table failed in the middle of the run: {worker.broken_table}; "
                "mend that and run again: it goes on from what is recorded"
            ) from worker.broken_table
        return Ended(
            interrupted=worker.stopping, trouble=worker.lane.closed, limit=self._limit_reached()
        )

    def stop(self) -> None:
        """Submit nothing more, finish what must not be cut off, and come to the end."""
        self.worker.stopping = True
        self.worker.wake.set()

    async def _dispatch(self, group: asyncio.TaskGroup) -> None:
        worker = self.worker
        more_to_collect, collect_at = True, worker.clock.now()
        while not worker.stopping:
            worker.wake.clear()
            if more_to_collect or worker.clock.now() >= collect_at:
                space = MAX_JOBS_AT_HAND - len(self._tasks)
                more_to_collect = await self._hand_out(group, IDENTIFIED, space) == space
                collect_at = await self._next_collection()
            room = self._room()
            handed_out = await self._hand_out(group, {State.PENDING}, room, self.manifests)
            if room and handed_out == room:
                continue
            pause = await self._pause(collect_at, room)
            if pause is None:
                return
            try:
                async with asyncio.timeout(pause):
                    await worker.wake.wait()
            except TimeoutError:
                continue

    async def _next_collection(self) -> datetime:
        """Return when there may be paid work again that nobody holds."""
        idle = self.worker.clock.now() + timedelta(seconds=IDLE_SECONDS)
        due = await self._next_due(IDENTIFIED)
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
        worker = self.worker
        jobs = await worker.table(
            worker.store.claim,
            worker.run_id,
            states,
            limit=limit,
            now=worker.clock.now(),
            manifests=manifests,
        )
        for job in jobs:
            if job.state is State.PENDING:
                worker.starting.add(job.id)
                worker.lane.started()
            if job.state is not State.READY:
                worker.in_slots.add(job.id)
            task = group.create_task(self._work(job), name=f"job-{job.id}")
            self._tasks[job.id] = task
        return len(jobs)

    async def _work(self, job: Job) -> None:
        try:
            await self.worker.work(job)
        finally:
            del self._tasks[job.id]

    def _room(self) -> int:
        """Return how many submissions may begin now."""
        if self._submissions_over():
            return 0
        worker = self.worker
        rooms = [self.limits.concurrency - len(worker.in_slots), worker.lane.room()]
        if self.limits.submissions is not None:
            begun = worker.submissions + len(worker.starting)
            rooms.append(self.limits.submissions - begun)
        return max(0, min(room for room in rooms if room is not None))

    def _submissions_over(self) -> bool:
        return self.worker.lane.closed is not None or self._limit_reached() is not None

    def _limit_reached(self) -> str | None:
        limits = self.limits
        if self.worker.budget_reached:
            return "--max-cost"
        if limits.submissions is not None and self.worker.submissions >= limits.submissions:
            return "--limit"
        if limits.until is not None and self.worker.clock.now() >= limits.until:
            return "--max-duration or --stop-at"
        return None

    async def _pause(self, collect_at: datetime, room: int) -> float | None:
        """Return the seconds until there may be something to hand out; None: nothing is left.

        What was due is handed out already, as far as there was room: with all slots taken,
        only a job that ends makes a difference.
        """
        worker = self.worker
        now = worker.clock.now()
        full = len(worker.in_slots) >= self.limits.concurrency
        times = [collect_at]
        if not full:
            paid = await self._next_due(IDENTIFIED)
            unpaid = None if self._submissions_over() else await self._unpaid_due(now, room)
            rest = [time for time in (paid, unpaid) if time is not None]
            if not rest and not self._tasks:
                # A job may have come to rest while the table was asked.
                return 0.0 if worker.wake.is_set() else None
            times += rest
        if self.limits.until is not None and self.limits.until > now:
            times.append(self.limits.until)
        return max(0.0, (min(times) - now).total_seconds())

    async def _unpaid_due(self, now: datetime, room: int) -> datetime | None:
        """Return when the next submission may go, were there a slot."""
        times = [await self._next_due({State.PENDING}, self.manifests)]
        if not room:
            times.append(await self._lane_opens(now))
        return min((time for time in times if time is not None), default=None)

    async def _lane_opens(self, now: datetime) -> datetime | None:
        """Return when a paused lane opens for jobs that wait at it."""
        worker = self.worker
        pause = worker.lane.wait_seconds()
        if pause is None or not (await worker.table(worker.store.unpaid, self.manifests)).jobs:
            return None
        return now + timedelta(seconds=pause)

    async def _next_due(
        self, states: Collection[State], manifests: Collection[int] | None = None
    ) -> datetime | None:
        worker = self.worker
        return await worker.table(
            worker.store.next_due, states, now=worker.clock.now(), manifests=manifests
        )

    async def _wind_up(self) -> None:
        """Leave what can wait, finish what must not be cut off."""
        for job_id in self.worker.interruptible & self._tasks.keys():
            self._tasks[job_id].cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _heartbeat(self) -> None:
        worker = self.worker
        while True:
            await worker.clock.sleep(HEARTBEAT_SECONDS)
            await worker.table(worker.store.heartbeat, worker.run_id, now=worker.clock.now())
