"""Holds submissions after several equal first failures, until one second try shows the cause.

A job is given up only after its second try, and fal may bill each failed try. Without the brake a
whole batch would be bought before five jobs are given up. It does not know submissions or gates.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

from tweenbatch.records import Billed, Failure
from tweenbatch.stages.policy import MODERATION


@dataclass(slots=True)
class Brake:
    """Jobs whose first try failed with the same error; ``limit`` None: they are not counted."""

    limit: int | None
    stop: str | None = None
    """Why nothing more should be bought: a second try failed in the same way."""
    _kind: tuple[str, int | None] | None = None
    _failed: dict[int, Failure] = field(default_factory=dict)

    @property
    def probe(self) -> int | None:
        """Return the only job that may be submitted; None: all may."""
        if self.stop is not None or self.limit is None or len(self._failed) < self.limit:
            return None
        return next(iter(self._failed))

    @property
    def reason(self) -> str | None:
        """Return why all other jobs wait, if they do."""
        if self.probe is None:
            return None
        return f"{self._words()}; the other rows wait until one second try ends"

    @property
    def has_suspects(self) -> bool:
        """Tell whether a first try failed and no clip has been made since."""
        return bool(self._failed)

    def failed(self, job_id: int, failure: Failure, *, tries: int) -> None:
        """Count a failed generation that will be tried again; ``tries`` failed before it."""
        kind = (failure.type, failure.http_status)
        if tries:
            self.second_try_failed(job_id, failure)
        elif _may_be_billed(failure) and failure.type not in MODERATION:
            if kind != self._kind:
                self._failed.clear()
            self._kind = kind
            self._failed[job_id] = failure

    def second_try_failed(self, job_id: int, failure: Failure) -> None:
        """Note that a second try failed, whether or not the job is given up."""
        if job_id != self.probe:
            self._failed.pop(job_id, None)
        elif (failure.type, failure.http_status) == self._kind:
            self.stop = f"{self._words()}, and so did a second try"
        else:
            del self._failed[job_id]  # the next job becomes the probe

    def skip(self, job_id: int) -> None:
        """Drop a job that can't be the probe in this run; the next one takes its place."""
        self._failed.pop(job_id, None)

    def release(self) -> None:
        """Start counting again: fal made a clip."""
        self._kind = None
        self._failed.clear()

    def _words(self) -> str:
        failure = next(iter(self._failed.values()))
        count = len(self._failed)
        error = f"{failure.type}: {failure.message}"
        return f"{count} consecutive rows failed with the same error ({error})"


def _may_be_billed(failure: Failure) -> bool:
    """Tell whether fal may bill a failure: never with HTTP 500 or more, perhaps with 422."""
    free = (failure.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return failure.billed is not Billed.NO and not free
