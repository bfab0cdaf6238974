"""What was paid for and the table does not know, found in fal's list and taken over as paid work.

It reads, and never buys; which request is whose is judged in ``stages.match_history``.
"""

import asyncio
import hashlib
import logging
import os
import random
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from tweenbatch.clock import Clock
from tweenbatch.errors import (
    Answered,
    DownloadFailed,
    FalError,
    LeaseLost,
    Unintelligible,
    Unreachable,
    UrlExpired,
)
from tweenbatch.fal import DOWNLOADS_AT_ONCE, Fal, request_of
from tweenbatch.fal.addresses import serves_files
from tweenbatch.fal.retrying import reading
from tweenbatch.frames import inspect as frames
from tweenbatch.models import find
from tweenbatch.records import Frame, Intent, Job, PastRequest
from tweenbatch.recovery.stale_table import KEPT, StaleTable, when
from tweenbatch.stages.history import MARGIN, History
from tweenbatch.stages.match_history import (
    failed,
    frames_to_see,
    is_like_ours,
    may_be_wanted,
    recognise,
)
from tweenbatch.stages.reconcile import LONGEST_LIFE, Evidence, judge, longest_life
from tweenbatch.states import ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread
from tweenbatch.version import __version__

log = logging.getLogger(__name__)

EVER = datetime.min.replace(tzinfo=UTC)

MOST_PAGES = 20
MOST_FRAMES = 100
LOOKUP_SECONDS = 60.0
"""So much a run looks up before it pays, where nothing speaks against its table."""


@dataclass(slots=True, kw_only=True)
class LostRequestRecovery:
    """Gives waiting jobs the requests that they were paid for with; it reads, and never buys."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    notice: Callable[[str], None]
    moved: Callable[[Job, State], None]
    rng: random.Random | None = None
    absent_after: timedelta | None = None
    """How long after its sending a person takes a request to have ended, if one has said it."""
    _contents: dict[str, str] = field(default_factory=dict)
    _run_id: int | None = None

    async def run(self, stale: StaleTable | None) -> str | None:
        """Adopt what an older table lost; return why nothing must be submitted yet, if so.

        Without a doubt it looks back as far as fal's list goes.
        """
        now = self._now()
        # What was at work at fal then had been sent before.
        since = min(stale.since, now) - LONGEST_LIFE if stale else now - KEPT
        adopted = strangers = 0
        pause = timedelta(0)
        try:
            for endpoint in sorted(
                {each.endpoint for each in await self.table(self.store.views.pending)}
            ):
                history = History(fal=self.fal, clock=self.clock, rng=self.rng)
                listed = await history.since(endpoint, since)
                pause = max(pause, longest_life(listed, self.absent_after))
                free = await self._free(endpoint, listed, since)
                jobs = await self.table(self.store.jobs.waiting, endpoint, _prompts(free))
                await self._read_frames(await self._unread_frames(jobs, free), most=None)
                given = len(await self._adopt(jobs, free))
                adopted += given
                strangers += len(free) - given
        except (Answered, Unreachable, Unintelligible) as error:
            return self._refusal(error)
        finally:
            await self._end_run(adopted)
        self._report(adopted, strangers, since)
        left = await self.table(self.store.views.pending)
        if stale is not None and left and self._now() < stale.paid_until + pause:
            return (
                "fal lists only what has ended, so that the last that was paid for may be missing: "
                f"run again with --trust-table after {when(stale.paid_until + pause)}; nothing is "
                "submitted before (--absent-after shortens that, if you know that nothing runs)"
            )
        return None

    async def adopt_before_paying(
        self, known_until: datetime | None, endpoints: Collection[str] | None = None
    ) -> datetime | None:
        """Adopt clips that were paid for, before others like them are; it takes a bounded time.

        ``known_until`` is the table's last sign of life, ``endpoints`` are those that something
        waits for, where that is known. Returns when the last of the clips was sent, where that
        was in a life of this table that it knows nothing of, and something else that was sent
        then may still run.
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
                f"{len(adopted)} clip(s) of these were paid for already, as fal's list shows, and "
                "this table did not know it; they are collected, not paid again (--pay-again pays)"
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
        """Return jobs that wait and clips that nobody owns, as far as they may belong together."""
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        listed, whole = await history.latest(endpoint, since, pages=MOST_PAGES)
        oldest = min((item.sent_at for item in listed), default=since)
        if not whole and (known_until is None or known_until - MARGIN < oldest):
            self.notice(
                f"fal lists more of {endpoint} than is looked up before a run: clips that another "
                f"table paid for before {when(oldest)} are not recognised and paid again"
            )
        free = [item for item in await self._free(endpoint, listed, since) if not failed(item)]
        jobs = await self.table(self.store.jobs.waiting, endpoint, _prompts(free))
        free = may_be_wanted(free, list(_frames(jobs)))
        unseen = await self._read_frames(await self._unread_frames(jobs, free), most=MOST_FRAMES)
        if unseen:
            self.notice(
                f"{unseen} frame(s) in fal's list can't be read, so that requests with the prompt "
                "of a clip that is wanted now could not be compared: if they were paid for it, it "
                "is paid again"
            )
        return jobs, free

    def _now(self) -> datetime:
        """Return the time by fal's clock, or else by ours; of two that differ the earlier."""
        ours = self.clock.now()
        return min(self.fal.now() or ours, ours)

    def _report(self, adopted: int, strangers: int, since: datetime) -> None:
        self.notice(
            f"fal's list since {when(since)}: {adopted} paid for and lost from the table; they "
            "are collected, not paid again"
        )
        if strangers:
            self.notice(
                f"{strangers} more in that list belong to no job of this table; if they are of a "
                "manifest that it lost, run that one with --trust-table too"
            )

    def _refusal(self, error: FalError) -> str:
        return (
            f"fal's list of past requests, or a frame in it, can't be read ({error}), so that "
            "nobody knows what was paid for; nothing is submitted. Run again with --trust-table"
        )

    async def _free(
        self, endpoint: str, listed: Sequence[PastRequest], since: datetime
    ) -> list[PastRequest]:
        """Return those requests that neither an attempt owns nor one of unknown outcome claims."""
        taken = await self.table(self.store.jobs.owned, [item.request_id for item in listed])
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
            taken |= {each.found.request_id for each in judged if each.found is not None}
        return [item for item in listed if item.request_id not in taken]

    async def _unread_frames(self, jobs: Sequence[Job], free: Sequence[PastRequest]) -> set[str]:
        """Return the addresses of frames whose bytes decide, and are not known by now."""
        await self._remember_uploads(jobs)
        urls = frames_to_see(jobs, free, find(jobs[0].spec.endpoint)) if jobs else set()
        return {url for url in urls if url not in self._contents and serves_files(url)}

    async def _adopt(self, jobs: Sequence[Job], free: Sequence[PastRequest]) -> list[PastRequest]:
        """Give the jobs their requests; return those that were given."""
        if not jobs:
            return []
        found = recognise(jobs, free, find(jobs[0].spec.endpoint), self._contents)
        return [request for job, request in found if await self._take_over(job, request)]

    async def _take_over(self, job: Job, past: PastRequest) -> bool:
        """Write one down; False where the job, or the request, has found another owner."""
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
        """Return the run that stands for those which paid: no limit of this one is touched."""
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

    # The bytes of frames

    async def _remember_uploads(self, jobs: Sequence[Job]) -> None:
        """Take from the table where the jobs' frames were uploaded, however long ago."""
        for sha256 in {frame.sha256 for frame in _frames(jobs)} - {None}:
            assert sha256 is not None
            url = await self.table(
                self.store.cache.upload_url, sha256, self.fal.key_fingerprint, since=EVER
            )
            if url is not None:
                self._contents[url] = sha256

    async def _read_frames(self, urls: Collection[str], *, most: int | None) -> int:
        """Read frames that fal serves, so many at most; return how many stay unseen.

        Without a limit it raises ``Unreachable`` where one can't be had now.
        """
        slots = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

        async def read(url: str) -> str | Unreachable | None:
            async with slots:
                try:
                    return await reading(lambda: self._sha256(url), clock=self.clock, rng=self.rng)
                except Unreachable as error:
                    return error

        chosen = sorted(urls)[:most]
        digests = await asyncio.gather(*map(read, chosen))
        unread = 0
        for url, digest in zip(chosen, digests, strict=True):
            if isinstance(digest, str):
                self._contents[url] = digest
            elif digest is None or most is not None:
                unread += 1
            else:
                raise digest
        if unread and most is None:
            self.notice(
                f"{unread} frame(s) in fal's list are gone there: nobody can "
                "tell any more whose they were"
            )
        return len(urls) - len(chosen) + unread

    async def _sha256(self, url: str) -> str | None:
        """Return the digest of a file's bytes; None if it was deleted or is not a frame."""
        digest, size = hashlib.sha256(), 0
        try:
            async with self.fal.download(url) as download:
                async for chunk in download.chunks():
                    size += len(chunk)
                    if size > frames.MAX_BYTES:
                        return None
                    digest.update(chunk)
        except UrlExpired:
            return None
        except DownloadFailed as error:
            raise Unreachable(f"a frame: {error}") from error
        return digest.hexdigest()


def _prompts(requests: Sequence[PastRequest]) -> list[str]:
    """Return the prompts of the requests whose input fal shows, each once."""
    inputs = (item.input for item in requests if isinstance(item.input, dict))
    texts = (each.get("prompt") for each in inputs)
    return list(dict.fromkeys(text for text in texts if isinstance(text, str)))


def _frames(jobs: Iterable[Job]) -> Iterator[Frame]:
    """Yield the frames of the jobs."""
    for job in jobs:
        yield job.spec.start
        if job.spec.end is not None:
            yield job.spec.end


def _not_read(error: Exception) -> str:
    """Say that nobody has looked, what that may cost and what to do."""
    why = str(error) or f"it took more than {LOOKUP_SECONDS:g} s"
    if isinstance(error, Answered) and error.http_status == HTTPStatus.FORBIDDEN:
        why += ": the key lacks the permission models:requests:read"
    return (
        f"fal's list of past requests can't be read ({why}): a clip that was paid for and is not "
        "in this table would be paid for again, and a lost reply can't be looked up"
    )
