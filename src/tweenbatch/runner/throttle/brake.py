"""First failures that may be billed: several alike hold submissions until a second try tells.

A failure that is tried again is given up only after its second try, and a failure of fal's may be
billed each time: without this, all rows of a batch are bought before five are given up. It counts
what it is told; it knows nothing of submissions and lanes.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

from tweenbatch.records import Billed, Failure
from tweenbatch.stages.policy import MODERATION


@dataclass(slots=True)
class Brake:
    """Rows whose first try failed alike; ``limit`` None: they are not counted."""

    limit: int | None
    stop: str | None = None
    """Why no more should be bought: a second try failed in the same way."""
    _alike: tuple[str, int | None] | None = None
    _failed: dict[int, Failure] = field(default_factory=dict)

    @property
    def probe(self) -> int | None:
        """The one job that may be submitted again, to tell for all; None: all may go."""
        if self.stop is not None or self.limit is None or len(self._failed) < self.limit:
            return None
        return next(iter(self._failed))

    @property
    def reason(self) -> str | None:
        """Why all others wait."""
        return None if self.probe is None else f"{self._words()}: the others wait for a second try"

    @property
    def suspects(self) -> bool:
        """Tell whether a first try failed, and no clip has come since."""
        return bool(self._failed)

    def failed(self, job_id: int, failure: Failure, *, tries: int) -> None:
        """Count a generation that failed and is to be tried again, after so many before it."""
        alike = (failure.type, failure.http_status)
        if tries:
            self.tried_again(job_id, failure)
        elif _may_be_billed(failure) and failure.type not in MODERATION:
            if alike != self._alike:
                self._failed.clear()
            self._alike = alike
            self._failed[job_id] = failure

    def tried_again(self, job_id: int, failure: Failure) -> None:
        """Note how a second try ended, whether it was given up or not."""
        if job_id != self.probe:
            self._failed.pop(job_id, None)
        elif (failure.type, failure.http_status) == self._alike:
            self.stop = f"{self._words()}, a second try too"
        else:
            del self._failed[job_id]  # the next one tells

    def left(self, job_id: int) -> None:
        """Note that a job tells nothing any more in this run; another one has to."""
        self._failed.pop(job_id, None)

    def release(self) -> None:
        """Begin anew: fal made a clip."""
        self._alike = None
        self._failed.clear()

    def _words(self) -> str:
        failure = next(iter(self._failed.values()))
        count = len(self._failed)
        return f"{count} rows in a row failed alike ({failure.type}: {failure.message})"


def _may_be_billed(failure: Failure) -> bool:
    """An HTTP status of 500 or more is never billed; a 422 may be."""
    free = (failure.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return failure.billed is not Billed.NO and not free
