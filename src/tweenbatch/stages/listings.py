"""Look up single requests in fal's list; one read serves all jobs that ask within seconds."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, Unintelligible, Unreachable
from tweenbatch.fal import Fal
from tweenbatch.records import Job, PastRequest
from tweenbatch.stages.history import History

log = logging.getLogger(__name__)

FRESH_SECONDS = 20.0
"""A list younger than this is used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    read_at: float
    since: datetime
    rows: Mapping[str, PastRequest]


@dataclass(slots=True, kw_only=True)
class Listings:
    """Reads an endpoint's list once for all jobs that ask within ``FRESH_SECONDS``."""

    fal: Fal
    clock: Clock
    rng: random.Random
    _latest: dict[str, _Listing] = field(default_factory=dict)
    _reading: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    async def row_of(self, job: Job) -> PastRequest | None:
        """Return the row of the job's own request; None if it is missing or the list unreadable."""
        assert job.request is not None
        assert job.sent_at is not None
        endpoint = job.spec.endpoint
        async with self._reading[endpoint]:
            latest = self._latest.get(endpoint)
            now = self.clock.monotonic()
            fresh = latest is not None and now - latest.read_at < FRESH_SECONDS
            if latest is None or not fresh or latest.since > job.sent_at:
                since = min(job.sent_at, latest.since) if latest and fresh else job.sent_at
                latest = await self._read(endpoint, since)
                self._latest[endpoint] = latest
        return latest.rows.get(job.request.request_id)

    async def _read(self, endpoint: str, since: datetime) -> _Listing:
        history = History(fal=self.fal, clock=self.clock, rng=self.rng)
        rows: dict[str, PastRequest] = {}
        try:
            rows = {row.request_id: row for row in await history.since(endpoint, since)}
        except (Answered, Unreachable, Unintelligible) as error:
            log.info("could not read fal's list of past requests: %s", error)
        return _Listing(read_at=self.clock.monotonic(), since=since, rows=rows)
