"""Adaptive concurrency limit: how many requests may be in progress at fal at one time.

fal does not publish an account's limit; requests above it wait in fal's queue. The limit grows
while no request waits, then keeps a short queue, so that fal is never idle and little money is in
flight. Pure arithmetic on job numbers: this module sends nothing. All times are seconds of
``Clock.monotonic``.
"""

from dataclasses import dataclass, field
from itertools import takewhile
from math import inf

from tweenbatch.records import Phase

FIRST_WIDTH = 8
SHORTEST_QUEUE = 2
QUEUE_SHARE = 5
"""One queued request for this many running ones covers the time until the next POST."""

PROBE_FROM_SHARE = 0.75
"""A probe is sent only when this share of the limit is used."""

PATIENCE_SECONDS = 2.0
LEAST_PATIENCE_SECONDS = 0.25
PATIENCE_FACTOR = 5.0
"""A request waits for a slot, and not for the service to start it, once it has waited this many
times longer than probes that started at once."""

PROBES_TO_BELIEVE = 3
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
"""Pauses between two probes while each of them finds a queue."""

CEILING_SECONDS = 60.0
"""How long the limit stays below a number that fal refused as too many."""


@dataclass(slots=True)
class _RequestAtFal:
    accepted: float
    sequence: int
    running: bool = False
    slot_since: float = inf
    polled: float = -inf
    ended: float | None = None

    @property
    def order(self) -> tuple[float, int]:
        return self.accepted, self.sequence

    def is_behind(self, other: "_RequestAtFal") -> bool:
        return other.order < self.order


@dataclass(slots=True, kw_only=True)
class AdaptiveLimit:
    """The limit, called width; ``fixed`` None adapts it, up to ``most``."""

    most: int
    fixed: int | None = None
    probe: int | None = None
    """The request that is polled early, to see whether new requests have to wait."""
    _probe_since: float = -inf
    _width: int = 0
    _at_fal: dict[int, _RequestAtFal] = field(default_factory=dict)
    _last_sequence: int = 0
    """Orders requests that were accepted at the same instant."""
    _limit: int | None = None
    """How many ran when a request was seen to wait; None: none was."""
    _surveying: bool = False
    """Whether probes search for the exact limit."""
    _doubling: bool = True
    _without_queue: int = 0
    _starts: int = 0
    """How many probes were seen running."""
    _slowest_start: float = 0.0
    """The longest time that one of these probes took to start."""
    _running: int = 0
    _ceiling: int = 0
    _ceiling_until: float = -inf
    _ends: int = 0
    _ends_before_probe: int = 0
    _pause_seconds: float = FIRST_PAUSE_SECONDS
    _no_probe_before: float = -inf

    def __post_init__(self) -> None:
        """Start with a small width."""
        self._width = min(self.most, FIRST_WIDTH)
        self._ceiling = self.most

    @property
    def width(self) -> int:
        """Return how many requests may be in progress, including POSTs not yet answered."""
        return self.fixed or self._width

    @property
    def widest(self) -> int:
        """Return the upper bound of the width."""
        return self.fixed or self.most

    def accepted(self, number: int, *, at: float, now: float) -> None:
        """Count a request that fal accepted at ``at``; make it the probe if one is due."""
        self._last_sequence += 1
        self._at_fal[number] = _RequestAtFal(at, self._last_sequence)
        self._assign_slots(at)
        full = len(self._at_fal) >= max(1.0, PROBE_FROM_SHARE * self._width)
        fresh = now - at < PATIENCE_SECONDS
        if fresh and self.fixed is None and self.probe is None and full and self._may_probe(now):
            self._set_probe(number, now)
            self._ends_before_probe = self._ends

    def polled(
        self, number: int, phase: Phase, *, now: float, at_work: float | None = None
    ) -> None:
        """Record a poll; ``at_work`` is how long fal says it ran, once completed."""
        if number not in self._at_fal:
            return
        request = self._at_fal[number]
        if phase is Phase.COMPLETED:
            ended = now if at_work is None else max(request.polled, request.slot_since + at_work)
            request.ended = min(now, ended)
            return
        request.polled = now
        if phase is Phase.RUNNING:
            if not request.running:
                request.running = True
                self._running += 1
            if request.slot_since == inf:
                request.slot_since = request.accepted
            if self._limit is None:
                # After a restart or trouble: fal runs at least this many.
                self._widen(self._running + _queue_for(self._running))
            if number == self.probe:
                self._probe_started(number, now)
        elif phase is Phase.QUEUED:
            self._seen_in_queue(number, now)

    def probed_since(self, number: int) -> float | None:
        """Return since when a request is the probe; None: it is not."""
        return self._probe_since if number == self.probe else None

    def is_at_fal(self, number: int) -> bool:
        """Tell whether a request is in progress, as last seen."""
        return number in self._at_fal

    def slot_available_since(self, number: int) -> float:
        """Return when fal could start a request, judged by the other requests.

        Infinity: they use all slots. An unknown request waits for none.
        """
        return self._at_fal[number].slot_since if self.is_at_fal(number) else -inf

    def ended(self, number: int, *, now: float) -> None:
        """Forget a request that no longer uses a slot, and give the slot to another one."""
        request = self._at_fal.pop(number, None)
        if request is not None:
            self._ends += 1
            self._running -= request.running
            # The next one started then, not when we polled: otherwise its polls come ever later.
            self._assign_slots(now if request.ended is None else request.ended)
        if number == self.probe:
            self._set_probe(None, now)

    def narrow(self, *, now: float, too_many: bool) -> None:
        """Halve the width after connection trouble, or if fal refused a request as too many.

        It grows again as requests are seen running, for a while below the refused number.
        """
        self._width = max(1, self._width // 2)
        self._limit, self._doubling = None, False
        self._set_probe(None, now)
        if too_many:
            self._ceiling = max(1, len(self._at_fal))
            self._ceiling_until = now + CEILING_SECONDS

    def _set_probe(self, probe: int | None, now: float, *, surveying: bool = False) -> None:
        self.probe, self._probe_since, self._surveying = probe, now, surveying

    def _survey(self, now: float) -> None:
        """Search for the exact limit by halves: probe the middle of the requests in doubt."""
        in_order = sorted(self._at_fal.items(), key=lambda item: item[1].order)
        newest_first = reversed(in_order[: self._limit])
        unclear = [
            number for number, _ in takewhile(lambda item: not item[1].running, newest_first)
        ]
        if unclear:
            self._set_probe(unclear[len(unclear) // 2], now, surveying=True)
        else:
            self._queue_found(now)

    def _probe_started(self, number: int, now: float) -> None:
        """Widen if the probe started at once; keep the width if it took the slot of another."""
        if self._surveying:
            self._survey(now)
            return
        ahead = self._ahead(number)
        self._starts += 1
        self._slowest_start = max(self._slowest_start, now - self._at_fal[number].accepted)
        if self._ends > self._ends_before_probe and self._limit is not None:
            self._queue_found(now)
            return
        self._set_probe(None, now)
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._without_queue += 1
        if self._limit is not None:
            # Many requests that end together empty the queue for a moment; the limit is unchanged.
            self._no_probe_before = now + self._pause_seconds
            if self._without_queue < PROBES_TO_BELIEVE:
                return
            self._limit = max(self._limit, ahead + 1)
        if self._ceiling < self.most and now >= self._ceiling_until:
            self._ceiling += max(1, self._ceiling // 8)
        if self._doubling:
            self._widen(round(2 * (ahead + 1) / PROBE_FROM_SHARE))
            newest = max(self._at_fal, key=lambda each: self._at_fal[each].order)
            if self._limit is None and newest != number:
                self._set_probe(newest, now)
        else:
            self._without_queue = 0
            self._widen(self._width + max(1, self._width // 8))

    def _widen(self, width: int) -> None:
        self._width = max(self._width, min(width, self.most, self._ceiling))

    def _seen_in_queue(self, number: int, now: float) -> None:
        mine = self._at_fal[number]
        patient = now - mine.accepted >= self._patience_seconds
        closer = False
        if patient and self._any_running_before(number):
            at_work = self._ahead(number)
            closer = self._limit is None or at_work < self._limit
            self._limit, self._doubling = min(self._limit or at_work, at_work), False
            for each in self._at_fal.values():
                if each is mine or (each.is_behind(mine) and not each.running):
                    each.slot_since = inf
            self._width = max(1, min(self._width, at_work + _queue_for(at_work)))
        if number == self.probe and closer:
            self._survey(now)
        elif number == self.probe and (patient or self._limit is not None):
            self._queue_found(now)

    @property
    def _patience_seconds(self) -> float:
        if self._starts < PROBES_TO_BELIEVE:
            return PATIENCE_SECONDS
        seconds = PATIENCE_FACTOR * self._slowest_start
        return min(PATIENCE_SECONDS, max(LEAST_PATIENCE_SECONDS, seconds))

    def _may_probe(self, now: float) -> bool:
        return now >= self._no_probe_before

    def _queue_found(self, now: float) -> None:
        self._set_probe(None, now)
        self._without_queue = 0
        self._no_probe_before = now + self._pause_seconds
        self._pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds)

    def _assign_slots(self, now: float) -> None:
        """Assign the free slots to waiting requests, the oldest first."""
        waiting = [each for each in self._at_fal.values() if each.slot_since == inf]
        free = len(waiting)
        if self._limit is not None:
            free = max(0, self._limit - (len(self._at_fal) - len(waiting)))
        for each in sorted(waiting, key=lambda each: each.order)[:free]:
            each.slot_since = now

    def _ahead(self, number: int) -> int:
        """Return how many requests in progress were accepted before this one."""
        mine = self._at_fal[number]
        return sum(mine.is_behind(other) for other in self._at_fal.values())

    def _any_running_before(self, number: int) -> bool:
        mine = self._at_fal[number]
        return any(other.running and mine.is_behind(other) for other in self._at_fal.values())


def _queue_for(at_work: int) -> int:
    return max(SHORTEST_QUEUE, -(-at_work // QUEUE_SHARE))
