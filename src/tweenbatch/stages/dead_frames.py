"""Check from here, once per URL, the frames that fal could not download.

A check is one free request without a key; it can save a second purchase.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from tweenbatch.errors import UsageError
from tweenbatch.frames.urls import ask_all
from tweenbatch.models import USUAL_LIMITS, find
from tweenbatch.records import Job, Outcome
from tweenbatch.states import Event

DEAD_FRAME = "file_download_error"
"""Error type of a generation whose frame could not be downloaded."""

CheckUrls = Callable[[Collection[str], int], Awaitable[Mapping[str, str]]]
"""Returns the problem of each bad URL, given the size limit in bytes."""


async def check_from_here(urls: Collection[str], max_bytes: int) -> Mapping[str, str]:
    """Request each URL once, without credentials."""
    try:
        return await ask_all(urls, max_bytes=max_bytes)
    except UsageError as error:
        return dict.fromkeys(urls, f"can't be checked ({error})")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFrames:
    """Checks frame URLs and keeps each result for the rest of the run."""

    check: CheckUrls = check_from_here
    _problems: dict[str, str | None] = field(default_factory=dict)
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def judged(self, job: Job, outcome: Outcome) -> Outcome:
        """Add the check's result to the failure; give up a job whose frame fails here too."""
        failure = outcome.failure
        if failure is None or failure.type != DEAD_FRAME:
            return outcome
        frames = (job.spec.start, job.spec.end)
        # Local frames are left out: the next attempt uploads them again.
        urls = [each.source for each in frames if each is not None and each.sha256 is None]
        if not urls:
            return outcome
        async with self._checking:
            new = [url for url in urls if url not in self._problems]
            if new:
                limits = find(job.spec.endpoint).image_limits or USUAL_LIMITS
                problems = await self.check(new, limits.max_bytes)
                self._problems.update({url: problems.get(url) for url in new})
        dead = [
            f"{_unsigned(url)} {problem}"
            for url in urls
            if (problem := self._problems[url]) is not None
        ]
        if dead:
            note = f"checked from here, {'; '.join(dead)}. Correct the row, then run again"
            return replace(
                outcome,
                event=Event.GAVE_UP,
                not_before=None,
                failure=replace(failure, message=f"{failure.message} ({note})"),
            )
        note = (
            "the URL works from here, so its host may refuse fal: name a local file instead, "
            "which is uploaded to fal"
        )
        return replace(outcome, failure=replace(failure, message=f"{failure.message} ({note})"))


def _unsigned(url: str) -> str:
    """Return a URL without its query, which may hold a signature."""
    return url.partition("?")[0]
