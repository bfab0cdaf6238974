"""Writes the outcome of each stage to the table before the next stage begins."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tweenbatch.backoff import exponential
from tweenbatch.records import Billed, Job, Outcome
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.state import RunState
from tweenbatch.stages.dead_frames import DEAD_FRAME
from tweenbatch.states import FINAL, Event

log = logging.getLogger(__name__)

PARK_BASE_SECONDS = 30.0
PARK_CAP_SECONDS = 240.0
"""Shorter than the default of ``--settle``, so that an idle run tries a job again."""


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Records outcomes in the table, and updates the state of the run to match."""

    state: RunState
    intents: Intents

    async def record(self, job: Job, outcome: Outcome) -> Job:
        """Write an outcome; once begun, the write finishes even if this task is cancelled."""
        state = self.state
        if outcome.failure is not None and outcome.failure.type == DEAD_FRAME:
            # Before the job goes back to the queue: its next try must not reuse this address.
            await self.intents.forget_uploads(job)
        # Written first: until then only this process knows which request fal has accepted.
        write = state.table.urgent if outcome.event is Event.ACCEPTED else state.table
        writing = asyncio.ensure_future(
            write(
                state.store.jobs.transition,
                job,
                outcome,
                run_id=state.run_id,
                now=state.clock.now(),
            )
        )
        writing.add_done_callback(note_error)
        after = await asyncio.shield(writing)
        if outcome.failure is not None:
            log.warning(
                "%s job=%d: %s: %s",
                outcome.event,
                job.id,
                outcome.failure.type,
                outcome.failure.message,
            )
            state.streak.record_failure(outcome, job)
            if outcome.failure.billed is Billed.NO:
                state.budget_reached = None
        else:
            log.info("%s %s job=%d%s", outcome.event, job.output_name, job.id, _at_fal(after))
        self._release_the_brake(job, outcome)
        state.parkings.pop(job.id, None)
        if after.state in FINAL:
            state.generated.discard(job.id)
        if outcome.event is Event.FETCHED:
            state.streak.reset()
        if outcome.event is Event.OUTCOME_UNKNOWN:
            state.new_uncertain.set()
        state.watcher.moved(after, job.state)
        return after

    async def park(self, job: Job, why: str, *, release: Callable[..., None] | None = None) -> None:
        """Lay a paid job aside, longer each time, to read it again; it is never bought again."""
        state = self.state
        pause = park_pause(state.parkings[job.id])
        state.parkings[job.id] += 1
        state.watcher.notice(f"{job.output_name}: {why}; again in {pause.seconds} s")
        now = state.clock.now()
        give_back = release or state.store.jobs.release
        await state.table(give_back, job, now=now, not_before=now + pause)
        state.collect_again = True

    async def give_back(self, job: Job) -> None:
        """Return a job to the queue unchanged; it may be claimed again at once."""
        await self.state.table(self.state.store.jobs.release, job, now=self.state.clock.now())

    def _release_the_brake(self, job: Job, outcome: Outcome) -> None:
        """Tell the brake how a job ended, because others may wait for it."""
        if outcome.event is Event.GENERATED:
            self.state.brake.release()
        elif outcome.event is Event.GAVE_UP and outcome.failure is not None:
            self.state.brake.second_try_failed(job.id, outcome.failure)


def park_pause(n: int) -> timedelta:
    """Return how long to lay a paid job aside the n-th time, counted from 0."""
    return timedelta(seconds=exponential(n, base=PARK_BASE_SECONDS, cap=PARK_CAP_SECONDS))


def note_error(task: "asyncio.Task[Job]") -> None:
    """Retrieve the error of a task that is no longer awaited; the run reports it once elsewhere."""
    if not task.cancelled() and task.exception() is not None:
        log.debug("error of a task that is no longer awaited: %s", task.exception())


def _at_fal(job: Job) -> str:
    return f" request={job.request.request_id}" if job.request else ""
