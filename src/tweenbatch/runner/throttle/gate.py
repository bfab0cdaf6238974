"""When may the next submission go: the gate before all submissions to one endpoint with one key.

Trouble that all rows share (a locked account, an outage, a rate limit) is kept here, so that
it costs no row an attempt. The lane knows nothing of jobs.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tweenbatch.backoff import jittered

PAUSE_BASE_SECONDS = 2.0
PAUSE_CAP_SECONDS = 120.0


@dataclass(slots=True)
class SubmissionGate:
    """Open, paused until an instant, or closed for the rest of the run.

    After a pause one submission goes ahead as a probe; the others follow once it got through.
    ``monotonic`` gives seconds, as ``Clock.monotonic`` does.
    """

    monotonic: Callable[[], float]
    rng: random.Random
    closed: str | None = None
    """Why no submission may go any more in this run."""
    paused: str | None = None
    """Why submissions wait."""
    held: str | None = None
    """Why submissions wait until somebody takes it away: no probe tells whether it is over."""
    _until: float = 0.0
    _troubles: int = 0
    _probing: bool = field(default=False)
    _read_at: float = float("-inf")

    def wait_seconds(self) -> float | None:
        """Return the seconds until the next submission may go; None: not before something ends."""
        if self._probing or self.held is not None:
            return None
        return max(0.0, self._until - self.monotonic())

    def room(self) -> int | None:
        """Return how many submissions may go now; None: as many as there are slots."""
        if self.closed is not None or self.wait_seconds() != 0.0:
            return 0
        return None if self.paused is None else 1

    def started(self) -> None:
        """A submission goes out."""
        self._probing = self.paused is not None

    def got_through(self) -> None:
        """A submission was answered as it should be: the way is clear."""
        self._probing = False
        self._troubles = 0
        self.paused = None

    def abandoned(self) -> None:
        """A submission that had started did not come to the point of telling anything."""
        self._probing = False

    def read_through(self) -> None:
        """A look at a request was answered."""
        self._read_at = self.monotonic()

    def is_silent(self, *, since: float) -> bool:
        """Tell whether no look was answered from ``since`` (``monotonic``) on."""
        return self._read_at < since

    def trouble(self, reason: str, *, retry_after_seconds: float | None = None) -> float:
        """Pause for as long as fal asks, else longer with each trouble in a row.

        What was in the air when a pause began tells nothing new. Returns the seconds left.
        """
        if self.paused is not None and not self._probing and self.wait_seconds():
            self._until = max(self._until, self.monotonic() + (retry_after_seconds or 0.0))
            return self._until - self.monotonic()
        pause = jittered(
            self._troubles, base=PAUSE_BASE_SECONDS, cap=PAUSE_CAP_SECONDS, rng=self.rng
        )
        if retry_after_seconds is not None:
            pause = max(pause, retry_after_seconds)
        self._until = max(self._until, self.monotonic() + pause)
        self._troubles += 1
        self._probing = False
        self.paused = reason
        return pause

    def close(self, reason: str) -> None:
        """Stop submissions for the rest of the run; the first reason stands."""
        self._probing = False
        self.closed = self.closed or reason
