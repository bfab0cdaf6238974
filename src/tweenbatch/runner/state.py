"""The state of a run, shared by the main loop and the parts that carry out jobs."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, KeysView
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tweenbatch.clock import Clock
from tweenbatch.errors import BudgetReached
from tweenbatch.fal import Fal
from tweenbatch.records import Job
from tweenbatch.runner.throttle.brake import Brake
from tweenbatch.runner.throttle.closed_models import ClosedModels
from tweenbatch.runner.throttle.failure_streak import FailureStreak
from tweenbatch.runner.throttle.gate import SubmissionGate
from tweenbatch.runner.throttle.slots import Slots
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread

T = TypeVar("T")

UNTRUSTED_TRIES = 3
"""Pauses for an untrusted certificate before the run ends: waiting does not fix it."""


@dataclass(slots=True, kw_only=True)
class RunState:
    """The shared, mutable state of one run."""

    store: Store
    table: StoreThread
    run_id: int
    fal: Fal
    clock: Clock
    watcher: RunWatcher
    slots: Slots
    streak: FailureStreak
    brake: Brake
    models: ClosedModels = field(default_factory=ClosedModels)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the main loop should check for jobs to start."""
    new_uncertain: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the outcome of a submission becomes unknown."""
    stopping: bool = False
    """No new stage begins."""
    collect_again: bool = False
    """A paid job was laid aside, so the main loop must read when it is due."""
    submissions: int = 0
    budget_reached: BudgetReached | None = None
    """The spending limit that the last submission would have passed."""
    broken_table: Exception | None = None
    starting: set[int] = field(default_factory=set)
    """Jobs that were claimed for submission and are not submitted yet."""
    interruptible: set[int] = field(default_factory=set)
    """Jobs that only wait or read, so their tasks may be cancelled."""
    posts: set[asyncio.Task[Job]] = field(default_factory=set)
    """Submissions, each with the write of its outcome: never cancelled."""
    parkings: Counter[int] = field(default_factory=Counter)
    """How often each paid job was laid aside since its state last changed."""
    generated: set[int] = field(default_factory=set)
    """Jobs whose clips were made in this run and are not downloaded yet."""
    inherited: set[int] = field(default_factory=set)
    """Jobs that an earlier run had submitted; the table may lack what was paid for since."""
    results_read_at: dict[int, float] = field(default_factory=dict)
    """When (``Clock.monotonic``) the result of a failed job was last read, before buying again."""
    _untrusted: int = 0
    """Pauses in a row for untrusted certificates."""

    @property
    def gate(self) -> SubmissionGate:
        """Return the gate that every submission passes."""
        return self.slots.gate

    @property
    def laid_aside(self) -> KeysView[int]:
        """Return the paid jobs that were laid aside and have not changed state since."""
        return self.parkings.keys()

    @property
    def preparing(self) -> int:
        """Return how many jobs prepare for a slot or wait in line for one."""
        return len(self.starting - self.slots.holders)

    def stop(self) -> None:
        """Begin no new stage."""
        self.stopping = True
        self.wake.set()

    def take_slot(self, job: Job) -> None:
        """Give a slot to a request of an earlier run, which is in progress already."""
        now = self.clock.monotonic()
        assert job.accepted_at is not None
        waited = max(0.0, (self.clock.now() - job.accepted_at).total_seconds())
        self.slots.holders.add(job.id)
        self.slots.limit.accepted(job.id, at=now - waited, now=now)

    def release_slot(self, job: Job) -> None:
        """Give the slot of a job to the next in line."""
        self.slots.release(job.id)
        self.wake.set()

    async def interruptibly(self, job: Job, doing: Coroutine[Any, Any, T]) -> T:
        """Await something that the end of the run may cancel."""
        self.interruptible.add(job.id)
        try:
            return await doing
        finally:
            self.interruptible.discard(job.id)

    def refuse_to_submit(self, reason: str) -> None:
        """Close the gate and report the first reason; submitted clips are still collected."""
        if self.gate.closed is None:
            self.watcher.notice(reason)
        self.gate.close(reason)

    def report_mix_up(self, name: str, *, owner: Job) -> None:
        """Report that the job of this name has the clip of another."""
        self.watcher.notice(
            f"{name}: fal mixed up two results, and this job has the clip of "
            f"{owner.output_name}. Check it, delete its file, and `tweenbatch fetch --name {name}` "
            "downloads its own clip, free of charge"
        )

    def pause_submissions(
        self, reason: str, *, retry_after_seconds: float | None = None, too_many: bool = False
    ) -> None:
        """Pause the gate for trouble that concerns every job, and report it once."""
        before = self.gate.wait_seconds()
        pause = self.gate.pause(reason, retry_after_seconds=retry_after_seconds)
        if before:
            return
        self.slots.limit.narrow(now=self.clock.monotonic(), too_many=too_many)
        self._untrusted = self._untrusted + 1 if self.fal.untrusted else 0
        if self._untrusted < UNTRUSTED_TRIES:
            self.watcher.notice(f"{reason}; next submission in {pause:.0f} s")
            return
        # With an untrusted certificate nothing can be submitted, and nothing collected either.
        self.gate.close(
            f"{reason}. Waiting does not fix this: behind a company's proxy, set SSL_CERT_FILE to "
            "the file with its certificate; otherwise check the clock of this machine. Nothing is "
            "lost: run again"
        )
        if self.fal.host in self.fal.untrusted:
            self.stopping = True
        self.wake.set()
