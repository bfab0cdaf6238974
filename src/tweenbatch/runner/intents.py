"""Prepares a job for submission: frame addresses, arguments and price.

Each frame content is uploaded once and remembered in the table.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from tweenbatch.clock import Clock
from tweenbatch.fal import Fal
from tweenbatch.models import Prices, find, in_micro_dollars
from tweenbatch.records import Frame, Intent, Job
from tweenbatch.stages.upload import upload
from tweenbatch.store import Store
from tweenbatch.store.thread import StoreThread

UPLOAD_VALID = timedelta(days=6)
"""fal keeps files for at least 7 days; an older upload is repeated."""


@dataclass(slots=True, kw_only=True)
class Intents:
    """Makes intents; this is free and may be cancelled at any moment."""

    store: Store
    table: StoreThread
    fal: Fal
    clock: Clock
    prices: Prices
    _uploads: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _dead: set[str] = field(default_factory=set)
    """Addresses of uploads that fal could not read."""
    _billed_times: dict[str, Decimal] = field(default_factory=dict)
    """By endpoint, the factor by which fal billed more than its listed price in this run."""

    async def of(self, job: Job) -> Intent:
        """Return the intent of a job; raises the errors of ``upload``."""
        spec = job.spec
        start_url = await self._frame_url(spec.start)
        end_url = await self._frame_url(spec.end) if spec.end else None
        return Intent(
            arguments=find(spec.endpoint).arguments(
                prompt=spec.prompt,
                start_url=start_url,
                end_url=end_url,
                parameters=spec.parameters,
            ),
            price_usd=self.price_usd(job),
            key_fingerprint=self.fal.key_fingerprint,
            host=self.fal.host,
        )

    def price_usd(self, job: Job) -> Decimal:
        """Return the current price of a job's clip in US dollars."""
        listed = self._listed_usd(job)
        times = self._billed_times.get(job.spec.endpoint)
        return listed if times is None else max(listed, in_micro_dollars(listed * times))

    def raise_to(self, usd: Decimal, *, of: Job) -> None:
        """Raise the price of every clip of this endpoint by the factor that ``usd`` shows."""
        listed = self._listed_usd(of)
        if listed:
            self._billed_times[of.spec.endpoint] = usd / listed

    def _listed_usd(self, job: Job) -> Decimal:
        return self.prices.clip_usd(job.spec.endpoint, job.spec.parameters, known=job.price_usd)

    async def forget_uploads(self, job: Job) -> None:
        """Forget the uploads that a job was submitted with, for every job that shares them."""
        model, spec, sent = find(job.spec.endpoint), job.spec, job.arguments or {}
        frames = ((model.start_field, spec.start), (model.end_field, spec.end))
        # Addresses from a manifest can't be replaced by a new upload.
        urls = {
            str(sent[field])
            for field, frame in frames
            if frame is not None and frame.sha256 is not None and field in sent
        }
        self._dead |= urls
        self._uploads = {
            sha256: task for sha256, task in self._uploads.items() if _url_of(task) not in urls
        }
        await self.table(self.store.cache.forget_uploads, urls)

    def is_outdated(self, intent: Intent) -> bool:
        """Tell whether fal could not read one of its uploads since the intent was made."""
        texts = {value for value in intent.arguments.values() if isinstance(value, str)}
        return not self._dead.isdisjoint(texts)

    async def _frame_url(self, frame: Frame) -> str:
        if frame.sha256 is None:
            return frame.source
        task = self._uploads.get(frame.sha256)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(self._uploaded(frame, frame.sha256))
            self._uploads[frame.sha256] = task
        return await asyncio.shield(task)

    async def _uploaded(self, frame: Frame, sha256: str) -> str:
        fingerprint = self.fal.key_fingerprint
        since = self.clock.now() - UPLOAD_VALID
        url = await self.table(self.store.cache.upload_url, sha256, fingerprint, since=since)
        if url is None:
            url, size = await upload(frame, fal=self.fal, clock=self.clock)
            await self.table(
                self.store.cache.remember_upload,
                sha256=sha256,
                key_fingerprint=fingerprint,
                url=url,
                bytes=size,
                now=self.clock.now(),
            )
        return url


def _url_of(upload: asyncio.Task[str]) -> str | None:
    """Return the address of an upload, if it is done and succeeded."""
    failed = not upload.done() or upload.cancelled() or upload.exception() is not None
    return None if failed else upload.result()
