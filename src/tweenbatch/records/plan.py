"""What a run would do, row by row and in sums; prices are US dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from tweenbatch.errors import Problem
from tweenbatch.records.imports import EarlierRow
from tweenbatch.records.job import KeptClip
from tweenbatch.records.manifest import Row


class Group(StrEnum):
    """Where a row stands before the run."""

    NEW = "new"
    CHANGED = "changed"
    WAITING = "waiting"
    AT_FAL = "at_fal"
    UNCERTAIN = "uncertain"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TO_PAY = frozenset({Group.NEW, Group.CHANGED, Group.WAITING})
"""What the run will submit, and pay for."""

MADE = frozenset({Group.DONE, Group.AT_FAL})
"""What is paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """How long a batch may take, in seconds; ``clips_seen`` is 0 where nothing is known yet."""

    low_seconds: float
    high_seconds: float
    clip_seconds: float | None
    clips_seen: int
    concurrency: int
    assumed: bool = False
    """Whether so many at a time is a guess: the account's limit is found by running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """How many clips, for how many US dollars."""

    clips: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: "Clips") -> "Clips":
        return Clips(clips=self.clips + other.clips, usd=self.usd + other.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row about which there is something to say.

    ``reasons`` say why a row runs again, or why one that is new is there; ``was`` is what the
    same row asked for in the last import. ``elsewhere`` names another manifest, for which the
    clip was paid, where this one never asked for it.
    """

    manifest: Path
    row: Row
    group: Group
    price_usd: Decimal
    reasons: tuple[str, ...] = ()
    was: EarlierRow | None = None
    elsewhere: Path | None = None

    @property
    def reason(self) -> str:
        """All reasons in one line."""
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRow:
    """A row that went away, with what its clip cost or may have cost in US dollars.

    A run withdraws it where it waits and nobody else asks for it.
    """

    manifest: Path
    earlier: EarlierRow
    cost_usd: Decimal
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """The rows that went away: all counted, the first ones listed; each content's cost once."""

    listed: tuple[RemovedRow, ...] = ()
    rows: int = 0
    usd: Decimal = Decimal(0)
    withdrawn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the manifests ask for, each content once, and how that stands before the run."""

    manifests: tuple[Path, ...]
    here: Mapping[Group, Clips]
    """The contents that are not ``elsewhere``."""
    elsewhere: Mapping[Group, Clips]
    """Those that are made, or paid for, but were never asked for by their own file."""
    listed: tuple[PlannedRow, ...] = ()
    """Rows with something to say, in the order of the files."""
    not_listed: int = 0
    """How many more there are than are listed."""
    removed: Removed = Removed()
    repeated: int = 0
    """Rows that ask for the content of another row; they share its clip."""
    endpoints_to_pay: frozenset[str] = frozenset()
    """Which endpoints the run would submit to."""
    names_to_pay: frozenset[str] = frozenset()
    """A name in each folder in which a clip of the run would lie."""
    retakes: Clips = Clips()
    """Further takes that a person asked for, and that wait to be paid for."""
    again: Clips = Clips()
    """Old failures that are tried again."""
    renewed: int = 0
    """Rows that differ from known clips only in signatures of addresses, or in line ends."""
    warnings: tuple[tuple[Path, Problem], ...] = ()
    kept: tuple[KeptClip, ...] = ()
    """The first clips that came home: whether they still lie there is for ``missing`` to tell."""
    estimate: Estimate | None = None
    """How long the run takes; None where nobody asked, or nothing is to be submitted."""

    def count(self, *groups: Group) -> int:
        """Return the number of clips in these groups, of all groups without any."""
        return sum(self._of(group).clips for group in groups or Group)

    def usd(self, *groups: Group) -> Decimal:
        """Return the price of these groups in US dollars."""
        return sum((self._of(group).usd for group in groups), Decimal(0))

    def _of(self, group: Group) -> Clips:
        return self.here.get(group, Clips()) + self.elsewhere.get(group, Clips())

    @property
    def clips_to_pay(self) -> int:
        """How many clips the run would submit."""
        return self.count(*TO_PAY) + self.retakes.clips + self.again.clips

    @property
    def usd_to_pay(self) -> Decimal:
        """What the run would spend if every clip succeeds at once, in US dollars."""
        return self.usd(*TO_PAY) + self.retakes.usd + self.again.usd
