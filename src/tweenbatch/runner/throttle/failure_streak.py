"""The same failure on one row after another: a class of failures, found before all are bought.

It counts what is given up, clips that do not come home, and work that broke off; it knows nothing
of submissions and lanes.
"""

from dataclasses import dataclass, field

from tweenbatch.records import Failure, Job, Outcome
from tweenbatch.stages.policy import MODERATION
from tweenbatch.states import Event, State


@dataclass(slots=True)
class FailureStreak:
    """Rows in a row that were given up for one reason; ``limit`` None: they are not counted."""

    limit: int | None
    stop: str | None = None
    """Why no more should be bought, once the limit is reached."""
    _reason: tuple[str, int | None] | None = None
    _jobs: set[int] = field(default_factory=set)
    held: str | None = None
    """Why nothing more should be bought until a clip comes home."""
    _laid_aside: set[int] = field(default_factory=set)
    _broken_off: set[int] = field(default_factory=set)

    @property
    def close_to_its_end(self) -> bool:
        """Tell whether what the next request comes to may matter for the one after it."""
        return self.limit is not None and (self.limit == 1 or bool(self._jobs or self._broken_off))

    def record_failure(self, outcome: Outcome, job: Job) -> None:
        """Count a row that was given up after its submission; a moderator's refusal says nothing.

        Type and HTTP status make failures the same, never their words.
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

    def laid_aside(self, job: Job, why: str) -> None:
        """Count a clip of this run that can't be fetched: what holds for all is nobody's row."""
        self._laid_aside.add(job.id)
        if self.limit is not None and len(self._laid_aside) >= self.limit:
            self.held = f"{len(self._laid_aside)} clips are made and none can be fetched ({why})"

    def broke_off(self, job: Job, error: Exception) -> str | None:
        """Count a job whose stage raised what none should; say why no more should be bought.

        Whatever the errors are: together they say that this machine can't do the work.
        """
        self._broken_off.add(job.id)
        count = len(self._broken_off)
        if self.limit is None or count < self.limit:
            return None
        return f"the work on {count} rows in a row broke off ({type(error).__name__}: {error})"

    def reset(self) -> None:
        """Begin anew: a clip came home."""
        self._reason = self.held = None
        self._jobs.clear()
        self._laid_aside.clear()
        self._broken_off.clear()


def _words(failure: Failure, count: int) -> str:
    return f"{count} rows in a row failed alike ({failure.type}: {failure.message})"
