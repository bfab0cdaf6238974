"""When to look at a request: not before it can have ended, then often, then less so.

It learns from the requests that ended in this run, and begins with what the table has seen. Pure
arithmetic; all times are seconds as ``Clock.monotonic`` gives them.
"""

import math
import random
from collections import Counter, deque
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass, field
from statistics import quantiles

KEPT = 32
ENOUGH = 8
"""So many times make quantiles; of fewer, the shortest and the longest with a margin."""
MARGIN = 0.1
BEFORE_MARGIN = 0.4
"""What the table has seen is of another day, and of clips of other lengths."""

FIRST_SECONDS = 0.5
FIRST_SPREAD = 2.0
SOON_SECONDS = 24.0
SOON_FACTOR = 1.5
QUEUED_FACTOR = 3.0
QUEUED_FRACTION = 0.1
LATER_FRACTION = 0.35
UNKNOWN_CAP_SECONDS = 40.0
"""Where nothing is known: ten looks in two minutes. Each request begins at another point, so
that a few of them together find the first end closely, and tell the others. What waits for its
turn is not about to end: such looks are further apart."""

PIONEERS = 64
"""So many of a kind are enough to find its first end; the others wait for the news."""

FRESH_SECONDS = 1.0

MANY_LOOKS = 9
MANY_FRACTION = 0.15
"""After so many at work, whatever was expected, each comes later by a share of the time waited that
grows: so there are few more, however long it takes."""

SPREAD_LOOKS = 8
"""Where times differ much, so many looks have to do from the earliest likely end to the latest."""
STEPS = 2
"""Looks between the earliest likely end and the latest."""
FINEST_SECONDS = 0.05
FINEST_FRACTION = 0.03
COARSEST_FRACTION = 0.07
"""Shortest and longest step, of the time waited: the delay that a look costs is half of it."""


@dataclass(slots=True, kw_only=True)
class RequestObservation:
    """What looks have told of one request so far."""

    kind: Hashable
    """Requests of one kind take alike."""
    accepted: float
    offset: float
    """A number between 0 and 1 that spreads the looks at requests that went out together."""
    pioneer: bool
    """Whether it is one of the first of its kind, which are looked at while nothing is known."""
    fresh: bool
    """Whether it was followed from the start: else its end may lie far back when it is seen."""
    turn: float = -math.inf
    """Since when no others are served first, as far as is known; infinity while they are."""
    looked: float | None = None
    """The last look that found it unfinished."""
    queued: float | None = None
    """The last look that found it waiting for its turn."""
    looks: int = 0
    """How many found it unfinished."""
    at_work: int = 0
    """How many of them since the last that found it waiting."""

    @property
    def began(self) -> float:
        """Return since when fal may have been at it."""
        waited = self.accepted if self.queued is None else self.queued
        return waited if self.waits else max(waited, self.turn)

    @property
    def waits(self) -> bool:
        """Tell whether others are served first, as far as is known."""
        return self.turn == math.inf

    def unfinished(self, now: float, *, waiting: bool) -> None:
        """Note a look."""
        self.looks += 1
        self.at_work += 1
        self.looked = now
        if waiting:
            self.queued = now
            self.at_work = 0


@dataclass(slots=True)
class _Times:
    """How long requests of one kind took once fal could begin: at work, and in all."""

    at_work: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    in_all: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


@dataclass(slots=True)
class PollTiming:
    """Says when the next look at a request is due."""

    rng: random.Random
    _times: dict[Hashable, _Times] = field(default_factory=dict)
    _before: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _sights: Counter[Hashable] = field(default_factory=Counter)

    def seen_before(self, seconds: Iterable[float]) -> None:
        """Begin with how long clips took before, as far as the table knows."""
        self._before.extend(seconds)

    def sight(self, kind: Hashable, *, accepted: float, now: float) -> RequestObservation:
        """Return the sight of a request that nobody has looked at yet."""
        self._sights[kind] += 1
        return RequestObservation(
            kind=kind,
            accepted=accepted,
            offset=self.rng.random(),
            pioneer=self._sights[kind] <= PIONEERS,
            fresh=now - accepted < FRESH_SECONDS,
        )

    def knows(self, sight: RequestObservation) -> bool:
        """Tell whether a request of this kind was seen to end in this run."""
        return sight.kind in self._times

    def due(self, sight: RequestObservation) -> float:
        """Return when to look next; what has passed means at once.

        Of one behind others that is not before it can have ended, had its turn come at once.
        """
        due = self._due(sight)
        if sight.looked is None or sight.at_work < MANY_LOOKS:
            return due
        share = MANY_FRACTION * (sight.at_work - MANY_LOOKS + 1)
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
        """Learn from a clip that was seen to be done; tell whether much is new by that.

        ``at_work`` is how long fal worked on it by its own word.
        """
        if sight.looked is None and not sight.fresh:
            return False
        waited = max(0.0, now - sight.accepted)
        if at_work is not None and not 0.0 <= at_work <= waited:
            at_work = None
        # It ended between two looks: were the later one taken, looks would never come earlier.
        not_before = max(now - COARSEST_FRACTION * waited, sight.looked or sight.accepted)
        not_before = max(not_before, sight.began + (at_work or 0.0))
        ended = (min(not_before, now) + now) / 2
        times = self._times.setdefault(sight.kind, _Times())
        times.at_work.append(ended - sight.began if at_work is None else at_work)
        times.in_all.append(ended - sight.began)
        count = len(times.at_work)
        return count < ENOUGH and not count & (count - 1)


def _likely(seconds: Collection[float]) -> tuple[float, float]:
    """Return the earliest and the latest likely time."""
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
    # A queue that is gone must not be waited for.
    first = sight.began + max(earliest, min(soonest, 2 * latest))
    if sight.looked is None or sight.looked < sight.began:
        return first
    waited = sight.looked - sight.accepted
    if sight.queued == sight.looked:
        return sight.looked + max(earliest, QUEUED_FRACTION * waited)
    waited = sight.looked - sight.began
    spread = math.pow(last / max(soonest, FINEST_SECONDS), 1 / SPREAD_LOOKS) - 1
    coarsest = max(FINEST_SECONDS, max(COARSEST_FRACTION, spread) * waited)
    finest = min(coarsest, max(FINEST_SECONDS, FINEST_FRACTION * waited))
    step = coarsest
    if waited <= last + finest:
        step = min(coarsest, max(finest, (last - soonest) / STEPS))
    # Spread, lest what was looked at together stays together.
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
