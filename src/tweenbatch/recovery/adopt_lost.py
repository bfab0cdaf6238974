"""Adopt paid requests from fal's list that the table lost.

It reads and never buys. ``stages.match_history`` decides which request belongs to which job;
``listed_frames`` reads the frames for it.
"""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

from tweenbatch.clock import Clock
from tweenbatch.errors import (
    Answered,
    FalError,
    LeaseLost,
    Unintelligible,
    Unreachable,
)
from tweenbatch.fal import Fal, request_of
from tweenbatch.models import find
from tweenbatch.records import Intent, Job, PastRequest
from tweenbatch.recovery.listed_frames import ListedFrames, frames_of
from tweenbatch.recovery.stale_table import KEPT, StaleTable, when
from tweenbatch.stages.history import MARGIN, History
from tweenbatch.stages.match_history import (
    failed,
    is_like_ours,
    may_be_wanted,
    named_digest,
    recognise,
)
from tweenbatch.stages.reconcile import LONGEST_LIFE, Evidence, judge, longest_life
from tweenbatch.states import ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread
from tweenbatch.version import __version__

log = logging.getLogger(__name__)

MOST_PAGES = 20
MOST_FRAMES = 100
LOOKUP_SECONDS = 60.0
"""Limits of the lookup before a run pays, if its table does not seem to be stale."""


@dataclass(slots=True, kw_only=True)
class LostRequestRecovery:
    """Gives waiting jobs the requests that already paid for them; never buys."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    notice: Callable[[str], None]
    moved: Callable[[Job, State], None]
    rng: random.Random | None = None
    absent_after: timedelta | None = None
    """When a request has certainly ended, counted from its submission; set by a person."""
    pay_again: bool = False
    """A person agreed to pay also for jobs that an unreadable request may have paid for."""
    _frames: ListedFrames = field(init=False)
    _run_id: int | None = None

    def __post_init__(self) -> None:
        self._frames = ListedFrames(
            store=self.store, table=self.table, fal=self.fal, clock=self.clock, rng=self.rng
        )

    async def run(self, stale: StaleTable | None) -> str | None:
        """Adopt what a stale table lost; return why nothing may be submitted yet, if so.

        Without a ``stale`` table it reads the whole list of fal.
        """
        now = self._now()
        # Requests in progress at that time were submitted earlier.
        since = min(stale.since, now) - LONGEST_LIFE if stale else now - KEPT
        adopted = unmatched = unread = 0
        pause = timedelta(0)
        try:
            for endpoint in sorted(
                {each.endpoint for each in await self.table(self.store.views.pending)}
            ):
                history = History(fal=self.fal, clock=self.clock, rng=self.rng)
                listed = await history.since(endpoint, since)
                pause = max(pause, longest_life(listed, self.absent_after))
                if await self._shows_nothing_of_ours(endpoint, listed, since):
                    return (
                        f"fal's list of past requests shows none of this table's clips of "
                        f"{endpoint}, so it may omit others too; nothing is submitted. Run again "
                        "later with --trust-table and the key that paid for them"
                    )
                free = await self._free(endpoint, listed, since)
                jobs = await self.table(self.store.jobs.waiting, endpoint, _prompts(free))
                await self._frames.read(await self._frames.unread(jobs, free), jobs, most=None)
                given = await self._adopt(jobs, free)
                left = [request for request in free if request not in given]
                jobs = await self.table(self.store.jobs.waiting, endpoint, _prompts(left))
                # The name of an upload of ours says enough: it is none of these jobs'.
                urls = await self._frames.unread(jobs, left)
                unread += sum(named_digest(url) is None for url in urls)
                adopted += len(given)
                unmatched += len(left)
        except (Answered, Unreachable, Unintelligible) as error:
            return self._refusal(error)
        finally:
            await self._end_run(adopted)
        self._report(adopted, unmatched, since)
        if unread and not self.pay_again:
            return (
                f"{_frames_in(unread)} can't be read, so some requests in it may have "
                "paid for waiting jobs; nothing is submitted. Run again with --trust-table later, "
                "or add --pay-again to pay for these jobs all the same"
            )
        waiting = await self.table(self.store.views.pending)
        if stale is not None and waiting and self._now() < stale.paid_until + pause:
            return (
                "fal's list omits running requests, so recent payments may be missing. Run again "
                f"with --trust-table after {when(stale.paid_until + pause)}; nothing is submitted "
                "until then (--absent-after shortens that, if you know that no request is running)"
            )
        return None

    async def _shows_nothing_of_ours(
        self, endpoint: str, listed: Sequence[PastRequest], since: datetime
    ) -> bool:
        """Return True if the list should show our ended requests but shows none of them."""
        since = max(since, self._now() - KEPT + timedelta(days=1))
        own = await self.table(self.store.jobs.requests_since, endpoint, since)
        ended = {each.request_id for each in own if each.finished_at is not None}
        return bool(ended) and ended.isdisjoint(item.request_id for item in listed)

    async def adopt_before_paying(
        self, known_until: datetime | None, endpoints: Collection[str] | None = None
    ) -> datetime | None:
        """Adopt paid clips of waiting jobs before these are paid for; it takes a bounded time.

        ``known_until`` is the last heartbeat of the table; ``endpoints`` are those of waiting jobs,
        if known. If the adopted clips show that this table lost submissions, and other lost ones
        may still be running, it returns the time of the last one.
        """
        since = self._now() - KEPT
        adopted: list[PastRequest] = []
        if endpoints is None:
            endpoints = {each.endpoint for each in await self.table(self.store.views.pending)}
        try:
            for endpoint in sorted(endpoints):
                async with asyncio.timeout(LOOKUP_SECONDS):
                    jobs, made = await self._like_pending(endpoint, since, known_until)
                adopted += await self._adopt(jobs, made)
        except (Answered, Unreachable, Unintelligible, TimeoutError) as error:
            self.notice(_not_read(error))
        finally:
            await self._end_run(len(adopted))
        if adopted:
            self.notice(
                f"fal's list shows {_paid_clips(len(adopted))} missing from this table: "
                "downloaded, not paid again (--pay-again pays again)"
            )
        ours = [each for each in adopted if is_like_ours(each, surely=known_until is None)]
        unknown = [e.sent_at for e in ours if known_until is None or e.sent_at > known_until]
        recent = self._now() - longest_life((), self.absent_after)
        newest = max(unknown, default=recent)
        left = await self.table(self.store.views.pending)
        return newest if left and newest > recent else None

    async def _like_pending(
        self, endpoint: str, since: datetime, known_until: datetime | None
    ) -> tuple[list[Job], list[PastRequest]]:
        """Return waiting jobs, and clips without an owner that may belong to them."""
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        listed, whole = await history.latest(endpoint, since, pages=MOST_PAGES)
        oldest = min((item.sent_at for item in listed), default=since)
        if not whole and (known_until is None or known_until - MARGIN < oldest):
            self.notice(
                f"fal's list of {endpoint} is too long to read before a run: clips that another "
                f"table paid for before {when(oldest)} are not recognised, and are paid again"
            )
        free = [item for item in await self._free(endpoint, listed, since) if not failed(item)]
        jobs = await self.table(self.store.jobs.waiting, endpoint, _prompts(free))
        free = may_be_wanted(free, list(frames_of(jobs)))
        unseen = await self._frames.read(
            await self._frames.unread(jobs, free), jobs, most=MOST_FRAMES
        )
        if unseen:
            self.notice(
                f"{_frames_in(unseen)} can't be read, so some requests with the same prompt could "
                "not be compared: clips that they paid for are paid again"
            )
        return jobs, free

    def _now(self) -> datetime:
        """Return the earlier of the times of fal's clock, if known, and of our clock."""
        ours = self.clock.now()
        return min(self.fal.now() or ours, ours)

    def _report(self, adopted: int, unmatched: int, since: datetime) -> None:
        self.notice(
            f"fal's list since {when(since)} shows {_paid_clips(adopted)} missing from the table"
            f"{': downloaded, not paid again' if adopted else ''}"
        )
        if unmatched:
            others = "1 other request" if unmatched == 1 else f"{unmatched} other requests"
            self.notice(
                f"{others} in that list matched no job of this table; if the table lost their "
                "manifest, run that manifest with --trust-table too"
            )

    def _refusal(self, error: FalError) -> str:
        return (
            f"fal's list of past requests, or a frame in it, can't be read ({error}), so the paid "
            "requests are unknown; nothing is submitted. Run again with --trust-table"
        )

    async def _free(
        self, endpoint: str, listed: Sequence[PastRequest], since: datetime
    ) -> list[PastRequest]:
        """Return the requests that no attempt owns and no uncertain submission claims."""
        owned = await self.table(self.store.jobs.owned, [item.request_id for item in listed])
        doubts = [
            job
            for job in await self.table(self.store.jobs.uncertain)
            if job.spec.endpoint == endpoint
        ]
        if doubts:
            now = self._now()
            evidence = Evidence(
                listed=listed,
                own=await self.table(self.store.jobs.requests_since, endpoint, since - 2 * MARGIN),
                key_fingerprint=self.fal.key_fingerprint,
                now=now,
                ahead=self.clock.now() - now,
            )
            judged = judge(doubts, evidence).values()
            owned |= {each.found.request_id for each in judged if each.found is not None}
        return [item for item in listed if item.request_id not in owned]

    async def _adopt(self, jobs: Sequence[Job], free: Sequence[PastRequest]) -> list[PastRequest]:
        """Give the jobs their requests; return the adopted requests."""
        if not jobs:
            return []
        found = recognise(jobs, free, find(jobs[0].spec.endpoint), self._frames.contents)
        return [request for job, request in found if await self._take_over(job, request)]

    async def _take_over(self, job: Job, past: PastRequest) -> bool:
        """Record one request; False if the job or the request has another owner by now."""
        intent = Intent(
            arguments=past.input,
            price_usd=job.price_usd,
            key_fingerprint=self.fal.key_fingerprint,
            host=self.fal.host,
        )
        now = self.clock.now()
        try:
            after = await self.table(
                self.store.jobs.adopt,
                job,
                intent,
                request_of(job.spec.endpoint, past.request_id),
                run_id=await self._run(now),
                sent_at=past.sent_at,
                now=now,
            )
        except (LeaseLost, ImpossibleTransition) as error:
            log.warning("not adopted job=%d: %s", job.id, error)
            return False
        log.warning("adopted job=%d request=%s", job.id, past.request_id)
        self.moved(after, State.PENDING)
        return True

    async def _run(self, now: datetime) -> int:
        """Return a run that stands for the lost ones, so that this run's limit is not used up."""
        if self._run_id is None:
            self._run_id = await self.table(
                self.store.runs.begin,
                host=socket.gethostname(),
                pid=os.getpid(),
                version=__version__,
                now=now,
                max_cost_usd=None,
            )
        return self._run_id

    async def _end_run(self, adopted: int) -> None:
        if self._run_id is not None:
            note = f"stands for lost runs: {adopted} adopted"
            await self.table(
                self.store.runs.end, self._run_id, now=self.clock.now(), exit_code=0, note=note
            )


def _prompts(requests: Sequence[PastRequest]) -> list[str]:
    """Return the different prompts of the requests whose input fal shows."""
    inputs = (item.input for item in requests if isinstance(item.input, dict))
    texts = (each.get("prompt") for each in inputs)
    return list(dict.fromkeys(text for text in texts if isinstance(text, str)))


def _paid_clips(count: int) -> str:
    if count == 1:
        return "1 paid clip that was"
    return f"{count or 'no'} paid clips that were"


def _frames_in(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'} in fal's list"


def _not_read(error: Exception) -> str:
    """Return the message that the list was not read, with the possible cost."""
    why = str(error) or f"it took more than {LOOKUP_SECONDS:g} s"
    if isinstance(error, Answered) and error.http_status == HTTPStatus.FORBIDDEN:
        why += ": the key lacks the permission models:requests:read"
    return (
        f"fal's list of past requests can't be read ({why}): clips that were paid for and are "
        "missing from this table are paid again, and lost replies can't be looked up"
    )
