"""From a submitted job to the result of its request, and what that means for other jobs."""

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
    """Waits for requests to end."""

    state: RunState
    recorder: Recorder
    submitter: Submitter
    intents: Intents
    charges: Charges
    waiter: Waiter
    dead_frames: DeadFrames = field(default_factory=DeadFrames)
    unread: UnreadResults = field(default_factory=UnreadResults)
    """Results that answer with an error that proves nothing."""
    _served_elsewhere: set[tuple[str, str]] = field(default_factory=set)
    _lines_shown: Counter[int] = field(default_factory=Counter)
    _named: dict[str, Job] = field(default_factory=dict)
    """By address: the job whose result has just named it, until the table has it."""

    async def collect(self, job: Job) -> Job | None:
        """Wait for a submitted job to end and record how; None: it is laid aside."""
        try:
            outcome = await self.state.interruptibly(
                job,
                self.waiter.wait(
                    job,
                    observer=_Observer(self, job),
                    patient=not self.unread.was_laid_aside(job.id),
                ),
            )
            outcome = await self.state.interruptibly(job, self.dead_frames.judged(job, outcome))
            if outcome.event is Event.RETRY:
                self._first_try_failed(job, outcome)
                failed = await self.state.interruptibly(job, self._failed_for_good(job, outcome))
                if failed is None:
                    return job
                outcome = failed
        except AccountRefused as error:
            self.state.gate.close(str(error))
            return None
        except Unreadable as error:
            self._lay_result_aside(job)
            await self.recorder.park(job, f"can't be had for now ({error})")
            return None
        self._tell_who_served(job)
        outcome, dearer = self.charges.counted(job, outcome)
        if dearer is not None:
            (self.state.watcher.notice if self.charges.agreed else self.state.refuse_to_submit)(
                dearer
            )
        self.unread.note_read(job.id)
        self._hold()
        if outcome.video is not None:
            await self._tell_of_a_mix_up(job, outcome.video)
        after = await self.recorder.record(job, outcome)
        if outcome.video is not None:
            self._named.pop(outcome.video.url, None)
        if after.state is State.READY:
            self.state.generated.add(job.id)
        self.state.release_slot(job)
        return after

    def _tell_who_served(self, job: Job) -> None:
        """Say once where fal let another endpoint make what was asked and paid for."""
        assert job.request is not None
        served_by = self.state.fal.served_by.pop(job.request.request_id, None)
        asked = job.spec.endpoint
        if served_by in {None, asked}:
            return
        log.warning("served by %s, not by %s job=%d", served_by, asked, job.id)
        if (asked, served_by) not in self._served_elsewhere:
            self._served_elsewhere.add((asked, str(served_by)))
            self.state.watcher.notice(
                f"{job.output_name}: fal says that {served_by} served it, not {asked}; the log "
                "names each clip of which it says so"
            )

    def _first_try_failed(self, job: Job, outcome: Outcome) -> None:
        """Let all others wait where so many failed alike that a second try has to tell first."""
        assert outcome.failure is not None
        before = self.state.brake.reason
        self.state.brake.failed(job.id, outcome.failure, tries=job.tries)
        if self.state.brake.reason is not None and before is None:
            self.state.watcher.notice(self.state.brake.reason)

    async def _failed_for_good(self, job: Job, outcome: Outcome) -> Outcome | None:
        """Sit out the pause before another purchase; None: the clip is there after it.

        The result is read once more at its end, and until then the price stays reserved.
        """
        self.state.release_slot(job)
        assert outcome.not_before is not None
        if outcome.failure is not None and outcome.failure.type == DEAD_FRAME:
            # Others that share the address must not be submitted with it meanwhile.
            await self.intents.forget_uploads(job)
        pause = (outcome.not_before - self.state.clock.now()).total_seconds()
        await self.state.clock.sleep(max(0.0, pause))
        if await self.waiter.is_alive(job):
            return None
        self.state.results_read_at[job.id] = self.state.clock.monotonic()
        return replace(outcome, not_before=None)

    async def saw_trouble(self, job: Job, failure: Failure) -> None:
        """Write down why a result is read again and again, and say so."""
        news = self.unread.note_trouble(job.id, failure)
        self._hold()
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
        """Count a result that has been unreadable for long; several alike end the buying."""
        failure = self.unread.lay_aside(job.id)
        if failure is None:
            return
        self._hold()
        self.state.streak.record_failure(Outcome(event=Event.GAVE_UP, failure=failure), job)
        if self.unread.stop is not None and self.state.streak.limit is not None:
            self.state.refuse_to_submit(
                f"{self.unread.stop}; they are paid for, and each run reads them"
            )

    def _hold(self) -> None:
        """Let submissions wait while several results have the same trouble."""
        reason, before = self.unread.pause, self.state.gate.held
        self.state.gate.held = reason
        if reason is not None and before is None:
            self.state.watcher.notice(f"{reason}; nothing is submitted until that is over")
        if reason is None and before is not None:
            self.state.slots.admit()
            self.state.wake.set()

    async def _tell_of_a_mix_up(self, job: Job, video: RemoteVideo) -> None:
        """Say which clip has an address that is this job's by fal's own list."""
        namer = self._named.get(video.url)
        if namer is not None and namer.id == job.id:
            return  # it is the first to be given that address
        other = await self.owner_of(job, video)
        if other is not None:
            self.state.watcher.notice(
                f"{other}: fal mixed up two answers, and it was given the clip of "
                f"{job.output_name}; look at it, delete its file, and `tweenbatch fetch --name "
                f"{other}` downloads its own, free of charge"
            )

    async def owner_of(self, job: Job, video: RemoteVideo) -> str | None:
        """Return the name of another clip that has this address: each is one attempt's alone."""
        namer = self._named.setdefault(video.url, job)
        if namer.id != job.id:
            return namer.output_name
        name = await self.state.table(
            self.state.store.jobs.clip_at, video.url, besides=job.attempt_id
        )
        if name is not None:
            del self._named[video.url]
        return name

    def saw_status(self, job: Job, status: RemoteStatus) -> None:
        """Note how far fal is, and pass on the model's lines that were not shown yet."""
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
        """Pause the lane where all looks fail; one request that can't be read is no outage."""
        if self.state.gate.is_silent(since=since):
            self.state.pause_submissions(reason)


@dataclass(frozen=True, slots=True)
class _Observer:
    """Connects the wait for one request with the run."""

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
