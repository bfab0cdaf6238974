"""Resolve uncertain submissions during a run: read fal's list, have it judged, record the result.

``stages.reconcile`` is the judge, in pure functions. This module reads, waits and writes. One list
of an endpoint serves all its submissions.
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
"""The largest error of a clock with a wrong time zone, or with noon and midnight confused."""


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Reads the list soon after a lost reply and then less often, until the run ends."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    notice: Callable[[str], None]
    moved: Callable[[Job, State], None]
    on_read: Callable[[], None]
    """Called after each reading: jobs may be ready, or there is nothing left to wait for."""
    rng: random.Random | None = None
    absent: Callable[[int], None] = lambda _: None
    """Called before a job goes back into the queue, because fal never received its submission."""
    absent_after: timedelta | None = None
    """When a request has certainly ended, counted from its submission; set by a person."""
    doubted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an outcome becomes unknown."""
    reads: int = 0
    settled: bool = False
    """Whether jobs were resolved: there may be work to resume, or money to spend again."""
    doubt: str = ""
    """Why submissions were still uncertain after the last reading, or ""."""
    _hopeful: bool = True
    _agreement: Agreement = field(default_factory=Agreement)

    @property
    def hopeful(self) -> bool:
        """Whether a later reading may resolve more."""
        return self._hopeful or self.doubted.is_set()

    async def run(self) -> None:
        """Read the list repeatedly; never returns."""
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
        """Read one list per endpoint, record its proofs; return whether uncertain jobs remain."""
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
        """Return the judgement without a list: too early, or unproven for good."""
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
        """Return the start of the list to read, if our clock dated the submission."""
        now = self.fal.now()
        if now is None:
            return sent_at
        if sent_at > now:
            # Our clock was ahead by an unknown amount.
            return now - WRONG_BY
        return sent_at - max(timedelta(0), self.clock.now() - now)

    def _outcome(self, job: Job, judgement: Judgement) -> Outcome | None:
        """Return the outcome to record, if the judgement is conclusive."""
        assert job.attempt_id is not None
        agreed = self._agreement.is_reached(
            job.attempt_id, judgement.verdict, at=self.clock.monotonic()
        )
        if judgement.found is not None:
            found = request_of(job.spec.endpoint, judgement.found.request_id)
            return Outcome(event=Event.ACCEPTED, request=job.request or found)
        if agreed:
            self.absent(job.id)
            failure = Failure(
                type="proven_absent", message="fal never received the submission", billed=Billed.NO
            )
            return Outcome(event=Event.PROVEN_ABSENT, failure=failure)
        log.info("still uncertain job=%d: %s", job.id, judgement.reason or judgement.verdict)
        return None

    async def _settle(self, job: Job, outcome: Outcome) -> bool:
        """Record an outcome; False if the job or the request has another owner by now."""
        try:
            after = await self.table(self.store.jobs.settle, job, outcome, now=self.clock.now())
        except (LeaseLost, ImpossibleTransition) as error:
            log.warning("not settled job=%d: %s", job.id, error)
            return False
        self.moved(after, job.state)
        self.settled = True
        if outcome.request is not None:
            log.warning("adopted job=%d request=%s", job.id, outcome.request.request_id)
            self.notice(f"{job.output_name}: fal had accepted it; it is downloaded, not paid again")
        else:
            log.warning("proven absent job=%d", job.id)
            self.notice(f"{job.output_name}: fal never received it; it goes back into the queue")
        return True
