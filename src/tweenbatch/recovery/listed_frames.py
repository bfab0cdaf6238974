"""Read the frames that fal's list of past requests names, to compare them with those of jobs.

It does not know which request belongs to which job.
"""

import asyncio
import hashlib
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tweenbatch.clock import Clock
from tweenbatch.errors import DownloadFailed, Unreachable, UrlExpired
from tweenbatch.fal import DOWNLOADS_AT_ONCE, Fal
from tweenbatch.fal.addresses import serves_files
from tweenbatch.fal.retrying import reading
from tweenbatch.frames import inspect as frames
from tweenbatch.models import find
from tweenbatch.records import Frame, Job, PastRequest
from tweenbatch.stages.match_history import frames_to_see, named_digest
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread

_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class ListedFrames:
    """Knows the contents of frames that fal's list names; reads each of them once."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    rng: random.Random | None = None
    contents: dict[str, str] = field(default_factory=dict)
    """The sha256 of the frame at each URL, as far as it is known."""

    async def unread(self, jobs: Sequence[Job], free: Sequence[PastRequest]) -> set[str]:
        """Return the URLs of frames whose bytes are needed and not known yet."""
        await self._remember_uploads(jobs)
        urls = frames_to_see(jobs, free, find(jobs[0].spec.endpoint)) if jobs else set()
        return {url for url in urls if url not in self.contents and serves_files(url)}

    async def _remember_uploads(self, jobs: Sequence[Job]) -> None:
        """Read from the table where the jobs' frames were uploaded, at any time."""
        for sha256 in {frame.sha256 for frame in frames_of(jobs)} - {None}:
            assert sha256 is not None
            url = await self.table(
                self.store.cache.upload_url, sha256, self.fal.key_fingerprint, since=_EVER
            )
            if url is not None:
                self.contents[url] = sha256

    async def read(self, urls: Collection[str], jobs: Sequence[Job], *, most: int | None) -> int:
        """Read at most this many frames from fal; return the number of unread ones.

        An upload of ours that is gone, or arrives damaged, is known by the digest in its name.
        Without a limit it raises ``Unreachable`` if one can't be read now.
        """
        wanted = {frame.sha256[:16]: frame.sha256 for frame in frames_of(jobs) if frame.sha256}
        slots = asyncio.Semaphore(DOWNLOADS_AT_ONCE)

        async def read_one(url: str) -> str | Unreachable | None:
            async with slots:
                try:
                    return await reading(lambda: self._sha256(url), clock=self.clock, rng=self.rng)
                except Unreachable as error:
                    return error

        chosen = sorted(urls)[:most]
        digests = await asyncio.gather(*map(read_one, chosen))
        unread = 0
        for url, digest in zip(chosen, digests, strict=True):
            named = named_digest(url)
            if named is not None and not (isinstance(digest, str) and digest.startswith(named)):
                if named in wanted:
                    self.contents[url] = wanted[named]
            elif isinstance(digest, str):
                self.contents[url] = digest
            elif digest is None or most is not None:
                unread += 1
            else:
                raise digest
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


def frames_of(jobs: Iterable[Job]) -> Iterator[Frame]:
    """Yield the frames of the jobs."""
    for job in jobs:
        yield job.spec.start
        if job.spec.end is not None:
            yield job.spec.end
