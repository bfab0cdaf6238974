"""How many requests may be at fal at one time: the account's limit, found by looking.

fal tells no account its limit; requests beyond it wait in the queue. So the window grows while
none waits, and keeps a short queue once some do: fal always has the next one at hand, and no
more money is in flight than that takes. Pure arithmetic: it knows no job, only their numbers,
and sends nothing. All times are seconds as ``Clock.monotonic`` gives them.
"""

from dataclasses import dataclass, field

from tweenbatch.records import Phase

FIRST_WIDTH = 8
SHORTEST_QUEUE = 2
QUEUE_SHARE = 5
"""One in the queue for so many at work covers the way from a clip's end to the next POST."""

WORTH_A_LOOK = 0.75
"""A request that is followed by few others tells how all of them stand."""

PATIENCE_SECONDS = 2.0
"""Whoever waits longer waits for a slot, and not for the service to take note of it."""

SCOUTS_TO_BELIEVE = 3
FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 10.0
"""Between two scouts, as long as each finds a queue."""


CEILING_SECONDS = 60.0
"""What fal called too many is not tried again for so long."""


@dataclass(slots=True)
class _AtFal:
    accepted: float
    entered: int
    running: bool = False

    def is_behind(self, other: "_AtFal") -> bool:
        return (other.accepted, other.entered) < (self.accepted, self.entered)


@dataclass(slots=True, kw_only=True)
class Window:
    """The width of what may be at fal; ``fixed`` None finds it, from a few up to ``most``."""

    most: int
    fixed: int | None = None
    scout: int | None = None
    """The request that is looked at early, to see whether the newest ones have to wait."""
    _width: int = 0
    _at_fal: dict[int, _AtFal] = field(default_factory=dict)
    _entered: int = 0
    """How many there have been: many may be accepted at one instant."""
    _limit_seen: bool = False
    _limit: int | None = None
    """How many were at work when one was seen to wait."""
    _doubling: bool = True
    _without_queue: int = 0
    _running: int = 0
    _ceiling: int = 0
    _ceiling_until: float = float("-inf")
    _ends: int = 0
    _ends_before_scout: int = 0
    _rest: float = FIRST_REST_SECONDS
    _rests_until: float = float("-inf")

    def __post_init__(self) -> None:
        """Begin small, or as wide as was asked for."""
        self._width = self.fixed or min(self.most, FIRST_WIDTH)
        self._ceiling = self.most

    @property
    def width(self) -> int:
        """Return how many requests may be at fal, or on their way there."""
        return self._width

    @property
    def widest(self) -> int:
        """Return what the width never passes."""
        return self.fixed or self.most

    def accepted(self, number: int, *, at: float, now: float) -> None:
        """Count a request that fal took at ``at``, and make it the scout if one is due."""
        self._entered += 1
        self._at_fal[number] = _AtFal(at, self._entered)
        full = len(self._at_fal) >= max(1.0, WORTH_A_LOOK * self._width)
        fresh = now - at < PATIENCE_SECONDS
        if fresh and self.fixed is None and self.scout is None and full and self._rested(now):
            self.scout = number
            self._ends_before_scout = self._ends

    def looked(self, number: int, phase: Phase, *, now: float) -> None:
        """Hear of a look at a request."""
        if self.fixed is not None or number not in self._at_fal:
            return
        if phase is Phase.RUNNING:
            if not self._at_fal[number].running:
                self._at_fal[number].running = True
                self._running += 1
            if not self._limit_seen:
                # As after a restart, or trouble: so many were let in before.
                self._widen(self._running + _queue_for(self._running))
            if number == self.scout:
                self._scouted(now, ahead=self._ahead(number))
        elif phase is Phase.QUEUED:
            self._seen_waiting(number, now)

    def knows(self, number: int) -> bool:
        """Tell whether a request is at fal, as far as has been seen."""
        return number in self._at_fal

    def waits_first(self, number: int) -> bool:
        """Tell whether others hold all slots, as far as they are known, when one is accepted."""
        if self._limit is None or not self.knows(number):
            return False
        return self._ahead(number) >= self._limit

    def ended(self, number: int) -> None:
        """Forget a request that takes no slot any more."""
        gone = self._at_fal.pop(number, None)
        if gone is not None:
            self._ends += 1
            self._running -= gone.running
        if number == self.scout:
            self.scout = None

    def narrow(self, *, now: float, too_many: bool) -> None:
        """Halve the width: the way to fal is in trouble, or fal says that these are too many.

        It is widened again as requests are seen at work; for a while not beyond what was too many.
        """
        if self.fixed is not None:
            return
        self._width = max(1, self._width // 2)
        self._limit_seen = self._doubling = False
        self.scout = None
        if too_many:
            self._ceiling = max(1, len(self._at_fal))
            self._ceiling_until = now + CEILING_SECONDS

    def _scouted(self, now: float, *, ahead: int) -> None:
        """Widen where the scout began at once; where others made way for it, stay."""
        if self._ends > self._ends_before_scout and self._limit_seen:
            self._found_a_queue(now)
            return
        self.scout = None
        self._rest = FIRST_REST_SECONDS
        self._without_queue += 1
        if self._limit_seen:
            # Many that end at once leave no queue for a moment; that is not yet a wider limit.
            self._rests_until = now + self._rest
            if self._without_queue < SCOUTS_TO_BELIEVE:
                return
        if self._ceiling < self.most and now >= self._ceiling_until:
            self._ceiling += max(1, self._ceiling // 8)
        if self._doubling:
            self._widen(2 * (ahead + 1))
        else:
            self._without_queue = 0
            self._widen(self._width + max(1, self._width // 8))

    def _widen(self, width: int) -> None:
        self._width = max(self._width, min(width, self.most, self._ceiling))

    def _seen_waiting(self, number: int, now: float) -> None:
        waited = now - self._at_fal[number].accepted
        patient = waited >= PATIENCE_SECONDS
        if self._some_run_before(number) and patient:
            self._limit_seen, self._doubling = True, False
            at_work = self._limit = self._ahead(number)
            self._width = max(1, min(self._width, at_work + _queue_for(at_work)))
        if number == self.scout and (patient or self._limit_seen):
            self._found_a_queue(now)

    def _rested(self, now: float) -> bool:
        return now >= self._rests_until

    def _found_a_queue(self, now: float) -> None:
        self.scout = None
        self._without_queue = 0
        self._rests_until = now + self._rest
        self._rest = min(LONGEST_REST_SECONDS, 2 * self._rest)

    def _ahead(self, number: int) -> int:
        """Return how many were accepted before this one and have not been seen to end."""
        mine = self._at_fal[number]
        return sum(mine.is_behind(other) for other in self._at_fal.values())

    def _some_run_before(self, number: int) -> bool:
        mine = self._at_fal[number]
        return any(other.running and mine.is_behind(other) for other in self._at_fal.values())


def _queue_for(at_work: int) -> int:
    return max(SHORTEST_QUEUE, -(-at_work // QUEUE_SHARE))
