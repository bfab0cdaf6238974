"""One job from stage to stage, and each outcome into the table before the next stage begins.

The worker records; what a stage does is not known here, nor which job comes next.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from tweenbatch.clock import Clock
from tweenbatch.errors import (
    Answered,
    BudgetReached,
    DownloadFailed,
    FalError,
    FrameChanged,
    LaneRefused,
    LeaseLost,
    NotSent,
    TableBusy,
    TableUnusable,
    TweenbatchError,
    Unreadable,
    UnreadableFrame,
)
from tweenbatch.fal import Fal
from tweenbatch.lane import Lane
from tweenbatch.models import ENDPOINTS
from tweenbatch.records import Billed, Failure, Frame, Intent, Job, Outcome, RemoteStatus
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.stages.submit import not_accepted, submit
from tweenbatch.stages.upload import upload
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import Event, State
from tweenbatch.store import Store
from tweenbatch.table import TableThread

log = logging.getLogger(__name__)

T = TypeVar("T")

UPLOAD_VALID = timedelta(days=6)
"""fal keeps files at least 7 days; an older upload is made again."""

KEY_TROUBLE = frozenset({401, 403})
FRAME_REFUSED = frozenset({400, 413, 415, 422})
"""What fal's storage answers to a file that it will not take."""


class Watcher(Protocol):
    """Whoever wants to see how the run goes."""

    def moved(self, job: Job, before: State) -> None:
        """A job went from ``before`` to ``job.state``, and the table has it."""

    def model_log(self, job: Job, line: str) -> None:
        """The model said something about a job."""

    def notice(self, message: str) -> None:
        """Something happened that a person should know now."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """Works on the jobs that it is given, many at a time, and says what it holds."""

    store: Store
    table: TableThread
    run_id: int
    fal: Fal
    clock: Clock
    lane: Lane
    waiter: Waiter
    fetcher: Fetcher
    watcher: Watcher
    downloads: asyncio.Semaphore
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever there may be something new to hand out."""
    in_slots: set[int] = field(default_factory=set)
    """Jobs that hold, or are about to take, one of the provider's slots."""
    starting: set[int] = field(default_factory=set)
    """Jobs that were handed out to be submitted and have not come to it yet."""
    interruptible: set[int] = field(default_factory=set)
    """Jobs that are only waiting or reading: they may be left at any moment."""
    posts: set[asyncio.Task[Job]] = field(default_factory=set)
    """Submissions with the write of their outcome: they are never cut off."""
    submissions: int = 0
    stopping: bool = False
    budget_reached: bool = False
    broken_table: Exception | None = None
    _uploads: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _expired: Counter[int] = field(default_factory=Counter)
    _lines_shown: Counter[int] = field(default_factory=Counter)

    async def work(self, job: Job) -> None:
        """Take a job as far as this run may; whatever happens stays with this job."""
        try:
            await self._through_the_stages(job)
        except LeaseLost as error:
            log.warning("lease lost job=%d: %s", job.id, error)
        except asyncio.CancelledError:
            log.debug("left for the next run job=%d", job.id)
        except (TableUnusable, TableBusy) as error:
            self.broken_table = self.broken_table or error
            self.stopping = True
        except Exception:
            log.exception("left for the next run job=%d", job.id)
            self.watcher.notice(f"{job.output_name}: left for the next run, see the log")
        finally:
            for held in (self.in_slots, self.starting, self.interruptible):
                held.discard(job.id)
            self.wake.set()

    async def _through_the_stages(self, job: Job) -> None:
        """The state says which stage comes next; a job that must rest comes back as None."""
        stages = {
            State.PENDING: self._submit,
            State.SUBMITTED: self._wait,
            State.READY: self._fetch,
        }
        going: Job | None = job
        while going is not None and going.state in stages and not self.stopping:
            going = await stages[going.state](going)
            if going is not None and going.state is State.PENDING:
                return

    # Stages

    async def _submit(self, job: Job) -> Job | None:
        try:
            intent = await self._interruptibly(job, self._intent(job))
        except (FrameChanged, UnreadableFrame, FalError) as error:
            return await self._without_frames(job, error)
        post = asyncio.create_task(self._post(job, intent), name=f"post-{job.id}")
        self.posts.add(post)
        post.add_done_callback(self.posts.discard)
        try:
            return await asyncio.shield(post)
        except BudgetReached as error:
            self.budget_reached = True
            self.lane.abandoned()
            log.info("budget reached job=%d: %s", job.id, error)
            await self._rest(job)
            return None

    async def _without_frames(self, job: Job, error: TweenbatchError) -> Job | None:
        """Blame the row, the account or the way to fal for frames that are not there."""
        self.lane.abandoned()
        status = error.http_status if isinstance(error, Answered) else None
        if status in FRAME_REFUSED or isinstance(error, FrameChanged | UnreadableFrame):
            failure = Failure(
                type="frame_unusable",
                message=f"fal does not take a frame ({error})" if status else str(error),
                http_status=status,
                billed=Billed.NO,
            )
            return await self._record(job, Outcome(event=Event.GAVE_UP, failure=failure))
        if status in KEY_TROUBLE or isinstance(error, LaneRefused):
            self.lane.close(f"fal does not take frames from this key ({error})")
        else:
            self._trouble(f"frames can't be uploaded: {error}")
        await self._rest(job)
        return None

    async def _post(self, job: Job, intent: Intent) -> Job:
        """Intent, one POST, outcome: the part that nothing may cut in two."""
        job = await self._begin(job, intent)
        try:
            outcome = await submit(job, fal=self.fal)
        except NotSent as error:
            self.submissions -= 1
            self._trouble(str(error), retry_after_seconds=error.retry_after_seconds)
            outcome = not_accepted(error)
        except LaneRefused as error:
            self.submissions -= 1
            self.lane.close(str(error))
            outcome = not_accepted(error, http_status=error.http_status)
        except BaseException as error:
            self.lane.abandoned()
            failure = Failure(type="outcome_unknown", message=f"{type(error).__name__}")
            await self._record(job, Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure))
            raise
        else:
            if outcome.event is Event.OUTCOME_UNKNOWN:
                self._trouble("the outcome of a submission is unknown")
            else:
                self.lane.got_through()
        return await self._record(job, outcome)

    async def _begin(self, job: Job, intent: Intent) -> Job:
        begun = await self.table(
            self.store.begin_attempt, job, intent, run_id=self.run_id, now=self.clock.now()
        )
        self.submissions += 1
        self.starting.discard(job.id)
        self.watcher.moved(begun, job.state)
        return begun

    async def _wait(self, job: Job) -> Job | None:
        try:
            outcome = await self._interruptibly(
                job, self.waiter.wait(job, on_status=partial(self._show_logs, job))
            )
        except LaneRefused as error:
            self.lane.close(str(error))
            return None
        except Unreadable as error:
            self.watcher.notice(f"{job.output_name}: ended, left for the next run ({error})")
            return None
        return await self._record(job, outcome)

    async def _fetch(self, job: Job) -> Job | None:
        self.in_slots.discard(job.id)
        self.wake.set()
        async with self.downloads:
            if self.stopping:
                return None
            try:
                outcome = await self.fetcher.fetch(job, expired_rounds=self._expired[job.id])
            except DownloadFailed as error:
                self.watcher.notice(f"{job.output_name}: paid, but not yet here ({error})")
                return None
        if outcome.event is Event.URL_EXPIRED:
            self._expired[job.id] += 1
        return await self._record(job, outcome)

    # Frames

    async def _intent(self, job: Job) -> Intent:
        spec = job.spec
        start_url = await self._frame_url(spec.start)
        end_url = await self._frame_url(spec.end) if spec.end else None
        return Intent(
            arguments=ENDPOINTS[spec.endpoint].arguments(
                prompt=spec.prompt,
                start_url=start_url,
                end_url=end_url,
                parameters=spec.parameters,
            ),
            price_usd=job.price_usd,
            key_fingerprint=self.fal.key_fingerprint,
            host=self.fal.host,
        )

    async def _frame_url(self, frame: Frame) -> str:
        """Return the frame's URL; the same content is uploaded once, whoever asks first."""
        if frame.sha256 is None:
            return frame.source
        task = self._uploads.get(frame.sha256)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._uploaded(frame, frame.sha256))
            self._uploads[frame.sha256] = task
        return await asyncio.shield(task)

    async def _uploaded(self, frame: Frame, sha256: str) -> str:
        fingerprint = self.fal.key_fingerprint
        since = self.clock.now() - UPLOAD_VALID
        url = await self.table(self.store.upload_url, sha256, fingerprint, since=since)
        if url is None:
            url, size = await upload(frame, fal=self.fal, clock=self.clock)
            await self.table(
                self.store.remember_upload,
                sha256=sha256,
                key_fingerprint=fingerprint,
                url=url,
                bytes=size,
                now=self.clock.now(),
            )
        return url

    # Writing down

    async def _record(self, job: Job, outcome: Outcome) -> Job:
        """Write an outcome down; once begun it is carried out, whoever is cancelled."""
        writing = self.table(
            self.store.transition, job, outcome, run_id=self.run_id, now=self.clock.now()
        )
        after = await asyncio.shield(asyncio.ensure_future(writing))
        if outcome.failure is not None:
            log.warning(
                "%s job=%d: %s: %s",
                outcome.event,
                job.id,
                outcome.failure.type,
                outcome.failure.message,
            )
            if outcome.failure.billed is Billed.NO:
                self.budget_reached = False
        self.watcher.moved(after, job.state)
        return after

    def _trouble(self, reason: str, *, retry_after_seconds: float | None = None) -> None:
        """Pause the lane and say so, once for all the jobs that wait at it."""
        before = self.lane.wait_seconds()
        pause = self.lane.trouble(reason, retry_after_seconds=retry_after_seconds)
        if not before:
            self.watcher.notice(f"{reason}; next submission in {pause:.0f} s")

    async def _rest(self, job: Job) -> None:
        """Give a job back as it is; it may be taken up again at once."""
        await self.table(self.store.release, job, now=self.clock.now())

    async def _interruptibly(self, job: Job, doing: Coroutine[Any, Any, T]) -> T:
        self.interruptible.add(job.id)
        try:
            return await doing
        finally:
            self.interruptible.discard(job.id)

    def _show_logs(self, job: Job, status: RemoteStatus) -> None:
        """Pass on the model's lines that were not shown yet."""
        for line in status.logs[self._lines_shown[job.id] :]:
            self.watcher.model_log(job, line)
        self._lines_shown[job.id] = max(self._lines_shown[job.id], len(status.logs))
