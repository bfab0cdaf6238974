"""Decide when to poll a request: not before it can have ended, then often, then less often.

It learns from requests that ended in this run, and starts with durations from the table. Pure
arithmetic; all times are ``Clock.monotonic`` seconds.
"""

import math
import random
from collections import Counter, deque
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from statistics import quantiles

KEPT = 32
ENOUGH = 8
"""Durations needed for quantiles; with fewer, the shortest and longest are used with a margin."""
MARGIN = 0.1
BEFORE_MARGIN = 0.4
"""Durations from the table are from other days and other clip lengths."""

FIRST_SECONDS = 0.5
FIRST_SPREAD = 2.0
SOON_SECONDS = 24.0
SOON_FACTOR = 1.5
QUEUED_FACTOR = 3.0
QUEUED_FRACTION = 0.1
LATER_FRACTION = 0.35
UNKNOWN_CAP_SECONDS = 40.0
"""Without known durations: ten polls in two minutes. Requests start at different offsets, so that
a few of them together detect the first end precisely; the others learn from it. A queued request
will not end soon, so it is polled less often."""

PIONEERS = 64
"""This many requests of a kind are polled to detect its first end; the others wait for it."""

FRESH_SECONDS = 1.0

MANY_POLLS = 9
MANY_FRACTION = 0.15
"""From poll number ``MANY_POLLS`` of a running request, a pause is at least this share of the time
waited; the share grows with each poll, so even a very long request is polled only a few more times.
"""

SPREAD_POLLS = 8
"""Polls from the earliest likely end to the latest if durations differ widely."""
STEPS = 2
"""Polls between the earliest likely end and the latest."""
FINEST_SECONDS = 0.05
FINEST_FRACTION = 0.03
COARSEST_FRACTION = 0.07
"""Shortest and longest step as a share of the time waited; the average delay is half a step."""


@dataclass(slots=True, kw_only=True)
class RequestObservation:
    """What the polls of one request have shown so far."""

    kind: Hashable
    """Requests of one kind take about equally long."""
    accepted: float
    offset: float
    """A number between 0 and 1 that spreads the polls of requests submitted together."""
    pioneer: bool
    """Whether it is one of the first of its kind, polled while no duration is known."""
    fresh: bool
    """Whether it was followed from the start; otherwise it may have ended long before a poll."""
    turn: float = -math.inf
    """When it reached the front of the queue; infinity while others are known to be ahead."""
    looked: float | None = None
    """Time of the last poll that found it unfinished."""
    queued: float | None = None
    """Time of the last poll that found it queued."""
    looks: int = 0
    """Number of polls that found it unfinished."""
    at_work: int = 0
    """Number of these since the last that found it queued."""

    @property
    def began(self) -> float:
        """Return the earliest time at which fal can have started it."""
        waited = self.accepted if self.queued is None else self.queued
        return waited if self.waits else max(waited, self.turn)

    @property
    def waits(self) -> bool:
        """Tell whether others are known to be ahead in the queue."""
        return self.turn == math.inf

    def unfinished(self, now: float, *, waiting: bool) -> None:
        """Record a poll that found the request unfinished."""
        self.looks += 1
        self.at_work += 1
        self.looked = now
        if waiting:
            self.queued = now
            self.at_work = 0


@dataclass(slots=True)
class _Times:
    """Durations of one kind from the earliest possible start: working time, and in total."""

    at_work: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    in_all: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


@dataclass(slots=True)
class PollTiming:
    """Computes when the next poll of a request is due."""

    rng: random.Random
    _times: dict[Hashable, _Times] = field(default_factory=dict)
    _before: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _observed: Counter[Hashable] = field(default_factory=Counter)

    def seen_before(self, seconds: Iterable[float]) -> None:
        """Start with durations of earlier clips from the table."""
        self._before.extend(seconds)

    def sight(self, kind: Hashable, *, accepted: float, now: float) -> RequestObservation:
        """Return the observation of a request that has not been polled yet."""
        self._observed[kind] += 1
        return RequestObservation(
            kind=kind,
            accepted=accepted,
            offset=self.rng.random(),
            pioneer=self._observed[kind] <= PIONEERS,
            fresh=now - accepted < FRESH_SECONDS,
        )

    def knows(self, sight: RequestObservation) -> bool:
        """Tell whether a request of this kind has ended in this run."""
        return sight.kind in self._times

    def due(self, sight: RequestObservation) -> float:
        """Return when to poll next; a past time means at once.

        A queued request is not due before it could have ended had it started at once.
        """
        due = self._due(sight)
        if sight.looked is None or sight.at_work < MANY_POLLS:
            return due
        share = MANY_FRACTION * (sight.at_work - MANY_POLLS + 1)
        return max(due, sight.looked + share * (sight.looked - sight.accepted))

    def _due(self, sight: RequestObservation) -> float:
        times = self._times.get(sight.kind)
        if times is not None:
            work, in_all = _likely(times.at_work), _likely(times.in_all)
        elif len(self._before) >= ENOUGH:
            work = in_all = _range(self._before, BEFORE_MARGIN)
        else:
            return _due_unknown(sight)
        return _due(sight, work, in_all)

    def ended(self, sight: RequestObservation, *, now: float, at_work: float | None) -> bool:
        """Learn from a finished clip; tell whether the estimate changed much.

        ``at_work`` is the working time that fal reported.
        """
        if sight.looked is None and not sight.fresh:
            return False
        waited = max(0.0, now - sight.accepted)
        if at_work is not None and not 0.0 <= at_work <= waited:
            at_work = None
        # It ended between two polls: with the time of the later one, polls could never get earlier.
        not_before = max(now - COARSEST_FRACTION * waited, sight.looked or sight.accepted)
        not_before = max(not_before, sight.began + (at_work or 0.0))
        ended = (min(not_before, now) + now) / 2
        times = self._times.setdefault(sight.kind, _Times())
        times.at_work.append(ended - sight.began if at_work is None else at_work)
        times.in_all.append(ended - sight.began)
        count = len(times.at_work)
        return count < ENOUGH and not count & (count - 1)


def _likely(seconds: Collection[float]) -> tuple[float, float]:
    """Return the shortest and the longest likely duration."""
    if len(seconds) < ENOUGH:
        return _range(seconds, MARGIN)
    tenths = quantiles(seconds, n=10, method="inclusive")
    return tenths[0], tenths[-1]


def _range(seconds: Collection[float], margin: float) -> tuple[float, float]:
    return min(seconds) * (1 - margin), max(seconds) * (1 + margin)


def _due(
    sight: RequestObservation, work: tuple[float, float], in_all: tuple[float, float]
) -> float:
    earliest, latest = work
    soonest, last = in_all
    # Total times may include a queue that is gone now: don't wait for it.
    first = sight.began + max(earliest, min(soonest, 2 * latest))
    if sight.looked is None or sight.looked < sight.began:
        return first
    waited = sight.looked - sight.accepted
    if sight.queued == sight.looked:
        return sight.looked + max(earliest, QUEUED_FRACTION * waited)
    waited = sight.looked - sight.began
    spread = math.pow(last / max(soonest, FINEST_SECONDS), 1 / SPREAD_POLLS) - 1
    coarsest = max(FINEST_SECONDS, max(COARSEST_FRACTION, spread) * waited)
    finest = min(coarsest, max(FINEST_SECONDS, FINEST_FRACTION * waited))
    step = coarsest
    if waited <= last + finest:
        step = min(coarsest, max(finest, (last - soonest) / STEPS))
    # The offset separates requests that were polled together.
    return max(sight.began + earliest, sight.looked + step * (0.9 + 0.2 * sight.offset))


def _due_unknown(sight: RequestObservation) -> float:
    if not sight.pioneer:
        since = sight.accepted if sight.looked is None else sight.looked
        return since + UNKNOWN_CAP_SECONDS * (1.0 + sight.offset) / 2
    if sight.looked is None:
        return sight.accepted + FIRST_SECONDS * (1.0 + FIRST_SPREAD * sight.offset)
    waited = sight.looked - sight.accepted
    if sight.queued == sight.looked:
        factor = QUEUED_FACTOR
    else:
        factor = SOON_FACTOR if waited < SOON_SECONDS else LATER_FRACTION
    pause = factor * waited
    longest = max(UNKNOWN_CAP_SECONDS, COARSEST_FRACTION * waited)
    return sight.looked + min(longest, max(FIRST_SECONDS, pause))
