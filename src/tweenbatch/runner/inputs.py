"""The inputs of a run besides its settings: scope, consent, ownership of the table, and parts."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from tweenbatch.clips.checker import Checker
from tweenbatch.recovery.table_marks import TableMarks
from tweenbatch.runner.price_watch import AS_KNOWN, PriceAgreement
from tweenbatch.stages.dead_frames import DeadFrames
from tweenbatch.store import RunnerLock


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The work of a run; by default all unfinished work of the table."""

    manifests: Collection[int] | None = None
    """Manifests whose jobs may be submitted; None: all."""
    endpoints: Collection[str] | None = None
    """Endpoints of the jobs that are still to be paid for; None: not known."""
    count_missing: Callable[[], int] = lambda: 0
    """Counts, when the run has ended, downloaded clips that are missing from the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """The user's agreement to pay; by default to the known prices and to every clip."""

    prices: PriceAgreement = AS_KNOWN
    rest: Callable[[int], bool] = lambda _: True
    """Asks, after the canaries succeeded, whether this many more may follow; runs in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The evidence that this process owns the table, and that the table is up to date."""

    lock: RunnerLock | None = None
    """Locks the table, and remembers in its folder how far it had come."""
    marks: TableMarks | None = None
    """Remember outside the folder how far the table and its copies had come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Replaceable parts of a run."""

    checker: Checker | None = None
    """A checker to share; None: the run makes its own."""
    dead_frames: DeadFrames = field(default_factory=DeadFrames)
    rng: random.Random = field(default_factory=random.Random)
    """Spreads pauses and polls."""
