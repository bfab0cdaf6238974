"""Waits for a submitted request to end, and reads its result. It never submits."""

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Protocol

from tweenbatch.backoff import jittered
from tweenbatch.clock import Clock
from tweenbatch.errors import (
    AccountRefused,
    Answered,
    Unintelligible,
    Unreachable,
    Unreadable,
)
from tweenbatch.fal import Fal, video_of
from tweenbatch.fal.errors import failure_of, untyped_failure_of
from tweenbatch.fal.retrying import is_worth_repeating, reading
from tweenbatch.http_statuses import GONE, REFUSES_KEY
from tweenbatch.records import (
    Billed,
    Failure,
    Job,
    Outcome,
    PastRequest,
    Phase,
    RemoteStatus,
    RemoteVideo,
)
from tweenbatch.stages import policy
from tweenbatch.stages.history import History
from tweenbatch.stages.listings import Listings
from tweenbatch.stages.poll_schedule import PollScheduler
from tweenbatch.stages.poll_timing import RequestObservation
from tweenbatch.stages.read_result import (
    ResultReader,
    video_in,
)
from tweenbatch.stages.result_evidence import failed
from tweenbatch.states import Event

log = logging.getLogger(__name__)

NOT_FOUND_GRACE = timedelta(minutes=10)
"""fal's replicas may not know a new request at first; after this time it is unknown there."""

PROBE_SECONDS = 0.25
PROBE_FACTOR = 2.0
PROBE_POLLS = 4
"""Extra polls of the probe, to see when it starts."""

STUCK_RUNNING = timedelta(hours=3)
STUCK_QUEUED = timedelta(hours=12)
"""After this time a request holds no slot; it is polled only now and then."""

SILENCE_BASE_SECONDS = 0.25
SILENCE_CAP_SECONDS = 10.0
"""Pauses after polls that returned no status."""


class Observer(Protocol):
    """Follows the wait for one request, and decides when its polls and reads are due."""

    def saw_status(self, status: RemoteStatus) -> None:
        """Handle the answer to a poll."""

    def got_no_answer(self, reason: str, since: float) -> None:
        """Handle a poll, begun at ``since`` (``Clock.monotonic``), that got no answer."""

    async def saw_trouble(self, failure: Failure) -> None:
        """Handle a result that answers with an error which proves nothing."""

    async def owner_of(self, video: RemoteVideo) -> str | None:
        """Return the name of another clip that already has this address."""

    def probed_since(self) -> float | None:
        """Return since when the request is the probe, which is polled early; None: it is not."""

    def slot_available_since(self) -> float:
        """Return since when fal could have started the request, as now known."""

    async def let_submissions_go_first(self) -> None:
        """Return when a result that is not urgent may be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """Polls requests until they end."""

    fal: Fal
    clock: Clock
    rng: random.Random
    polls: PollScheduler
    listings: Listings
    with_logs: bool = False

    async def wait(
        self,
        job: Job,
        *,
        observer: Observer,
        patient: bool = True,
    ) -> Outcome:
        """Return the outcome of a submitted job; ``patient`` is passed to ``ResultReader``.

        Raises ``AccountRefused`` if the key may not read the request, and ``Unreadable`` if its
        status or result can't be read yet.
        """

        async def poll() -> RemoteStatus:
            status = await self._poll(job)
            observer.saw_status(status)
            return status

        async def due() -> None:
            await self._until_due(observation, observer)

        observation = self._observe(job)
        result = ResultReader(
            fal=self.fal,
            clock=self.clock,
            rng=self.rng,
            listings=self.listings,
            job=job,
            poll=poll,
            judge_error=partial(self._judge_error, job),
            observer=observer,
            patient=patient,
        )
        if job.not_before is not None:
            pause = (job.not_before - self.clock.now()).total_seconds()
            await self._pause(max(0.0, pause))
        while True:
            status = await self._until_completed(
                job, observation, poll=poll, due=due, observer=observer
            )
            if isinstance(status, Outcome):
                return status
            ended = self.clock.monotonic()
            # Until a first clip of this kind is timed, results are read at once.
            if self.polls.timing.knows(observation):
                await observer.let_submissions_go_first()
            outcome = await result.read(status)
            if outcome is None:
                continue
            if outcome.video is not None and self.polls.timing.ended(
                observation, now=ended, at_work=status.inference_seconds
            ):
                self.polls.reschedule()
            return outcome

    async def is_alive(self, job: Job) -> bool:
        """Tell whether a job's earlier request, given up before, runs or made a clip after all.

        Called before the job is paid for again. Raises ``Unreadable`` if that is unknown.
        """
        request = job.request
        assert request is not None
        try:
            status = await self._poll(job)
            if status.phase is not Phase.COMPLETED:
                return True
            result = await reading(lambda: self.fal.result(request), clock=self.clock, rng=self.rng)
        except Answered as answer:
            listed = await self.listings.row_of(job)
            video = video_in(listed)
            if video is not None:
                return _is_news(job, video)
            if not _proves_absence(answer, listed, agreed=job.tries == 0):
                raise Unreadable(f"its result answers HTTP {answer.http_status}") from answer
            return False
        except (Unreachable, Unintelligible) as error:
            raise Unreadable(f"its result can't be read ({error})") from error
        try:
            return _is_news(job, video_of(result))
        except Unintelligible:
            return False

    async def _until_completed(
        self,
        job: Job,
        observation: RequestObservation,
        *,
        poll: Callable[[], Awaitable[RemoteStatus]],
        due: Callable[[], Awaitable[None]],
        observer: Observer,
    ) -> RemoteStatus | Outcome:
        """Return the completed status, or the outcome of a request that fal no longer knows."""
        assert job.accepted_at is not None
        in_a_row = 0
        while True:
            await due()
            waited = (self.clock.now() - job.accepted_at).total_seconds()
            began = self.clock.monotonic()
            try:
                status = await poll()
                if status.phase is Phase.COMPLETED:
                    return status
                _refuse_to_wait_forever(status, waited)
                waiting = status.phase is Phase.QUEUED
                observation.unfinished(self.clock.monotonic(), waiting=waiting)
                in_a_row = 0
                continue
            except Answered as answer:
                if is_worth_repeating(answer):
                    observer.got_no_answer(f"fal answers HTTP {answer.http_status}", began)
                gone = await self._judge_error(job, answer)
                if gone is not None:
                    return gone
            except (Unreachable, Unintelligible) as error:
                log.warning("poll failed, polling again: %s job=%d", error, job.id)
                observer.got_no_answer(f"fal does not answer ({error})", began)
            in_a_row += 1
            await self._pause(
                jittered(in_a_row, base=SILENCE_BASE_SECONDS, cap=SILENCE_CAP_SECONDS, rng=self.rng)
            )

    def _observe(self, job: Job) -> RequestObservation:
        assert job.accepted_at is not None
        waited = (self.clock.now() - job.accepted_at).total_seconds()
        kind = (job.spec.endpoint, job.spec.parameters.get("duration"))
        now = self.clock.monotonic()
        return self.polls.timing.sight(kind, accepted=now - max(0.0, waited), now=now)

    async def _until_due(self, observation: RequestObservation, observer: Observer) -> None:
        """Wait until the next poll is due; that changes when the request gets a slot."""

        def due() -> float:
            observation.turn = observer.slot_available_since()
            since = observer.probed_since()
            return (
                self.polls.timing.due(observation)
                if since is None
                else self._probe_due(observation, since)
            )

        await self.polls.wait_until(due)
        while observation.waits and due() > self.clock.monotonic():
            await self.polls.wait_until(due)

    def _probe_due(self, observation: RequestObservation, since: float) -> float:
        """Return when to poll the probe, which shows whether new requests have to wait."""
        if observation.looked is None or observation.looked < since:
            return since
        due = self.polls.timing.due(observation)
        if observation.looks >= PROBE_POLLS:
            return due
        waited = observation.looked - observation.accepted
        return min(due, observation.looked + max(PROBE_SECONDS, PROBE_FACTOR * waited))

    async def _pause(self, seconds: float) -> None:
        at = self.clock.monotonic() + seconds
        await self.polls.wait_until(lambda: at)

    async def _poll(self, job: Job) -> RemoteStatus:
        request = job.request
        assert request is not None
        return await reading(
            lambda: self.fal.status(request, logs=self.with_logs),
            clock=self.clock,
            rng=self.rng,
        )

    async def _judge_error(self, job: Job, answer: Answered) -> Outcome | None:
        """Return the outcome that an HTTP error of a read proves; None: poll again."""
        assert job.accepted_at is not None
        if answer.http_status in REFUSES_KEY:
            raise AccountRefused(
                f"fal does not let this key read request {job.request and job.request.request_id}",
                http_status=answer.http_status,
            )
        long_known = self.clock.now() - job.accepted_at > NOT_FOUND_GRACE
        if answer.http_status in GONE and long_known:
            return await self._gone(job, answer.http_status)
        log.warning("poll answered HTTP %d, polling again job=%d", answer.http_status, job.id)
        return None

    async def _gone(self, job: Job, http_status: int) -> Outcome:
        """Return the outcome of a request that fal no longer knows, from fal's history."""
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        video = await history.remembered_video(job)
        if video is not None:
            return Outcome(event=Event.GENERATED, video=video)
        if job.billed is Billed.YES:
            return policy.lost("fal made the clip and no longer returns its result")
        failure = Failure(
            type="request_unknown",
            message="fal no longer knows this request, which it had accepted",
            http_status=http_status,
        )
        return Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure)


def _refuse_to_wait_forever(status: RemoteStatus, waited_seconds: float) -> None:
    waited = timedelta(seconds=waited_seconds)
    if status.phase is Phase.RUNNING and waited > STUCK_RUNNING:
        raise Unreadable(f"it has been running for over {STUCK_RUNNING.seconds // 3600} hours")
    if status.phase is Phase.QUEUED and waited > STUCK_QUEUED:
        raise Unreadable(
            f"it has been in fal's queue for over {STUCK_QUEUED.seconds // 3600} hours"
        )


def _is_news(job: Job, video: RemoteVideo) -> bool:
    """Tell whether this address of a clip is new: the job was not given up with it before."""
    return job.video is None or job.video.url != video.url


def _proves_absence(answer: Answered, listed: PastRequest | None, *, agreed: bool) -> bool:
    """Tell whether an error proves that there is no clip, before the job is paid for again.

    If the user ``agreed`` to pay again, a server error is enough.
    """
    if listed is not None and failed(listed):
        return True
    if answer.http_status in GONE or failure_of(answer) is not None:
        return True
    if untyped_failure_of(answer) is None:
        return False
    return agreed or answer.http_status < HTTPStatus.INTERNAL_SERVER_ERROR
