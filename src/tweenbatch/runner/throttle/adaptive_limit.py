"""How many requests may be at fal at one time: the account's limit, found by looking.

fal tells no account its limit; requests beyond it wait in the queue. So the window grows while
none waits, and keeps a short queue once some do: fal always has the next one at hand, and no
more money is in flight than that takes. Pure arithmetic: it knows no job, only their numbers,
and sends nothing. All times are seconds as ``Clock.monotonic`` gives them.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from math import inf

from tweenbatch.records import Phase

FIRST_WIDTH = 8
SHORTEST_QUEUE = 2
QUEUE_SHARE = 5
"""One in the queue for so many at work covers the way from a clip's end to the next POST."""

WORTH_A_LOOK = 0.75
"""A request that is followed by few others tells how all of them stand."""

PATIENCE_SECONDS = 2.0
LEAST_PATIENCE_SECONDS = 0.25
PATIENCE_FACTOR = 5.0
"""Whoever waits so many times longer than the probes that began at once waits for a slot, and not
for the service to take note of it."""

PROBES_TO_BELIEVE = 3
FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 10.0
"""Between two probes, as long as each finds a queue."""


CEILING_SECONDS = 60.0
"""What fal called too many is not tried again for so long."""


@dataclass(slots=True)
class _AtFal:
    accepted: float
    entered: int
    running: bool = False
    turn: float = inf
    looked: float = -inf
    ended: float | None = None

    @property
    def place(self) -> tuple[float, int]:
        return self.accepted, self.entered

    def is_behind(self, other: "_AtFal") -> bool:
        return other.place < self.place


@dataclass(slots=True, kw_only=True)
class AdaptiveLimit:
    """The width of what may be at fal; ``fixed`` None finds it, from a few up to ``most``."""

    most: int
    fixed: int | None = None
    probe: int | None = None
    """The request that is looked at early, to see whether the newest ones have to wait."""
    _probe_since: float = -inf
    _width: int = 0
    _at_fal: dict[int, _AtFal] = field(default_factory=dict)
    _entered: int = 0
    """How many there have been: many may be accepted at one instant."""
    _limit: int | None = None
    """No more were at work when one was seen to wait."""
    _surveying: bool = False
    """Whether probes are sent to those at the limit, to find it to the number."""
    _doubling: bool = True
    _without_queue: int = 0
    _starts: int = 0
    """Probes that were seen at work, and how long the slowest of them took to come to it."""
    _slowest_start: float = 0.0
    _running: int = 0
    _ceiling: int = 0
    _ceiling_until: float = -inf
    _ends: int = 0
    _ends_before_probe: int = 0
    _rest: float = FIRST_REST_SECONDS
    _rests_until: float = -inf

    def __post_init__(self) -> None:
        """Begin small."""
        self._width = min(self.most, FIRST_WIDTH)
        self._ceiling = self.most

    @property
    def width(self) -> int:
        """Return how many requests may be at fal, or on their way there."""
        return self.fixed or self._width

    @property
    def widest(self) -> int:
        """Return what the width never passes."""
        return self.fixed or self.most

    def accepted(self, number: int, *, at: float, now: float) -> None:
        """Count a request that fal took at ``at``, and make it the probe if one is due."""
        self._entered += 1
        self._at_fal[number] = _AtFal(at, self._entered)
        self._hand_slots_on(at)
        full = len(self._at_fal) >= max(1.0, WORTH_A_LOOK * self._width)
        fresh = now - at < PATIENCE_SECONDS
        if fresh and self.fixed is None and self.probe is None and full and self._rested(now):
            self._send(number, now)
            self._ends_before_probe = self._ends

    def looked(
        self, number: int, phase: Phase, *, now: float, at_work: float | None = None
    ) -> None:
        """Hear of a look at a request; ``at_work`` is how long fal worked on it, once it ended."""
        if number not in self._at_fal:
            return
        seen = self._at_fal[number]
        if phase is Phase.COMPLETED:
            told = now if at_work is None else max(seen.looked, seen.turn + at_work)
            seen.ended = min(now, told)
            return
        seen.looked = now
        if phase is Phase.RUNNING:
            if not seen.running:
                seen.running = True
                self._running += 1
            if seen.turn == inf:
                seen.turn = seen.accepted
            if self._limit is None:
                # As after a restart, or trouble: so many were let in before.
                self._widen(self._running + _queue_for(self._running))
            if number == self.probe:
                self._probed(number, now)
        elif phase is Phase.QUEUED:
            self._seen_waiting(number, now)

    def probed_since(self, number: int) -> float | None:
        """Return since when a request is the probe, if it is."""
        return self._probe_since if number == self.probe else None

    def knows(self, number: int) -> bool:
        """Tell whether a request is at fal, as far as has been seen."""
        return number in self._at_fal

    def slot_available_since(self, number: int) -> float:
        """Return when fal could begin with a request, as far as can be told from the others.

        Infinity: they hold all slots. One that is not known here waits for nobody.
        """
        return self._at_fal[number].turn if self.knows(number) else -inf

    def ended(self, number: int, *, now: float) -> None:
        """Forget a request that takes no slot any more: it is another one's turn."""
        gone = self._at_fal.pop(number, None)
        if gone is not None:
            self._ends += 1
            self._running -= gone.running
            # The next one began then, not when we looked: else it is looked at ever later.
            self._hand_slots_on(now if gone.ended is None else gone.ended)
        if number == self.probe:
            self._send(None, now)

    def narrow(self, *, now: float, too_many: bool) -> None:
        """Halve the width: the way to fal is in trouble, or fal says that these are too many.

        It is widened again as requests are seen at work; for a while not beyond what was too many.
        """
        self._width = max(1, self._width // 2)
        self._limit, self._doubling = None, False
        self._send(None, now)
        if too_many:
            self._ceiling = max(1, len(self._at_fal))
            self._ceiling_until = now + CEILING_SECONDS

    def _send(self, probe: int | None, now: float, *, surveying: bool = False) -> None:
        self.probe, self._probe_since, self._surveying = probe, now, surveying

    def _survey(self, now: float) -> None:
        """Send a probe to the middle of those of whom it is not known on which side they are."""
        in_order = sorted(self._at_fal.items(), key=lambda item: item[1].place)
        back = reversed(in_order[: self._limit])
        doubtful = [number for number, _ in takewhile(lambda item: not item[1].running, back)]
        if doubtful:
            self._send(doubtful[len(doubtful) // 2], now, surveying=True)
        else:
            self._found_a_queue(now)

    def _probed(self, number: int, now: float) -> None:
        """Widen where the probe began at once; where others made way for it, stay."""
        if self._surveying:
            self._survey(now)
            return
        ahead = self._ahead(number)
        self._starts += 1
        self._slowest_start = max(self._slowest_start, now - self._at_fal[number].accepted)
        if self._ends > self._ends_before_probe and self._limit is not None:
            self._found_a_queue(now)
            return
        self._send(None, now)
        self._rest = FIRST_REST_SECONDS
        self._without_queue += 1
        if self._limit is not None:
            # Many that end at once leave no queue for a moment; that is not yet a wider limit.
            self._rests_until = now + self._rest
            if self._without_queue < PROBES_TO_BELIEVE:
                return
            self._limit = max(self._limit, ahead + 1)
        if self._ceiling < self.most and now >= self._ceiling_until:
            self._ceiling += max(1, self._ceiling // 8)
        if self._doubling:
            self._widen(round(2 * (ahead + 1) / WORTH_A_LOOK))
            newest = max(self._at_fal, key=lambda each: self._at_fal[each].place)
            if self._limit is None and newest != number:
                self._send(newest, now)
        else:
            self._without_queue = 0
            self._widen(self._width + max(1, self._width // 8))

    def _widen(self, width: int) -> None:
        self._width = max(self._width, min(width, self.most, self._ceiling))

    def _seen_waiting(self, number: int, now: float) -> None:
        mine = self._at_fal[number]
        patient = now - mine.accepted >= self._patience_seconds
        closer = False
        if patient and self._some_run_before(number):
            at_work = self._ahead(number)
            closer = self._limit is None or at_work < self._limit
            self._limit, self._doubling = min(self._limit or at_work, at_work), False
            for each in self._at_fal.values():
                if each is mine or (each.is_behind(mine) and not each.running):
                    each.turn = inf
            self._width = max(1, min(self._width, at_work + _queue_for(at_work)))
        if number == self.probe and closer:
            self._survey(now)
        elif number == self.probe and (patient or self._limit is not None):
            self._found_a_queue(now)

    @property
    def _patience_seconds(self) -> float:
        if self._starts < PROBES_TO_BELIEVE:
            return PATIENCE_SECONDS
        seconds = PATIENCE_FACTOR * self._slowest_start
        return min(PATIENCE_SECONDS, max(LEAST_PATIENCE_SECONDS, seconds))

    def _rested(self, now: float) -> bool:
        return now >= self._rests_until

    def _found_a_queue(self, now: float) -> None:
        self._send(None, now)
        self._without_queue = 0
        self._rests_until = now + self._rest
        self._rest = min(LONGEST_REST_SECONDS, 2 * self._rest)

    def _hand_slots_on(self, now: float) -> None:
        """Let those have their turn for whom there is a slot, whoever came first before others."""
        waiting = [each for each in self._at_fal.values() if each.turn == inf]
        free = len(waiting)
        if self._limit is not None:
            free = max(0, self._limit - (len(self._at_fal) - len(waiting)))
        for each in sorted(waiting, key=lambda each: each.place)[:free]:
            each.turn = now

    def _ahead(self, number: int) -> int:
        """Return how many were accepted before this one and have not been seen to end."""
        mine = self._at_fal[number]
        return sum(mine.is_behind(other) for other in self._at_fal.values())

    def _some_run_before(self, number: int) -> bool:
        mine = self._at_fal[number]
        return any(other.running and mine.is_behind(other) for other in self._at_fal.values())


def _queue_for(at_work: int) -> int:
    return max(SHORTEST_QUEUE, -(-at_work // QUEUE_SHARE))
