"""The last stage: a paid clip comes home, whole, under its own name, and is recorded after that."""

import asyncio
import hashlib
import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tweenbatch.clips import mp4, video
from tweenbatch.clock import Clock
from tweenbatch.errors import BrokenVideo, DownloadFailed, Unreadable, UrlExpired
from tweenbatch.fal import Fal
from tweenbatch.files import atomic
from tweenbatch.records import Artifact, Job, Outcome, RemoteVideo
from tweenbatch.stages import policy
from tweenbatch.stages.history import History
from tweenbatch.stages.part_file import Part, writing_to
from tweenbatch.states import Event

log = logging.getLogger(__name__)

MAX_BYTES = 2_000_000_000
"""No clip is larger; an endless stream ends here."""

TRANSFERS = 5
"""Transfers of one clip in a row before it is left for later."""

TRANSFER_BASE_SECONDS = 1.0
TRANSFER_CAP_SECONDS = 30.0

EXPIRED_ROUNDS = 3
"""Fresh addresses that may turn out expired before the clip is given up as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Brings clips into ``output``."""

    fal: Fal
    clock: Clock
    rng: random.Random
    output: Path

    async def fetch(self, job: Job, *, expired_rounds: int = 0) -> Outcome:
        """Return what became of a job that is ``ready``.

        ``expired_rounds`` counts the addresses of this clip that had expired before. Raises
        ``DownloadFailed`` where the clip is still at fal but could not be had now, and
        ``DiskTrouble`` where it can't be written.
        """
        assert job.video is not None
        with writing_to(self.output):
            atomic.make_folder_of(self.output, job.output_name)
        with Part(self.output / f"{job.output_name}.mp4.part") as part:
            return await self._fetched(job, job.video, part, expired_rounds)

    async def _fetched(
        self, job: Job, remote: RemoteVideo, part: Part, expired_rounds: int
    ) -> Outcome:
        broken: BrokenVideo | None = None
        for n in range(TRANSFERS):
            if n:
                await self.clock.sleep(self._pause_seconds(n - 1))
            try:
                artifact = await self._transfer(job, remote, part)
                return Outcome(event=Event.FETCHED, artifact=artifact)
            except UrlExpired as error:
                log.warning("address expired job=%d: %s", job.id, error)
                if expired_rounds >= EXPIRED_ROUNDS:
                    return await self._from_history(job, remote, part)
                pause = timedelta(seconds=self._pause_seconds(expired_rounds))
                return Outcome(event=Event.URL_EXPIRED, not_before=self.clock.now() + pause)
            except BrokenVideo as error:
                log.warning("clip is broken, again from its start job=%d: %s", job.id, error)
                # What was put together of two transfers says nothing of what fal delivers.
                broken = None if part.stitched else error
                part.forget()
            except DownloadFailed as error:
                log.warning("transfer failed, again job=%d: %s", job.id, error)
                broken = None
        if broken is not None:
            return policy.lost(f"what fal delivers is no whole clip ({broken}): {remote.url}")
        raise DownloadFailed(f"{TRANSFERS} transfers of {remote.url} failed")

    async def _from_history(self, job: Job, expired: RemoteVideo, part: Part) -> Outcome:
        """Try the address that fal's history names; after that the clip is lost."""
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        try:
            remote = await history.remembered_video(job)
        except Unreadable as error:
            raise DownloadFailed(str(error)) from error
        if remote is not None and remote.url != expired.url:
            try:
                artifact = await self._transfer(job, remote, part)
                return Outcome(event=Event.FETCHED, artifact=artifact)
            except (UrlExpired, BrokenVideo) as error:
                log.warning("not there by its history either job=%d: %s", job.id, error)
        return policy.lost(f"every address of the clip had expired: {expired.url}")

    def _pause_seconds(self, n: int) -> float:
        return policy.backoff_seconds(
            n, base=TRANSFER_BASE_SECONDS, cap=TRANSFER_CAP_SECONDS, rng=self.rng
        )

    async def _transfer(self, job: Job, remote: RemoteVideo, part: Part) -> Artifact:
        await self._download(remote, part)
        part.close()
        return await asyncio.to_thread(_settle, part.path, self._targets(job), url=remote.url)

    def _targets(self, job: Job) -> list[Path]:
        """Return the names that the clip may take, the best first."""
        stems = [job.output_name, f"{job.output_name}-{job.key[:8]}"]
        return [self.output / f"{stem}.mp4" for stem in stems]

    async def _download(self, remote: RemoteVideo, part: Part) -> None:
        """Bring what is missing of the clip to ``part``; all of it where that must be."""
        async with self.fal.download(
            remote.url, offset=part.offset, etag=part.etag, total=part.total
        ) as download:
            part.begin(download)
            async for chunk in download.chunks():
                if part.size + len(chunk) > MAX_BYTES:
                    raise BrokenVideo(f"more than {MAX_BYTES:,} bytes came")
                part.write(chunk)
        came = part.size - download.offset
        if download.content_length not in {None, came}:
            announced = download.content_length
            raise BrokenVideo(f"Content-Length announced {announced:,} bytes and {came:,} came")
        for source, whole in (("the server", part.total), ("fal", remote.bytes)):
            if whole not in {None, part.size}:
                raise BrokenVideo(f"{source} announced {whole:,} bytes and {part.size:,} came")


def _settle(part: Path, targets: list[Path], *, url: str) -> Artifact:
    """Check the file and move it to the first name that no other content holds."""
    with writing_to(part.parent):
        mp4.check(part)
        clip = video.probe(part)
        with part.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = part.stat().st_size
        for target in targets:
            try:
                path = atomic.publish(part, target)
            except FileExistsError:
                continue
            return Artifact(
                path=path,
                url=url,
                bytes=size,
                sha256=sha256,
                seconds=clip.seconds,
                width=clip.width,
                height=clip.height,
            )
    raise DownloadFailed(f"{targets[-1]} exists with another content; move it away")
