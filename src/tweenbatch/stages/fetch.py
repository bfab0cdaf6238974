"""The last stage: a paid clip comes home, whole, under its own name, and is recorded after that."""

import asyncio
import hashlib
import logging
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from tweenbatch import filenames, mp4, policy, video
from tweenbatch.clock import Clock
from tweenbatch.errors import BrokenVideo, DownloadFailed, UrlExpired
from tweenbatch.fal import Fal
from tweenbatch.records import Artifact, Billed, Failure, Job, Outcome, RemoteVideo
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
        ``DownloadFailed`` where the clip is still at fal but could not be had now.
        """
        assert job.video is not None
        broken: BrokenVideo | None = None
        for n in range(TRANSFERS):
            if n:
                await self.clock.sleep(
                    policy.backoff_seconds(
                        n - 1, base=TRANSFER_BASE_SECONDS, cap=TRANSFER_CAP_SECONDS, rng=self.rng
                    )
                )
            try:
                return Outcome(event=Event.FETCHED, artifact=await self._transfer(job, job.video))
            except UrlExpired as error:
                log.warning("address expired job=%d: %s", job.id, error)
                if expired_rounds >= EXPIRED_ROUNDS:
                    return _lost(job, f"every address of the clip had expired: {job.video.url}")
                pause = policy.backoff_seconds(
                    expired_rounds,
                    base=TRANSFER_BASE_SECONDS,
                    cap=TRANSFER_CAP_SECONDS,
                    rng=self.rng,
                )
                return Outcome(
                    event=Event.URL_EXPIRED,
                    not_before=self.clock.now() + timedelta(seconds=pause),
                )
            except BrokenVideo as error:
                log.warning("clip is broken, again job=%d: %s", job.id, error)
                broken = error
            except DownloadFailed as error:
                log.warning("transfer failed, again job=%d: %s", job.id, error)
                broken = None
        if broken is not None:
            return _lost(job, f"what fal delivers is no whole clip ({broken}): {job.video.url}")
        raise DownloadFailed(f"{TRANSFERS} transfers of {job.video.url} failed")

    async def _transfer(self, job: Job, remote: RemoteVideo) -> Artifact:
        part = self.output / f"{job.output_name}.mp4.part"
        digest, size = await self._download(remote, part)
        return await asyncio.to_thread(
            _settle, part, self._targets(job), url=remote.url, sha256=digest, size=size
        )

    def _targets(self, job: Job) -> list[Path]:
        """Return the names that the clip may take, the best first."""
        stems = [job.output_name, f"{job.output_name}-{job.key[:8]}"]
        return [self.output / f"{stem}.mp4" for stem in stems]

    async def _download(self, remote: RemoteVideo, part: Path) -> tuple[str, int]:
        """Stream the clip to ``part``; return sha256 and size in bytes."""
        digest = hashlib.sha256()
        size = 0
        async with self.fal.download(remote.url) as download:
            with _new_file(part) as file:
                async for chunk in download.chunks():
                    size += len(chunk)
                    if size > MAX_BYTES:
                        raise BrokenVideo(f"more than {MAX_BYTES:,} bytes came")
                    digest.update(chunk)
                    file.write(chunk)
            expected = download.content_length
        for source, announced in (("Content-Length", expected), ("fal", remote.bytes)):
            if announced is not None and announced != size:
                raise BrokenVideo(f"{source} announced {announced:,} bytes and {size:,} came")
        return digest.hexdigest(), size


def _new_file(part: Path) -> BinaryIO:
    """Open a file of its own: an old part may share its bytes with a clip that is in place."""
    part.unlink(missing_ok=True)
    return part.open("xb")


def _settle(part: Path, targets: list[Path], *, url: str, sha256: str, size: int) -> Artifact:
    """Check the file and move it to the first name that no other content holds."""
    mp4.check(part)
    clip = video.probe(part)
    for target in targets:
        try:
            path = filenames.publish(part, target)
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


def _lost(job: Job, message: str) -> Outcome:
    failure = Failure(type="paid_but_lost", message=message, retryable=False, billed=Billed.YES)
    log.error("paid clip lost job=%d: %s", job.id, message)
    return Outcome(event=Event.GAVE_UP, failure=failure)
