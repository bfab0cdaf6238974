"""Download a paid clip, check it and move it to its name: the last stage of a job.

A clip that can't be downloaded now isn't lost: a file host's error may pass in a minute or a day.
The stage tries the recorded URL again, then the URL in the result, then the one in fal's list of
past requests. It is free.
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
from tweenbatch.stages.clip_paths import (
    ClipPaths,
    clip_paths,
    find_on_disk,
    keep_broken,
    publish,
)
from tweenbatch.stages.history import History
from tweenbatch.stages.part_file import PartFile, writing_to
from tweenbatch.states import Event

log = logging.getLogger(__name__)

MAX_BYTES = 2_000_000_000
"""No clip is larger; longer transfers are cut off here."""

TRANSFERS = 5
"""Transfers of one clip in sequence before the job is postponed."""
BROKEN_TRANSFERS = 2
"""Broken files among these before the stage stops: the next would be broken too, and each is
27 MB."""

TRANSFER_BASE_SECONDS = 1.0
TRANSFER_CAP_SECONDS = 30.0

LOST_AFTER = timedelta(hours=24)
"""A clip is given up only after this time from the first try. It is longer than one night, and
than fal's longest recorded incident (15 hours)."""

HISTORY_ROUNDS = 4
"""fal's list can have many pages, so it is read only in every fourth round of a run."""

CLIP_MISSING = "clip_missing"
"""Error type of a job whose clip was downloaded once and is now neither here nor at fal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Downloads clips into ``output``, or back to their former folders."""

    fal: Fal
    clock: Clock
    rng: random.Random
    output: Path
    checker: Checker
    max_bytes: int = MAX_BYTES

    async def fetch(self, job: Job, *, rounds: int = 0) -> Outcome:
        """Return the outcome of a job that is ``ready``.

        ``rounds`` counts this run's earlier calls for the clip. Raises ``DownloadFailed`` if the
        clip can't be downloaded now, ``DiskTrouble`` if it can't be written and
        ``CheckUnavailable`` if no clip can be checked.
        """
        assert job.video is not None
        if job.kept is not None:
            present = await asyncio.to_thread(find_on_disk, job, self.output, self.checker)
            if present is not None:
                # A crash between the two names of a clip may have left the first.
                with PartFile(clip_paths(job, self.output).part):
                    return Outcome(event=Event.FETCHED, artifact=present)
        paths = clip_paths(job, self.output)
        with writing_to(paths.folder):
            atomic.make_folder_of(paths.folder, paths.name)
        with PartFile(paths.part) as part:
            attempt = _Round(fetcher=self, job=job, paths=paths, part=part, rounds=rounds)
            return await attempt.fetch()

    def pause_seconds(self, n: int) -> float:
        """Return the pause after the n-th failed transfer."""
        return jittered(n, base=TRANSFER_BASE_SECONDS, cap=TRANSFER_CAP_SECONDS, rng=self.rng)


@dataclass(slots=True, kw_only=True)
class _Round:
    """One pass over all current URLs of a clip."""

    fetcher: Fetcher
    job: Job
    paths: ClipPaths
    part: PartFile
    rounds: int
    tried: dict[str, VideoError] = field(default_factory=dict)
    named: bool = False
    """Whether fal's result or list still names a URL."""
    unread: bool = False
    """Whether the result or the list could not be read."""

    async def fetch(self) -> Outcome:
        """Return the job's outcome; raise ``DownloadFailed`` if it must be tried again later."""
        for source in self._sources():
            try:
                remote = await source()
            except Unreadable as error:
                log.warning("%s job=%d", error, self.job.id)
                self.unread = True
                continue
            outcome = await self._try(remote)
            if outcome is not None:
                return outcome
        return self._unavailable()

    def _sources(self) -> Sequence[Callable[[], Awaitable[RemoteVideo | None]]]:
        """Return where to ask for the clip's URL, in this order.

        A clip that was here once may have been another's, from a result that fal mixed up: only
        the result, read again, names the clip's own URL.
        """
        if self.job.kept is not None:
            return (self._of_result, self._recorded, self._of_history)
        return (self._recorded, self._of_result, self._of_history)

    def _unavailable(self) -> Outcome:
        """Return the outcome of a clip that no URL has; raise ``DownloadFailed`` if it may pass."""
        why = "; ".join(map(str, self.tried.values()))
        out_of_reach = any(isinstance(error, DownloadFailed) for error in self.tried.values())
        if self.unread or out_of_reach:
            raise DownloadFailed(why)
        if self.job.kept is not None:
            # This loses nothing: the job stays paid, and the clip can be requested again.
            if self.named and not self._is_overdue() and self.rounds < HISTORY_ROUNDS - 1:
                raise DownloadFailed(why)
            failure = Failure(type=CLIP_MISSING, message=f"fal does not have it now ({why})")
            return Outcome(event=Event.UNAVAILABLE, failure=failure)
        if not self._is_overdue():
            raise DownloadFailed(why)
        hours = LOST_AFTER // timedelta(hours=1)
        message = f"it could not be downloaded for {hours} hours ({why}), and fal has no other URL"
        if self.paths.broken.exists():
            message += f"; the broken file is kept as {self.paths.broken.name}"
        return policy.lost(f"{message}: {next(iter(self.tried))}")

    def _is_overdue(self) -> bool:
        since = self.job.unfetched_since
        return since is not None and self.fetcher.clock.now() - since >= LOST_AFTER

    async def _recorded(self) -> RemoteVideo | None:
        return self.job.video

    async def _of_result(self) -> RemoteVideo | None:
        """Return the clip that the result names now, or None; raise ``Unreadable``."""
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
            raise Unreadable(f"the result answered HTTP {answer.http_status}") from answer
        except Unreachable as error:
            raise Unreadable(f"could not read the result ({error})") from error
        self.named = True
        return video

    async def _of_history(self) -> RemoteVideo | None:
        """Return the clip that fal's list names, if due in this round; raise ``Unreadable``."""
        fetcher = self.fetcher
        gone = self.job.kept is not None and not self.named
        due = self.rounds % HISTORY_ROUNDS == HISTORY_ROUNDS - 1
        if self.job.request is None or not (gone or due or self._is_overdue()):
            return None
        history = History(fal=fetcher.fal, clock=fetcher.clock, rng=fetcher.rng)
        video = await history.remembered_video(self.job)
        self.named = self.named or video is not None
        return video

    async def _try(self, remote: RemoteVideo | None) -> Outcome | None:
        """Download from a URL not tried yet; note an error and return None if that fails."""
        if remote is None or remote.url in self.tried:
            return None
        try:
            artifact = await self._transfer(remote)
        except (UrlExpired, BrokenVideo, DownloadFailed) as error:
            log.warning("not downloaded job=%d: %s: %s", self.job.id, error, remote.url)
            self.tried[remote.url] = error
            return None
        return Outcome(event=Event.FETCHED, artifact=artifact, video=remote)

    async def _transfer(self, remote: RemoteVideo) -> Artifact:
        """Return the downloaded clip; raise the error of the last of several tries."""
        part, fetcher = self.part, self.fetcher
        part.reset()
        broken = 0
        for n in range(1, TRANSFERS + 1):
            try:
                await self._download(remote)
                part.close()
                return await asyncio.to_thread(
                    publish, part.path, self.paths, fetcher.checker, url=remote.url
                )
            except BrokenVideo as error:
                log.warning("broken clip, restarting the download job=%d: %s", self.job.id, error)
                # A file joined from two transfers does not show that fal's file is broken.
                broken += not part.resumed
                if broken == BROKEN_TRANSFERS or n == TRANSFERS:
                    if part.resumed:
                        raise DownloadFailed(str(error)) from error
                    if self._is_overdue():
                        await asyncio.to_thread(keep_broken, part.path, self.paths)
                    raise
                part.reset()
            except DownloadFailed as error:
                log.warning("transfer failed job=%d: %s", self.job.id, error)
                if n == TRANSFERS:
                    raise
            await fetcher.clock.sleep(fetcher.pause_seconds(n - 1))
        raise AssertionError("the last transfer returns or raises")

    async def _download(self, remote: RemoteVideo) -> None:
        """Download the rest of the clip to the part file, or the whole clip."""
        part, max_bytes = self.part, self.fetcher.max_bytes
        async with self.fetcher.fal.download(
            remote.url, offset=part.offset, etag=part.etag, total=part.total
        ) as download:
            part.begin(download)
            async for chunk in download.chunks():
                if part.size + len(chunk) > max_bytes:
                    raise BrokenVideo(f"more than {max_bytes:,} bytes arrived")
                part.write(chunk)
        received = part.size - download.offset
        # The size in fal's result proves nothing: a whole file that can be decoded is a clip.
        if download.content_length not in {None, received}:
            announced = download.content_length
            raise BrokenVideo(f"Content-Length is {announced:,} bytes, but {received:,} arrived")
        if part.total not in {None, part.size}:
            raise BrokenVideo(f"the file has {part.total:,} bytes, but {part.size:,} arrived")
