"""The stage between acceptance and a finished clip: reads only, however long it takes."""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tweenbatch import policy
from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, LaneRefused, Unintelligible, Unreachable, Unreadable
from tweenbatch.fal import Fal, video_of
from tweenbatch.fal.errors import failure_of, failure_of_status
from tweenbatch.records import Billed, Failure, Job, Outcome, Phase, RemoteStatus
from tweenbatch.retrying import reading
from tweenbatch.states import Event

log = logging.getLogger(__name__)

NOT_FOUND_GRACE = timedelta(minutes=10)
"""fal's replicas may not know a fresh request yet; after this it is really unknown there."""

RESULT_GRACE = timedelta(minutes=10)
"""How long one run reads a result that answers with an error which says nothing of the clip."""

KEY_TROUBLE = frozenset({401, 403})
MISSING = frozenset({404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """Looks at requests until they end."""

    fal: Fal
    clock: Clock
    rng: random.Random
    with_logs: bool = False

    async def wait(
        self, job: Job, *, on_status: Callable[[RemoteStatus], None] = lambda _: None
    ) -> Outcome:
        """Return what became of a job that is ``submitted``; ``on_status`` sees every look.

        Raises ``LaneRefused`` where the key does not open the request, and ``Unreadable`` where
        it has ended and its result can't be read for now.
        """
        assert job.request is not None
        assert job.accepted_at is not None
        finished_at: datetime | None = None
        if job.not_before is not None:
            pause = (job.not_before - self.clock.now()).total_seconds()
            await self.clock.sleep(max(0.0, pause))
        while True:
            waited = (self.clock.now() - job.accepted_at).total_seconds()
            try:
                status = await self._look(job)
                on_status(status)
                if status.phase is Phase.COMPLETED:
                    finished_at = finished_at or self.clock.now()
                    return await self._conclude(job, status)
            except Answered as answer:
                outcome = self._give_up_reading(job, answer, finished_at)
                if outcome is not None:
                    return outcome
            except (Unreachable, Unintelligible) as error:
                log.warning("read failed, looking again: %s job=%d", error, job.id)
            await self.clock.sleep(policy.poll_seconds(max(waited, 0.0), rng=self.rng))

    async def _look(self, job: Job) -> RemoteStatus:
        request = job.request
        assert request is not None
        return await reading(
            lambda: self.fal.status(request, logs=self.with_logs), clock=self.clock
        )

    async def _conclude(self, job: Job, status: RemoteStatus) -> Outcome:
        """Read the result: its HTTP status is the truth, whatever the status said."""
        request = job.request
        assert request is not None
        try:
            result = await reading(lambda: self.fal.result(request), clock=self.clock)
        except Answered as answer:
            failure = failure_of(answer) or failure_of_status(status)
            if failure is None:
                raise
            return policy.decide(failure, tries=job.tries, now=self.clock.now(), rng=self.rng)
        return _generated(result)

    def _give_up_reading(
        self, job: Job, answer: Answered, finished_at: datetime | None
    ) -> Outcome | None:
        """Return what an HTTP error on a read means once it has lasted; None: look again."""
        assert job.accepted_at is not None
        now = self.clock.now()
        if answer.http_status in KEY_TROUBLE:
            raise LaneRefused(
                f"fal does not let this key read request {job.request and job.request.request_id}",
                http_status=answer.http_status,
            )
        if answer.http_status in MISSING and now - job.accepted_at > NOT_FOUND_GRACE:
            failure = Failure(
                type="request_unknown",
                message="fal does not know the request that it had accepted",
                http_status=answer.http_status,
            )
            return Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure)
        if finished_at is not None and now - finished_at > RESULT_GRACE:
            # The clip may well exist: reading goes on in a later run, buying never does.
            raise Unreadable(f"its result answers HTTP {answer.http_status}")
        log.warning("read answered HTTP %d, looking again job=%d", answer.http_status, job.id)
        return None


def _generated(result: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(event=Event.GENERATED, video=video_of(result))
    except Unintelligible as error:
        failure = Failure(
            type="paid_unreadable", message=f"{error}", retryable=False, billed=Billed.YES
        )
        return Outcome(event=Event.GAVE_UP, failure=failure)
