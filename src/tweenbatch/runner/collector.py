"""Collects results: waits for submitted requests, records them, and warns the other jobs."""

import logging
from collections import Counter
from dataclasses import dataclass, field, replace

from tweenbatch.errors import AccountRefused, Unreadable
from tweenbatch.records import Failure, Job, Outcome, Phase, RemoteStatus, RemoteVideo
from tweenbatch.runner.charges import Charges
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.recorder import Recorder
from tweenbatch.runner.state import RunState
from tweenbatch.runner.submitter import Submitter
from tweenbatch.runner.throttle.unread_results import UnreadResults
from tweenbatch.stages.dead_frames import DEAD_FRAME, DeadFrames
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import Event, State

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Collector:
    """Waits for submitted requests to end and records their results."""

    state: RunState
    recorder: Recorder
    submitter: Submitter
    intents: Intents
    charges: Charges
    waiter: Waiter
    dead_frames: DeadFrames = field(default_factory=DeadFrames)
    unread: UnreadResults = field(default_factory=UnreadResults)
    """Results that answer with an error which proves nothing."""
    _served_elsewhere: set[tuple[str, str]] = field(default_factory=set)
    _lines_shown: Counter[int] = field(default_factory=Counter)
    _clip_owners: dict[str, Job] = field(default_factory=dict)
    """By address of a clip: the job whose result named it, until that is recorded."""

    async def collect(self, job: Job) -> Job | None:
        """Wait for a submitted job to end and record the outcome; None: it is laid aside."""
        try:
            outcome = await self._wait(job)
        except AccountRefused as error:
            self.state.gate.close(str(error))
            return None
        except Unreadable as error:
            self._lay_result_aside(job)
            await self.recorder.park(job, f"its result can't be read yet ({error})")
            return None
        return job if outcome is None else await self._record(job, outcome)

    async def _wait(self, job: Job) -> Outcome | None:
        """Return how the request ended, or None if a failed one made its clip after all."""
        outcome = await self.state.interruptibly(
            job,
            self.waiter.wait(
                job,
                observer=_Observer(self, job),
                patient=not self.unread.was_laid_aside(job.id),
            ),
        )
        outcome = await self.state.interruptibly(job, self.dead_frames.judged(job, outcome))
        if outcome.event is not Event.RETRY:
            return outcome
        self._record_first_failure(job, outcome)
        return await self.state.interruptibly(job, self._confirm_failure(job, outcome))

    async def _record(self, job: Job, outcome: Outcome) -> Job:
        """Record how a request ended, and release its slot."""
        self._report_serving_endpoint(job)
        outcome, message = self.charges.apply(job, outcome)
        if message is not None:
            report = (
                self.state.watcher.notice if self.charges.agreed else self.state.refuse_to_submit
            )
            report(message)
        self.unread.note_read(job.id)
        self._hold_submissions()
        if outcome.video is not None:
            await self._report_mix_up(job, outcome.video)
        after = await self.recorder.record(job, outcome)
        if outcome.video is not None:
            self._clip_owners.pop(outcome.video.url, None)
        if after.state is State.READY:
            self.state.generated.add(job.id)
        self.state.release_slot(job)
        return after

    def _report_serving_endpoint(self, job: Job) -> None:
        """Report once if another endpoint made the clip than the one that was paid for."""
        assert job.request is not None
        served_by = self.state.fal.served_by.pop(job.request.request_id, None)
        requested = job.spec.endpoint
        if served_by in {None, requested}:
            return
        log.warning("served by %s, not by %s job=%d", served_by, requested, job.id)
        if (requested, served_by) not in self._served_elsewhere:
            self._served_elsewhere.add((requested, str(served_by)))
            self.state.watcher.notice(
                f"{job.output_name}: fal reports that {served_by} made it, not {requested}; the "
                "log names every such clip"
            )

    def _record_first_failure(self, job: Job, outcome: Outcome) -> None:
        """Count a failure that will be tried again; several alike make the other jobs wait."""
        assert outcome.failure is not None
        before = self.state.brake.reason
        self.state.brake.failed(job.id, outcome.failure, tries=job.tries)
        if self.state.brake.reason is not None and before is None:
            self.state.watcher.notice(self.state.brake.reason)

    async def _confirm_failure(self, job: Job, outcome: Outcome) -> Outcome | None:
        """Wait for the pause before another purchase; None: fal made the clip after all.

        The result is read again after the pause. Until then the price stays reserved.
        """
        self.state.release_slot(job)
        assert outcome.not_before is not None
        if outcome.failure is not None and outcome.failure.type == DEAD_FRAME:
            # Other jobs with the same address must not be submitted with it in the meantime.
            await self.intents.forget_uploads(job)
        pause = (outcome.not_before - self.state.clock.now()).total_seconds()
        await self.state.clock.sleep(max(0.0, pause))
        if await self.waiter.is_alive(job):
            return None
        self.state.results_read_at[job.id] = self.state.clock.monotonic()
        return replace(outcome, not_before=None)

    async def saw_trouble(self, job: Job, failure: Failure) -> None:
        """Record and report why a result is read repeatedly."""
        news = self.unread.note_trouble(job.id, failure)
        self._hold_submissions()
        if not news:
            return
        await self.state.table(
            self.state.store.jobs.note_trouble, job, failure, now=self.state.clock.now()
        )
        if self.state.gate.held is None:
            answer = f"HTTP {failure.http_status}, " if failure.http_status else ""
            self.state.watcher.notice(
                f"{job.output_name}: its result can't be read ({answer}{failure.message}); "
                "it is read again, not paid again"
            )

    def _lay_result_aside(self, job: Job) -> None:
        """Count a result that has been unreadable for long; several alike stop submissions."""
        failure = self.unread.lay_aside(job.id)
        if failure is None:
            return
        self._hold_submissions()
        self.state.streak.record_failure(Outcome(event=Event.GAVE_UP, failure=failure), job)
        if self.unread.stop is not None and self.state.streak.limit is not None:
            self.state.refuse_to_submit(
                f"{self.unread.stop}; these clips are paid for, and every run reads them again"
            )

    def _hold_submissions(self) -> None:
        """Hold submissions while several results have the same trouble."""
        reason, before = self.unread.pause, self.state.gate.held
        self.state.gate.held = reason
        if reason is not None and before is None:
            self.state.watcher.notice(f"{reason}; nothing is submitted until this ends")
        if reason is None and before is not None:
            self.state.slots.admit()
            self.state.wake.set()

    async def _report_mix_up(self, job: Job, video: RemoteVideo) -> None:
        """Report another clip with the address that fal's list gives to this job."""
        owner = self._clip_owners.get(video.url)
        if owner is not None and owner.id == job.id:
            return  # this job named the address first
        other = await self.owner_of(job, video)
        if other is not None:
            self.state.report_mix_up(other, owner=job)

    async def owner_of(self, job: Job, video: RemoteVideo) -> str | None:
        """Return the name of another clip with this address: an address belongs to one attempt."""
        owner = self._clip_owners.setdefault(video.url, job)
        if owner.id != job.id:
            return owner.output_name
        name = await self.state.table(
            self.state.store.jobs.clip_at, video.url, besides=job.attempt_id
        )
        if name is not None:
            del self._clip_owners[video.url]
        return name

    def saw_status(self, job: Job, status: RemoteStatus) -> None:
        """Note the phase of a request, and show the new lines of the model's log."""
        self.state.gate.poll_answered()
        probe = self.state.slots.limit.probe
        self.state.slots.limit.polled(
            job.id,
            status.phase,
            now=self.state.clock.monotonic(),
            at_work=status.inference_seconds,
        )
        if self.state.slots.limit.probe not in {None, probe}:
            self.waiter.polls.reschedule()
        if status.phase is not Phase.COMPLETED:
            self.state.slots.admit()
        elif not (self.state.streak.is_close_to_limit or self.state.brake.has_suspects):
            self.state.release_slot(job)
        for line in status.logs[self._lines_shown[job.id] :]:
            self.state.watcher.model_log(job, line)
        self._lines_shown[job.id] = max(self._lines_shown[job.id], len(status.logs))

    def got_no_answer(self, reason: str, since: float) -> None:
        """Pause submissions if every poll fails; one unreadable request is not an outage."""
        if self.state.gate.is_silent(since=since):
            self.state.pause_submissions(reason)


@dataclass(frozen=True, slots=True)
class _Observer:
    """Connects the wait for one request to the run."""

    collector: Collector
    job: Job

    def saw_status(self, status: RemoteStatus) -> None:
        self.collector.saw_status(self.job, status)

    def got_no_answer(self, reason: str, since: float) -> None:
        self.collector.got_no_answer(reason, since)

    async def saw_trouble(self, failure: Failure) -> None:
        await self.collector.saw_trouble(self.job, failure)

    async def owner_of(self, video: RemoteVideo) -> str | None:
        return await self.collector.owner_of(self.job, video)

    def probed_since(self) -> float | None:
        return self.collector.state.slots.limit.probed_since(self.job.id)

    def slot_available_since(self) -> float:
        return self.collector.state.slots.limit.slot_available_since(self.job.id)

    async def let_submissions_go_first(self) -> None:
        await self.collector.submitter.let_submissions_go_first()
