"""The last stage: a paid clip comes home, whole, under its own name, and is recorded after that.

A clip that can't be had now is not lost: whatever a file host answers may be over in a minute, or
tomorrow. Its address is asked again, then its result and fal's list of past requests are read for
another one. Nothing here costs money.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tweenbatch.backoff import jittered
from tweenbatch.clips.checker import Checker
from tweenbatch.clock import Clock
from tweenbatch.errors import (
    Answered,
    BrokenVideo,
    DownloadFailed,
    Unintelligible,
    Unreachable,
    Unreadable,
    UrlExpired,
    VideoError,
)
from tweenbatch.fal import Fal, video_of
from tweenbatch.fal.retrying import reading
from tweenbatch.files import atomic
from tweenbatch.http_statuses import GONE
from tweenbatch.records import Artifact, Failure, Job, Outcome, RemoteVideo
from tweenbatch.stages import policy
from tweenbatch.stages.history import History
from tweenbatch.stages.homes import Home, already_home, home_of, keep_broken, settle
from tweenbatch.stages.part_file import PartFile, writing_to
from tweenbatch.states import Event

log = logging.getLogger(__name__)

MAX_BYTES = 2_000_000_000
"""No clip is larger; an endless stream ends here."""

TRANSFERS = 5
"""Transfers of one clip in a row before it is left for later."""
BROKEN_TRANSFERS = 2
"""Of these so many may bring a broken file: the next ones would, too, and each is 27 MB."""

TRANSFER_BASE_SECONDS = 1.0
TRANSFER_CAP_SECONDS = 30.0

LOST_AFTER = timedelta(hours=24)
"""How long a clip can't be fetched, from the first try, before it is given up: the trouble of a
night is over by then, and so were the longest ones of fal that are on record (15 hours)."""

HISTORY_ROUNDS = 4
"""The list, which may have many pages, is read in every fourth round of a run."""

CLIP_MISSING = "clip_missing"
"""Error type of a job whose clip came home once and is neither here nor at fal."""

"""What a result answers that fal does not keep any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Brings clips into ``output``, or back to where they lay."""

    fal: Fal
    clock: Clock
    rng: random.Random
    output: Path
    checker: Checker
    max_bytes: int = MAX_BYTES

    async def fetch(self, job: Job, *, rounds: int = 0) -> Outcome:
        """Return what became of a job that is ``ready``.

        ``rounds`` counts the calls of this run for this clip before. Raises ``DownloadFailed``
        where the clip could not be had now, ``DiskTrouble`` where it can't be written and
        ``CheckUnavailable`` where no clip can be checked.
        """
        assert job.video is not None
        if job.kept is not None:
            found = await asyncio.to_thread(already_home, job, self.output, self.checker)
            if found is not None:
                return Outcome(event=Event.FETCHED, artifact=found)
        home = home_of(job, self.output)
        with writing_to(home.root):
            atomic.make_folder_of(home.root, home.name)
        with PartFile(home.part) as part:
            return await _Round(fetcher=self, job=job, home=home, part=part, rounds=rounds).play()

    def pause_seconds(self, n: int) -> float:
        """Return how long to wait after the n-th transfer that failed."""
        return jittered(n, base=TRANSFER_BASE_SECONDS, cap=TRANSFER_CAP_SECONDS, rng=self.rng)


@dataclass(slots=True, kw_only=True)
class _Round:
    """All addresses that a clip may have now, each tried once."""

    fetcher: Fetcher
    job: Job
    home: Home
    part: PartFile
    rounds: int
    tried: dict[str, VideoError] = field(default_factory=dict)
    named: bool = False
    """Whether fal, asked anew, still names an address."""
    unread: bool = False
    """Whether fal could not be asked."""

    async def play(self) -> Outcome:
        """Return what became of the job; raise ``DownloadFailed`` where that is for later."""
        for ask in self._sources():
            try:
                remote = await ask()
            except Unreadable as error:
                log.warning("%s job=%d", error, self.job.id)
                self.unread = True
                continue
            came = await self._try(remote)
            if came is not None:
                return came
        return self._not_here()

    def _sources(self) -> Sequence[Callable[[], Awaitable[RemoteVideo | None]]]:
        """Return who names an address, in the order in which they are asked.

        A clip that was here once may have been another's, of a result that fal mixed up: only
        the result, read anew, names its own address.
        """
        if self.job.kept is not None:
            return (self._of_result, self._recorded, self._of_history)
        return (self._recorded, self._of_result, self._of_history)

    def _not_here(self) -> Outcome:
        """Return the end of a clip that is nowhere any more; raise ``DownloadFailed`` before."""
        why = "; ".join(map(str, self.tried.values()))
        out_of_reach = any(isinstance(error, DownloadFailed) for error in self.tried.values())
        if self.unread or out_of_reach:
            raise DownloadFailed(why)
        if self.job.kept is not None:
            # Nothing is lost by that: it came home once, and may be asked for again.
            if self.named and not self._is_overdue() and self.rounds < HISTORY_ROUNDS - 1:
                raise DownloadFailed(why)
            failure = Failure(type=CLIP_MISSING, message=f"fal does not have it now ({why})")
            return Outcome(event=Event.UNAVAILABLE, failure=failure)
        if not self._is_overdue():
            raise DownloadFailed(why)
        hours = LOST_AFTER // timedelta(hours=1)
        said = f"it could not be fetched for {hours} hours ({why}), and fal names no other address"
        if self.home.broken.exists():
            said += f"; what came is kept as {self.home.broken.name}"
        return policy.lost(f"{said}: {next(iter(self.tried))}")

    def _is_overdue(self) -> bool:
        since = self.job.unfetched_since
        return since is not None and self.fetcher.clock.now() - since >= LOST_AFTER

    async def _recorded(self) -> RemoteVideo | None:
        return self.job.video

    async def _of_result(self) -> RemoteVideo | None:
        """Return the clip that the result names now, if it names one; raises ``Unreadable``."""
        request, fetcher = self.job.request, self.fetcher
        if request is None:
            return None
        try:
            result = await reading(
                lambda: fetcher.fal.result(request), clock=fetcher.clock, rng=fetcher.rng
            )
            video = video_of(result)
        except Unintelligible:
            return None
        except Answered as answer:
            if answer.http_status in GONE:
                return None
            raise Unreadable(f"the result answers HTTP {answer.http_status}") from answer
        except Unreachable as error:
            raise Unreadable(f"the result can't be read ({error})") from error
        self.named = True
        return video

    async def _of_history(self) -> RemoteVideo | None:
        """Return the clip that the list names, if this round asks it; raises ``Unreadable``."""
        fetcher = self.fetcher
        missed = self.job.kept is not None and not self.named
        due = self.rounds % HISTORY_ROUNDS == HISTORY_ROUNDS - 1
        if self.job.request is None or not (missed or due or self._is_overdue()):
            return None
        history = History(fal=fetcher.fal, clock=fetcher.clock, rng=fetcher.rng)
        video = await history.remembered_video(self.job)
        self.named = self.named or video is not None
        return video

    async def _try(self, remote: RemoteVideo | None) -> Outcome | None:
        """Fetch from an address that was not tried yet; None: it did not come, as is noted."""
        if remote is None or remote.url in self.tried:
            return None
        try:
            artifact = await self._transferred(remote)
        except (UrlExpired, BrokenVideo, DownloadFailed) as error:
            log.warning("not fetched job=%d: %s: %s", self.job.id, error, remote.url)
            self.tried[remote.url] = error
            return None
        return Outcome(event=Event.FETCHED, artifact=artifact, video=remote)

    async def _transferred(self, remote: RemoteVideo) -> Artifact:
        """Return the clip, after some tries; raise why the last of them failed."""
        part, fetcher = self.part, self.fetcher
        part.forget()
        broken = 0
        for n in range(1, TRANSFERS + 1):
            try:
                await self._download(remote)
                part.close()
                return await asyncio.to_thread(
                    settle, part.path, self.home, fetcher.checker, url=remote.url
                )
            except BrokenVideo as error:
                log.warning("clip is broken, again from its start job=%d: %s", self.job.id, error)
                # What was put together of two transfers says nothing of what fal delivers.
                broken += not part.resumed
                if broken == BROKEN_TRANSFERS or n == TRANSFERS:
                    if part.resumed:
                        raise DownloadFailed(str(error)) from error
                    if self._is_overdue():
                        await asyncio.to_thread(keep_broken, part.path, self.home)
                    raise
                part.forget()
            except DownloadFailed as error:
                log.warning("transfer failed job=%d: %s", self.job.id, error)
                if n == TRANSFERS:
                    raise
            await fetcher.clock.sleep(fetcher.pause_seconds(n - 1))
        raise AssertionError("the last transfer returns or raises")

    async def _download(self, remote: RemoteVideo) -> None:
        """Bring what is missing of the clip to the part; all of it where that must be."""
        part, most = self.part, self.fetcher.max_bytes
        async with self.fetcher.fal.download(
            remote.url, offset=part.offset, etag=part.etag, total=part.total
        ) as download:
            part.begin(download)
            async for chunk in download.chunks():
                if part.size + len(chunk) > most:
                    raise BrokenVideo(f"more than {most:,} bytes came")
                part.write(chunk)
        came = part.size - download.offset
        # The size in fal's result proves nothing: what is whole and can be decoded is a clip.
        if download.content_length not in {None, came}:
            announced = download.content_length
            raise BrokenVideo(f"Content-Length announced {announced:,} bytes and {came:,} came")
        if part.total not in {None, part.size}:
            raise BrokenVideo(f"the server announced {part.total:,} bytes and {part.size:,} came")
