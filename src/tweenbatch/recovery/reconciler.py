"""Settles submissions of unknown outcome: when to read fal's history, and writing it down.

What a list proves is judged in ``stages.reconcile``. One list serves all of them.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from tweenbatch.backoff import exponential
from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, FalError, LeaseLost, Unintelligible, Unreachable
from tweenbatch.fal import Fal, request_of
from tweenbatch.fal.retrying import is_worth_repeating
from tweenbatch.records import Billed, Failure, Job, Outcome
from tweenbatch.stages.history import MARGIN, History
from tweenbatch.stages.reconcile import (
    BETWEEN_LISTINGS,
    Agreement,
    Evidence,
    Judgement,
    Verdict,
    judge,
    latest_instant,
    longest_life,
)
from tweenbatch.states import Event, ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 3.0
LONGEST_PAUSE_SECONDS = BETWEEN_LISTINGS.total_seconds()
LISTS_TO_PAUSE = 4.0
"""A pause lasts at least this many times as long as reading the list."""

WRONG_BY = timedelta(days=1)
"""A clock that was set to another zone, or to noon for midnight, is not wrong by more."""


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Looks early after a loss and then less often, for as long as the run goes on."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    notice: Callable[[str], None]
    moved: Callable[[Job, State], None]
    on_read: Callable[[], None]
    """Called after each look: there may be something to take up, or nothing to wait for."""
    rng: random.Random | None = None
    absent_after: timedelta | None = None
    """How long after its sending a person takes a request to have ended, if one has said it."""
    doubted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an outcome became unknown."""
    reads: int = 0
    settled: bool = False
    """Whether jobs were settled: there is something to take up, or money to spend again."""
    doubt: str = ""
    """Why submissions were still uncertain after the last look; "" where none was."""
    _hopeful: bool = True
    _agreement: Agreement = field(default_factory=Agreement)

    @property
    def hopeful(self) -> bool:
        """Whether a later look may settle more."""
        return self._hopeful or self.doubted.is_set()

    async def run(self) -> None:
        """Look again and again; never ends by itself."""
        in_a_row = 0
        while True:
            self.doubted.clear()
            began = self.clock.monotonic()
            in_doubt = await self._settle_all()
            reading_seconds = self.clock.monotonic() - began
            self.reads += 1
            self.on_read()
            pause = exponential(in_a_row, base=FIRST_PAUSE_SECONDS, cap=LONGEST_PAUSE_SECONDS)
            in_a_row += 1
            if await self._doubted_within(pause if in_doubt else None):
                self._hopeful = True
                in_a_row = 0
                await self.clock.sleep(max(FIRST_PAUSE_SECONDS, LISTS_TO_PAUSE * reading_seconds))

    async def _doubted_within(self, seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.doubted.wait()
        except TimeoutError:
            return False
        return True

    async def _settle_all(self) -> bool:
        """Read one list for each endpoint and settle what it proves; tell whether doubt is left."""
        doubts = sorted(
            await self.table(self.store.jobs.uncertain), key=lambda job: job.spec.endpoint
        )
        hopeful = in_doubt = False
        doubt = ""
        for endpoint, jobs in groupby(doubts, key=lambda job: job.spec.endpoint):
            of_endpoint = list(jobs)
            for job, judgement in await self._judged(endpoint, of_endpoint):
                outcome = self._outcome(job, judgement)
                if outcome is not None and await self._settle(job, outcome):
                    continue
                in_doubt = True
                hopeful = hopeful or judgement.verdict is not Verdict.UNPROVEN
                doubt = judgement.reason or doubt
        self._hopeful, self.doubt = hopeful, doubt
        return in_doubt

    async def _judged(self, endpoint: str, jobs: Sequence[Job]) -> Sequence[tuple[Job, Judgement]]:
        judged: Mapping[int, Judgement]
        try:
            evidence = await self._evidence(endpoint, jobs)
        except (Answered, Unreachable, Unintelligible) as error:
            judged = dict.fromkeys((job.id for job in jobs), self._unread(error))
        else:
            judged = judge(jobs, evidence)
        return [(job, judged[job.id]) for job in jobs]

    def _unread(self, error: FalError) -> Judgement:
        """Return what can be said without the list: nothing, and perhaps not later either."""
        reason = f"fal's list of past requests can't be read ({error})"
        log.warning("history not read: %s", error)
        if not isinstance(error, Answered) or is_worth_repeating(error):
            return Judgement(verdict=Verdict.TOO_EARLY, reason=reason)
        return Judgement(verdict=Verdict.UNPROVEN, reason=reason)

    async def _evidence(self, endpoint: str, jobs: Sequence[Job]) -> Evidence:
        since = self._since(min(job.sent_at for job in jobs if job.sent_at is not None))
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        listed = await history.since(endpoint, since)
        own = await self.table(self.store.jobs.requests_since, endpoint, since - 2 * MARGIN)
        now = self.fal.now() or latest_instant(listed) or self.clock.now()
        return Evidence(
            listed=listed,
            own=own,
            key_fingerprint=self.fal.key_fingerprint,
            now=now,
            ahead=self.clock.now() - now,
            life=longest_life(listed, self.absent_after),
        )

    def _since(self, sent_at: datetime) -> datetime:
        """Return since when to read the list, should our clock have dated the submission."""
        now = self.fal.now()
        if now is None:
            return sent_at
        if sent_at > now:
            # Our clock was ahead, nobody knows how far.
            return now - WRONG_BY
        return sent_at - max(timedelta(0), self.clock.now() - now)

    def _outcome(self, job: Job, judgement: Judgement) -> Outcome | None:
        """Return what is to be written down, if the judgement says enough."""
        assert job.attempt_id is not None
        agreed = self._agreement.is_reached(
            job.attempt_id, judgement.verdict, at=self.clock.monotonic()
        )
        if judgement.found is not None:
            found = request_of(job.spec.endpoint, judgement.found.request_id)
            return Outcome(event=Event.ACCEPTED, request=job.request or found)
        if agreed:
            failure = Failure(
                type="proven_absent", message="fal never had the submission", billed=Billed.NO
            )
            return Outcome(event=Event.PROVEN_ABSENT, failure=failure)
        log.info("still uncertain job=%d: %s", job.id, judgement.reason or judgement.verdict)
        return None

    async def _settle(self, job: Job, outcome: Outcome) -> bool:
        """Write it down; False where the job, or the request, has found another owner."""
        try:
            after = await self.table(self.store.jobs.settle, job, outcome, now=self.clock.now())
        except (LeaseLost, ImpossibleTransition) as error:
            log.warning("not settled job=%d: %s", job.id, error)
            return False
        self.moved(after, job.state)
        self.settled = True
        if outcome.request is not None:
            log.warning("adopted job=%d request=%s", job.id, outcome.request.request_id)
            self.notice(f"{job.output_name}: fal had accepted it; it is collected, not paid again")
        else:
            log.warning("proven absent job=%d", job.id)
            self.notice(f"{job.output_name}: fal never had it; it goes back into the queue")
        return True
