"""Results that can't be read: alike for several clips, the trouble is fal's and no row's.

It counts what it is told; it knows nothing of submissions and lanes.
"""

from collections import Counter
from dataclasses import dataclass, field

from tweenbatch.records import Failure
from tweenbatch.stages.result_evidence import alike

SEVERAL = 2
"""Clips whose results have the same trouble at the same time; one alone may be a row's matter."""


@dataclass(slots=True)
class UnreadResults:
    """The clips whose results answer with an error that proves nothing, and which."""

    _now: dict[int, Failure] = field(default_factory=dict)
    _laid_aside: dict[int, Failure] = field(default_factory=dict)

    def in_trouble(self, job_id: int, failure: Failure) -> bool:
        """Note what a result answers; tell whether it is news."""
        before = self._now.get(job_id)
        self._now[job_id] = failure
        before = before or self._laid_aside.get(job_id)
        return before is None or alike(before) != alike(failure)

    def told(self, job_id: int) -> None:
        """Note that a result told what became of its request."""
        self._now.pop(job_id, None)
        self._laid_aside.pop(job_id, None)

    def lay_aside(self, job_id: int) -> Failure | None:
        """Note that a result has been unreadable for long; return what it answered."""
        failure = self._now.pop(job_id, None)
        if failure is not None:
            self._laid_aside[job_id] = failure
        return failure

    def was_laid_aside(self, job_id: int) -> bool:
        """Tell whether this run has read that result for long already."""
        return job_id in self._laid_aside

    @property
    def pause(self) -> str | None:
        """Why nothing should be bought for the moment, if several are in trouble."""
        return _words(self._now)

    @property
    def stop(self) -> str | None:
        """Why nothing should be bought in this run, if several have been in trouble for long."""
        return _words(self._laid_aside)


def _words(troubled: dict[int, Failure]) -> str | None:
    kinds = Counter(map(alike, troubled.values()))
    kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
    if count < SEVERAL:
        return None
    failure = next(each for each in troubled.values() if alike(each) == kind)
    answer = f"HTTP {failure.http_status}, " if failure.http_status else ""
    return (
        f"the results of {count} clips can't be read and fal's answers are alike "
        f"({answer}{failure.type}: {failure.message})"
    )
