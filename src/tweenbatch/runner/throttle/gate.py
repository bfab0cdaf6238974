"""The gate of a run: it pauses or closes all submissions when trouble concerns every job.

A locked account, an outage or a rate limit costs no job an attempt. It does not know jobs.
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

    After a pause one submission starts as a probe; the others follow when it succeeds.
    ``monotonic`` returns seconds, as ``Clock.monotonic`` does.
    """

    monotonic: Callable[[], float]
    rng: random.Random
    closed: str | None = None
    """Why this run submits nothing more."""
    paused: str | None = None
    """Why submissions wait for a pause and its probe."""
    held: str | None = None
    """Why submissions wait until the caller clears this; a probe can't end it."""
    _until: float = 0.0
    _pauses_in_a_row: int = 0
    _probing: bool = field(default=False)
    _poll_answered_at: float = float("-inf")

    def wait_seconds(self) -> float | None:
        """Return the seconds until the next submission may start; None: not known."""
        if self._probing or self.held is not None:
            return None
        return max(0.0, self._until - self.monotonic())

    def allowance(self) -> int | None:
        """Return how many submissions may start now; None: no limit."""
        if self.closed is not None or self.wait_seconds() != 0.0:
            return 0
        return None if self.paused is None else 1

    def started(self) -> None:
        """Note that a submission starts."""
        self._probing = self.paused is not None

    def got_through(self) -> None:
        """Open the gate: fal answered a submission normally."""
        self._probing = False
        self._pauses_in_a_row = 0
        self.paused = None

    def abandoned(self) -> None:
        """Note that the probe ended without a result."""
        self._probing = False

    def poll_answered(self) -> None:
        """Note that fal answered a poll."""
        self._poll_answered_at = self.monotonic()

    def is_silent(self, *, since: float) -> bool:
        """Tell whether fal has answered no poll since ``since`` (``monotonic``)."""
        return self._poll_answered_at < since

    def pause(self, reason: str, *, retry_after_seconds: float | None = None) -> float:
        """Pause for as long as fal asks, or longer with each pause in a row; return the seconds.

        Submissions in progress when the pause began do not lengthen it.
        """
        if self.paused is not None and not self._probing and self.wait_seconds():
            self._until = max(self._until, self.monotonic() + (retry_after_seconds or 0.0))
            return self._until - self.monotonic()
        pause = jittered(
            self._pauses_in_a_row, base=PAUSE_BASE_SECONDS, cap=PAUSE_CAP_SECONDS, rng=self.rng
        )
        if retry_after_seconds is not None:
            pause = max(pause, retry_after_seconds)
        self._until = max(self._until, self.monotonic() + pause)
        self._pauses_in_a_row += 1
        self._probing = False
        self.paused = reason
        return pause

    def close(self, reason: str) -> None:
        """Stop submissions for the rest of the run; keep the first reason."""
        self._probing = False
        self.closed = self.closed or reason
