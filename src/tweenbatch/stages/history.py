"""Read all pages of fal's list of past requests since an instant."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tweenbatch.clock import Clock
from tweenbatch.errors import Answered, Unintelligible, Unreachable, Unreadable
from tweenbatch.fal import Fal, video_of
from tweenbatch.fal.retrying import is_worth_repeating, reading
from tweenbatch.records import Job, PastRequest, RemoteVideo

MARGIN = timedelta(minutes=30)
"""The list is read from this long before a submission: fal's clock may differ from ours."""

MAX_PAGES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads the list, which is free and changes nothing."""

    fal: Fal
    clock: Clock
    rng: random.Random | None = None

    async def since(self, endpoint: str, sent_at: datetime) -> list[PastRequest]:
        """Return the endpoint's ended requests sent since then, by either clock.

        Raises ``Unreachable``, ``Answered``, or ``Unintelligible`` if the pages have no end.
        """
        listed, whole = await self.latest(endpoint, sent_at, pages=MAX_PAGES)
        if not whole:
            raise Unintelligible("fal's list of past requests has no end")
        return listed

    async def latest(
        self, endpoint: str, sent_at: datetime, *, pages: int
    ) -> tuple[list[PastRequest], bool]:
        """Return the same from at most the latest ``pages`` pages, and whether these are all.

        Raises ``Unreachable``, ``Answered`` or ``Unintelligible``.
        """
        listed: dict[str, PastRequest] = {}
        cursors: set[str | None] = {None}
        cursor: str | None = None
        while True:
            page, cursor = await self._page(endpoint, sent_at - MARGIN, cursor)
            listed |= {item.request_id: item for item in page}
            if cursor is None or cursor in cursors or len(cursors) >= pages:
                return list(listed.values()), cursor is None
            cursors.add(cursor)

    async def remembered_video(self, job: Job) -> RemoteVideo | None:
        """Return the clip that the list names for the job's own request, or None.

        Raises ``Unreadable`` if a later read may succeed.
        """
        past = await self._row_of(job)
        try:
            return video_of(past.output) if past and isinstance(past.output, Mapping) else None
        except Unintelligible:
            return None

    async def _row_of(self, job: Job) -> PastRequest | None:
        assert job.request is not None
        assert job.sent_at is not None
        request_id = job.request.request_id
        try:
            listed = await self.since(job.spec.endpoint, job.sent_at)
        except (Answered, Unreachable, Unintelligible) as error:
            if is_worth_repeating(error):
                raise Unreadable("fal's list of past requests does not answer") from error
            return None
        return next((item for item in listed if item.request_id == request_id), None)

    async def _page(
        self, endpoint: str, since: datetime, cursor: str | None
    ) -> tuple[list[PastRequest], str | None]:
        return await reading(
            lambda: self.fal.history(endpoint, since=since, cursor=cursor),
            clock=self.clock,
            rng=self.rng,
        )
