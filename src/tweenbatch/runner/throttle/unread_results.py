"""Results that can't be read: if several fail in the same way, the cause is fal and not a row.

It does not know submissions or gates.
"""

from collections import Counter
from dataclasses import dataclass, field

from tweenbatch.records import Failure
from tweenbatch.stages.result_evidence import alike

SEVERAL = 2
"""Results with the same trouble that stop the buying; one alone may be caused by its row."""


@dataclass(slots=True)
class UnreadResults:
    """Jobs whose results answer with an error that proves nothing, and that error."""

    _now: dict[int, Failure] = field(default_factory=dict)
    _laid_aside: dict[int, Failure] = field(default_factory=dict)

    def note_trouble(self, job_id: int, failure: Failure) -> bool:
        """Note the error of a result; tell whether it is new for this job."""
        before = self._now.get(job_id)
        self._now[job_id] = failure
        before = before or self._laid_aside.get(job_id)
        return before is None or alike(before) != alike(failure)

    def note_read(self, job_id: int) -> None:
        """Forget a job: its result could be read."""
        self._now.pop(job_id, None)
        self._laid_aside.pop(job_id, None)

    def lay_aside(self, job_id: int) -> Failure | None:
        """Note that a job was laid aside; return the error of its result, if it had one."""
        failure = self._now.pop(job_id, None)
        if failure is not None:
            self._laid_aside[job_id] = failure
        return failure

    def was_laid_aside(self, job_id: int) -> bool:
        """Tell whether this run laid the job aside because of its result."""
        return job_id in self._laid_aside

    @property
    def pause(self) -> str | None:
        """Return why buying should pause: several results have the same trouble now."""
        return _words(self._now)

    @property
    def stop(self) -> str | None:
        """Return why buying should stop in this run: several results were laid aside."""
        return _words(self._laid_aside)


def _words(troubled: dict[int, Failure]) -> str | None:
    kinds = Counter(map(alike, troubled.values()))
    kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
    if count < SEVERAL:
        return None
    failure = next(each for each in troubled.values() if alike(each) == kind)
    answer = f"HTTP {failure.http_status}, " if failure.http_status else ""
    return (
        f"the results of {count} clips can't be read, all with the same answer "
        f"({answer}{failure.type}: {failure.message})"
    )
