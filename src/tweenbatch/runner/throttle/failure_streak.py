"""Detects the same failure on several rows in a row, before all rows are bought.

It counts jobs given up, clips that can't be downloaded, and crashes. It does not know submissions
or gates.
"""

from dataclasses import dataclass, field

from tweenbatch.records import Failure, Job, Outcome
from tweenbatch.stages.policy import MODERATION
from tweenbatch.states import Event, State


@dataclass(slots=True)
class FailureStreak:
    """Consecutive rows given up for one reason; ``limit`` None: they are not counted."""

    limit: int | None
    stop: str | None = None
    """Why nothing more should be bought in this run."""
    _reason: tuple[str, int | None] | None = None
    _jobs: set[int] = field(default_factory=set)
    held: str | None = None
    """Why nothing more should be bought until a clip is downloaded."""
    _laid_aside: set[int] = field(default_factory=set)
    _crashed: set[int] = field(default_factory=set)

    @property
    def is_close_to_limit(self) -> bool:
        """Tell whether the next failure may stop the buying."""
        return self.limit is not None and (self.limit == 1 or bool(self._jobs or self._crashed))

    def record_failure(self, outcome: Outcome, job: Job) -> None:
        """Count a row that was given up after its submission, unless moderation refused it.

        Failures are the same if their type and HTTP status are; their text does not matter.
        """
        failure = outcome.failure
        given_up = outcome.event is Event.GAVE_UP and job.state is not State.PENDING
        if failure is None or not given_up or failure.type in MODERATION:
            return
        reason = (failure.type, failure.http_status)
        if reason != self._reason:
            self._reason = reason
            self._jobs.clear()
        self._jobs.add(job.id)
        if self.limit is not None and len(self._jobs) >= self.limit:
            self.stop = self.stop or _words(failure, len(self._jobs))

    def record_laid_aside(self, job: Job, why: str) -> None:
        """Count a clip of this run that can't be downloaded."""
        self._laid_aside.add(job.id)
        if self.limit is not None and len(self._laid_aside) >= self.limit:
            self.held = (
                f"fal made {len(self._laid_aside)} clips, but none can be downloaded ({why})"
            )

    def record_crash(self, job: Job, error: Exception) -> str | None:
        """Count a job whose stage raised an unexpected error; return why to stop, if at the limit.

        The errors need not be equal: several crashes mean that this machine can't do the work.
        """
        self._crashed.add(job.id)
        count = len(self._crashed)
        if self.limit is None or count < self.limit:
            return None
        return f"{count} consecutive rows crashed, the last with {type(error).__name__}: {error}"

    def reset(self) -> None:
        """Start counting again: a clip was downloaded."""
        self._reason = self.held = None
        self._jobs.clear()
        self._laid_aside.clear()
        self._crashed.clear()


def _words(failure: Failure, count: int) -> str:
    error = f"{failure.type}: {failure.message}"
    return f"{count} consecutive rows failed with the same error ({error})"
