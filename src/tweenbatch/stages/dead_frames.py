"""Frames at addresses of others that fal could not download: asked for once from here.

What it costs to know is one free request without a key; what it saves is a second purchase.
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
"""What a generation fails with whose frame can't be had at its address."""

Ask = Callable[[Collection[str], int], Awaitable[Mapping[str, str]]]
"""Tells what is wrong with addresses of at most so many bytes, by address."""


async def ask_here(urls: Collection[str], max_bytes: int) -> Mapping[str, str]:
    """Ask each address once, as a stranger."""
    try:
        return await ask_all(urls, max_bytes=max_bytes)
    except UsageError as error:
        return dict.fromkeys(urls, f"can't be asked for ({error})")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadFrames:
    """Remembers for a run what each address answered."""

    ask: Ask = ask_here
    _wrong: dict[str, str | None] = field(default_factory=dict)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def judged(self, job: Job, outcome: Outcome) -> Outcome:
        """Return the outcome with what its frames' addresses answer here.

        One that can't be had here either is not paid for again.
        """
        failure = outcome.failure
        if failure is None or failure.type != DEAD_FRAME:
            return outcome
        frames = (job.spec.start, job.spec.end)
        # The addresses of uploads are made afresh.
        urls = [each.source for each in frames if each is not None and each.sha256 is None]
        if not urls:
            return outcome
        async with self._asking:
            new = [url for url in urls if url not in self._wrong]
            if new:
                limits = find(job.spec.endpoint).image_limits or USUAL_LIMITS
                wrong = await self.ask(new, limits.max_bytes)
                self._wrong.update({url: wrong.get(url) for url in new})
        dead = [f"{_shown(url)} {self._wrong[url]}" for url in urls if self._wrong[url] is not None]
        if dead:
            told = f"asked from here, {'; '.join(dead)}. Correct the row, then run again"
            return replace(
                outcome,
                event=Event.GAVE_UP,
                not_before=None,
                failure=replace(failure, message=f"{failure.message} ({told})"),
            )
        told = (
            "the address answers here, so its host may refuse fal: name a local file instead, "
            "which is uploaded to fal"
        )
        return replace(outcome, failure=replace(failure, message=f"{failure.message} ({told})"))


def _shown(url: str) -> str:
    """Return an address without what may sign it."""
    return url.partition("?")[0]
