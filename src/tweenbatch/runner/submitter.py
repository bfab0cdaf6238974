"""Takes a pending job through its one POST: frames, slot, intent, submission, outcome.

The last three are never separated, whatever the run does.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from tweenbatch.errors import (
    AccountRefused,
    Answered,
    BudgetReached,
    FalError,
    FrameChanged,
    NotSent,
    OutcomeUnknown,
    TableBusy,
    TableUnusable,
    TweenbatchError,
    Unreadable,
    UnreadableFrame,
)
from tweenbatch.http_statuses import REFUSES_ACCOUNT
from tweenbatch.records import Billed, Failure, Intent, Job, Outcome, PeriodLimit, Request
from tweenbatch.recovery.witness import AcceptedRequest, Witness
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.recorder import Recorder, note_error
from tweenbatch.runner.state import RunState
from tweenbatch.stages.submit import not_accepted, outcome_unknown, submit
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import Event, ImpossibleTransition

log = logging.getLogger(__name__)

SUBMISSIONS_FIRST_SECONDS = 0.5
"""The longest that a read of a result gives way to submissions."""

READ_JUST_NOW_SECONDS = 60.0
"""A result read this recently is not read again before its job is bought again."""

FRAME_REFUSED = frozenset({400, 413, 415, 422})
"""HTTP statuses with which fal's storage refuses a file."""


@dataclass(slots=True, kw_only=True)
class Submitter:
    """Submits jobs, each of them once."""

    state: RunState
    recorder: Recorder
    intents: Intents
    waiter: Waiter
    witness: Witness
    """Keeps the ids of accepted requests that can't be written to the table."""
    period_limits: Callable[[datetime], Sequence[PeriodLimit]] = lambda _: ()
    """Returns the spending limits at an instant that apply to all runs of the table."""
    _all_posted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no submission is in progress any more."""

    async def submit(self, job: Job) -> Job | None:
        """Take a pending job through its one POST; None: it is given back or laid aside."""
        try:
            intent = await self.state.interruptibly(job, self.intents.of(job))
        except (FrameChanged, UnreadableFrame, FalError) as error:
            return await self._without_frames(job, error)
        if not await self.state.interruptibly(job, self.state.slots.acquire(job.id)):
            await self.recorder.give_back(job)
            return None
        if job.spec.endpoint in self.state.models.names:
            self.state.gate.abandoned()
            await self.recorder.give_back(job)
            return None
        if job.attempt:
            try:
                earlier = await self.state.interruptibly(job, self._earlier_with_clip(job))
            except Unreadable as error:
                await self.recorder.park(
                    job, f"not paid again until its earlier request is known ({error})"
                )
                return None
            if earlier is not None:
                return await self._take_back(earlier)
        return await self._pay(job, intent)

    async def _pay(self, job: Job, intent: Intent) -> Job | None:
        """Submit a job that has a slot, in a task that outlives the cancellation of this one."""
        if self.intents.is_outdated(intent):
            self.state.gate.abandoned()
            await self.recorder.give_back(job)
            return None
        post = asyncio.create_task(self._post(job, intent), name=f"post-{job.id}")
        self.state.posts.add(post)
        self._all_posted.clear()
        post.add_done_callback(self._posted)
        post.add_done_callback(note_error)
        try:
            return await asyncio.shield(post)
        except BudgetReached as error:
            log.info("budget reached job=%d: %s", job.id, error)
            await self.recorder.give_back(job)
            return None

    async def _earlier_with_clip(self, job: Job) -> Job | None:
        """Return the job with its earlier request, if that request made a clip after all.

        This free check comes before each second payment. Raises ``Unreadable`` if fal's answer
        does not settle it.
        """
        read_at = self.state.results_read_at.pop(job.id, float("-inf"))
        if self.state.clock.monotonic() - read_at < READ_JUST_NOW_SECONDS:
            return None
        try:
            earlier = await self.state.table(self.state.store.jobs.earlier_request, job)
            if earlier is None or earlier.key_fingerprint != self.state.fal.key_fingerprint:
                return None
            return earlier if await self.waiter.is_alive(earlier) else None
        except BaseException:
            self.state.gate.abandoned()
            raise

    async def _take_back(self, earlier: Job) -> Job | None:
        """Continue a pending job with its earlier request, which is already paid for."""
        self.state.gate.abandoned()
        try:
            back = await self.state.table(
                self.state.store.jobs.take_back,
                earlier,
                run_id=self.state.run_id,
                now=self.state.clock.now(),
            )
        except BudgetReached as error:
            self.state.budget_reached = error
            await self.recorder.give_back(earlier)
            return None
        self.state.starting.discard(back.id)
        self.state.take_slot(back)
        self.state.watcher.notice(
            f"{back.output_name}: fal made this clip after all; it is collected, not paid again"
        )
        self.state.watcher.moved(back, earlier.state)
        return back

    async def _without_frames(self, job: Job, error: TweenbatchError) -> Job | None:
        """Handle frames that can't be used: the fault of the row, the account or the connection."""
        status = error.http_status if isinstance(error, Answered) else None
        if status in FRAME_REFUSED or isinstance(error, FrameChanged | UnreadableFrame):
            failure = Failure(
                type="frame_unusable",
                message=f"fal refuses a frame ({error})" if status else str(error),
                http_status=status,
                billed=Billed.NO,
            )
            return await self.recorder.record(job, Outcome(event=Event.GAVE_UP, failure=failure))
        if status in REFUSES_ACCOUNT or isinstance(error, AccountRefused):
            self.state.gate.close(f"fal refuses frames from this key or account ({error})")
        else:
            self.state.pause_submissions(f"could not upload frames: {error}")
        await self.recorder.give_back(job)
        return None

    async def _post(self, job: Job, intent: Intent) -> Job:
        """Write the intent, send the one POST and record its outcome, without interruption."""
        job = await self._begin(job, intent)
        outcome = await self._sent(job)
        try:
            return await self.recorder.record(job, outcome)
        except (TableUnusable, TableBusy):
            if outcome.request is not None:
                await self._save_request_id(job, outcome.request)
            raise
        except ImpossibleTransition as error:
            # A lookup has already given this request to an uncertain job with the same input.
            failure = Failure(type="outcome_unknown", message=str(error))
            return await self.recorder.record(
                job, Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure)
            )

    async def _sent(self, job: Job) -> Outcome:
        """Send the one POST, and tell the gate whether fal accepts submissions."""
        try:
            outcome = await submit(job, fal=self.state.fal)
        except NotSent as error:
            self.state.submissions -= 1
            self.state.pause_submissions(
                str(error),
                retry_after_seconds=error.retry_after_seconds,
                too_many=error.reached,
            )
            return not_accepted(error)
        except AccountRefused as error:
            self.state.submissions -= 1
            if not self._closes_model(job, str(error), error.http_status):
                self.state.gate.close(str(error))
            return not_accepted(error, http_status=error.http_status)
        except OutcomeUnknown as error:
            if error.stops:
                self.state.gate.close(str(error))
            else:
                self.state.pause_submissions("the outcome of a submission is unknown")
            return outcome_unknown(error)
        except BaseException as error:
            self.state.gate.abandoned()
            failure = Failure(type="outcome_unknown", message=f"{type(error).__name__}")
            await self.recorder.record(job, Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure))
            raise
        refusal = outcome.failure
        if refusal is not None and self._closes_model(job, refusal.message, refusal.http_status):
            self.state.submissions -= 1
            return replace(outcome, event=Event.NOT_ACCEPTED, counts=False)
        self.state.gate.got_through()
        if outcome.request is not None:
            self.state.models.accepted(job.spec.endpoint)
            now = self.state.clock.monotonic()
            self.state.slots.limit.accepted(job.id, at=now, now=now)
        self.state.slots.admit()
        self.state.wake.set()
        return outcome

    def _closes_model(self, job: Job, why: str, http_status: int | None) -> bool:
        """Close only one model after a refusal, if fal accepts others with the same key."""
        model = job.spec.endpoint
        already_closed = model in self.state.models.names
        if not self.state.models.refused(model, why, http_status=http_status):
            return False
        if not already_closed:
            self.state.watcher.notice(str(self.state.models.reason))
        # One submission follows as a probe: it shows whether the account is closed after all.
        self.state.gate.pause(why)
        return True

    async def _save_request_id(self, job: Job, request: Request) -> None:
        """Save a request id that the table can't take: in the witness file, or on the screen."""
        note = AcceptedRequest(
            key=job.key,
            attempt=job.attempt,
            endpoint=job.spec.endpoint,
            request=request,
            accepted_at=self.state.clock.now(),
        )
        log.error("accepted and not in the table job=%d request=%s", job.id, request.request_id)
        try:
            await asyncio.to_thread(self.witness.keep, note)
        except OSError as error:
            self.state.watcher.notice(
                f"{job.output_name}: fal accepted this clip, but its request id can't be saved "
                f"({error.strerror or error}). Keep this command and run it later: tweenbatch "
                f"resolve {job.id} --adopt {request.request_id}"
            )
        else:
            self.state.watcher.notice(
                f"{job.output_name}: fal accepted this clip, but the job table can't be written; "
                f"the next run reads its request id from {self.witness.path}"
            )

    async def _begin(self, job: Job, intent: Intent) -> Job:
        now = self.state.clock.now()
        # The price may have risen while the job waited in line.
        intent = replace(intent, price_usd=self.intents.price_usd(job))
        sent_at = self.state.fal.now() or now
        try:
            begun = await self.state.table.urgent(
                self.state.store.jobs.begin_attempt,
                job,
                intent,
                run_id=self.state.run_id,
                now=now,
                sent_at=sent_at,
                # A day begins by our clock, but submissions are dated by fal's clock.
                periods=[
                    replace(limit, begins=limit.begins - (now - sent_at))
                    for limit in self.period_limits(now)
                ],
            )
        except BaseException as error:
            self.state.gate.abandoned()
            if isinstance(error, BudgetReached):
                # Set before a later write to the table can clear it.
                self.state.budget_reached = error
            raise
        self.state.submissions += 1
        log.info("submits %s for $%s job=%d", job.output_name, intent.price_usd, job.id)
        self.state.starting.discard(job.id)
        self.state.watcher.moved(begun, job.state)
        return begun

    def _posted(self, post: asyncio.Task[Job]) -> None:
        self.state.posts.discard(post)
        if not self.state.posts:
            self._all_posted.set()

    async def let_submissions_go_first(self) -> None:
        """Wait for submissions in progress: each fills a free slot, and a result can wait."""
        # A job that has just been given a slot starts its POST after one turn of the loop.
        await asyncio.sleep(0)
        if self.state.posts:
            with suppress(TimeoutError):
                async with asyncio.timeout(SUBMISSIONS_FIRST_SECONDS):
                    await self._all_posted.wait()
