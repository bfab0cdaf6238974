"""What an older table lost, found in fal's list of past requests and taken over as paid work.

It reads, and never buys; which request is whose is judged in ``stages.recognise``.
"""

import asyncio
import hashlib
import logging
import os
import random
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tweenbatch import __version__
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
from tweenbatch.records import Intent, Job, PastRequest
from tweenbatch.recovery.stale_table import KEPT, Doubt, when
from tweenbatch.stages.history import MARGIN, History
from tweenbatch.stages.match_history import frames_to_see, recognise
from tweenbatch.stages.reconcile import Evidence, judge, quarantine
from tweenbatch.states import ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.thread import TableThread

log = logging.getLogger(__name__)

EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class LostAndFound:
    """Gives waiting jobs the requests that they were paid for with; it reads, and never buys."""

    store: Store
    table: TableThread
    fal: Fal
    clock: Clock
    notice: Callable[[str], None]
    moved: Callable[[Job, State], None]
    rng: random.Random | None = None
    _contents: dict[str, str] = field(default_factory=dict)
    _run_id: int | None = None

    async def look(self, found: Doubt | None) -> str | None:
        """Adopt what was paid for; return why nothing must be submitted yet, if there is a reason.

        Without a doubt it looks back as far as fal's list goes.
        """
        now = self.clock.now()
        since = found.since if found else now - KEPT
        adopted = strangers = 0
        pause = timedelta(0)
        try:
            for endpoint in sorted({each.endpoint for each in await self.table(self.store.unpaid)}):
                history = History(fal=self.fal, clock=self.clock, rng=self.rng)
                listed = await history.since(endpoint, since)
                pause = max(pause, quarantine(listed))
                free = await self._free(endpoint, listed, since)
                taken = await self._adopt(endpoint, free)
                adopted += taken
                strangers += len(free) - taken
        except (Answered, Unreachable, Unintelligible) as error:
            return self._unread(error)
        finally:
            await self._close_run(adopted)
        self._tell(adopted, strangers, since)
        left = await self.table(self.store.unpaid)
        if found is not None and left and self.clock.now() < found.paid_until + pause:
            return (
                "fal lists only what has ended, so that the last that was paid for may be missing: "
                f"run again with --trust-table after {when(found.paid_until + pause)}; nothing is "
                "submitted before"
            )
        return None

    def _tell(self, adopted: int, strangers: int, since: datetime) -> None:
        self.notice(
            f"fal's list since {when(since)}: {adopted} paid for and lost from the table; they "
            "are collected, not paid again"
        )
        if strangers:
            self.notice(
                f"{strangers} more in that list belong to no job of this table; if they are of a "
                "manifest that it lost, run that one with --trust-table too"
            )

    def _unread(self, error: FalError) -> str:
        return (
            f"fal's list of past requests, or a frame in it, can't be read ({error}), so that "
            "nobody knows what was paid for; nothing is submitted. Run again with --trust-table"
        )

    async def _free(
        self, endpoint: str, listed: Sequence[PastRequest], since: datetime
    ) -> list[PastRequest]:
        """Return those requests that neither an attempt owns nor one of unknown outcome claims."""
        taken = await self.table(self.store.owned, [item.request_id for item in listed])
        doubts = [
            job for job in await self.table(self.store.uncertain) if job.spec.endpoint == endpoint
        ]
        if doubts:
            evidence = Evidence(
                listed=listed,
                own=await self.table(self.store.requests_since, endpoint, since - 2 * MARGIN),
                key_fingerprint=self.fal.key_fingerprint,
                now=self.clock.now(),
            )
            judged = judge(doubts, evidence).values()
            taken |= {each.found.request_id for each in judged if each.found is not None}
        return [item for item in listed if item.request_id not in taken]

    async def _adopt(self, endpoint: str, free: Sequence[PastRequest]) -> int:
        jobs = await self.table(self.store.waiting, endpoint, _prompts(free))
        model = find(endpoint)
        await self._remember_uploads(jobs)
        await self._see(frames_to_see(jobs, free, model))
        adopted = 0
        for job, request in recognise(jobs, free, model, self._contents):
            adopted += await self._take_over(job, request)
        return adopted

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
                self.store.adopt,
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
                self.store.begin_run,
                host=socket.gethostname(),
                pid=os.getpid(),
                version=__version__,
                now=now,
                max_cost_usd=None,
            )
        return self._run_id

    async def _close_run(self, adopted: int) -> None:
        if self._run_id is not None:
            note = f"stands for lost runs: {adopted} adopted"
            await self.table(
                self.store.end_run, self._run_id, now=self.clock.now(), exit_code=0, note=note
            )

    # The bytes of frames

    async def _remember_uploads(self, jobs: Sequence[Job]) -> None:
        """Take from the table where the jobs' frames were uploaded, however long ago."""
        both = (frame for job in jobs for frame in (job.spec.start, job.spec.end))
        for sha256 in {frame.sha256 for frame in both if frame is not None} - {None}:
            assert sha256 is not None
            url = await self.table(
                self.store.upload_url, sha256, self.fal.key_fingerprint, since=EVER
            )
            if url is not None:
                self._contents[url] = sha256

    async def _see(self, urls: Collection[str]) -> None:
        """Read the frames that fal serves; raises ``Unreachable`` where one can't be had now."""
        room = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

        async def see(url: str) -> str | Unreachable | None:
            async with room:
                try:
                    return await reading(lambda: self._sha256(url), clock=self.clock, rng=self.rng)
                except Unreachable as error:
                    return error

        unseen = [url for url in urls if url not in self._contents and serves_files(url)]
        seen = await asyncio.gather(*map(see, unseen))
        gone = 0
        for url, found in zip(unseen, seen, strict=True):
            if isinstance(found, Unreachable):
                raise found
            if found is None:
                gone += 1
            else:
                self._contents[url] = found
        if gone:
            self.notice(
                f"{gone} frame(s) in fal's list are gone there: nobody can "
                "tell any more whose they were"
            )

    async def _sha256(self, url: str) -> str | None:
        """Return the digest of a file's bytes; None for one that is gone, or no frame."""
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
