"""The plan of a run: rows, counts and prices in US dollars."""

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
    """The status of a row before the run."""

    NEW = "new"
    CHANGED = "changed"
    WAITING = "waiting"
    AT_FAL = "at_fal"
    UNCERTAIN = "uncertain"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


TO_PAY = frozenset({Group.NEW, Group.CHANGED, Group.WAITING})
"""The groups that the run will submit and pay for."""

MADE = frozenset({Group.DONE, Group.AT_FAL})
"""The groups that are paid for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimated time of a run, in seconds; ``clips_seen`` is 0 without earlier clips."""

    low_seconds: float
    high_seconds: float
    clip_seconds: float | None
    clips_seen: int
    concurrency: int
    assumed: bool = False
    """Whether ``concurrency`` is a guess: only running shows the account's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """A number of clips and their price in US dollars."""

    clips: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: "Clips") -> "Clips":
        return Clips(clips=self.clips + other.clips, usd=self.usd + other.usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row that the plan lists, with the reasons.

    ``reasons`` explain why an edited row runs again, or why a row is new. ``was`` is the same row
    in the last import. ``elsewhere`` is another manifest that already paid for the clip.
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
        """All reasons on one line."""
        return "; ".join(self.reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRow:
    """A removed row, with the cost or possible cost of its clip in US dollars.

    A run withdraws its job if it is waiting and no other row asks for it.
    """

    manifest: Path
    earlier: EarlierRow
    cost_usd: Decimal
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Removed rows: all counted, the first ones listed. The cost of each content counts once."""

    listed: tuple[RemovedRow, ...] = ()
    rows: int = 0
    usd: Decimal = Decimal(0)
    withdrawn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The contents of the manifests, each once, with their status before the run."""

    manifests: tuple[Path, ...]
    here: Mapping[Group, Clips]
    """The contents that are not in ``elsewhere``."""
    elsewhere: Mapping[Group, Clips]
    """Contents already paid for by another manifest, and new in their own."""
    listed: tuple[PlannedRow, ...] = ()
    """Rows with a reason or with a payment elsewhere, in the order of the files."""
    not_listed: int = 0
    """The number of such rows beyond those listed."""
    removed: Removed = Removed()
    repeated: int = 0
    """Rows with the content of another row; they share its clip."""
    endpoints_to_pay: frozenset[str] = frozenset()
    """The endpoints that the run would submit to."""
    names_to_pay: frozenset[str] = frozenset()
    """One file name for each folder that the run would write clips to."""
    retakes: Clips = Clips()
    """Additional takes that a person requested and that are not submitted yet."""
    again: Clips = Clips()
    """Earlier failures that the run retries."""
    renewed: int = 0
    """Rows that differ from known clips only in URL signatures or line endings."""
    warnings: tuple[tuple[Path, Problem], ...] = ()
    kept: tuple[KeptClip, ...] = ()
    """The first downloaded clips; ``missing`` checks whether their files still exist."""
    estimate: Estimate | None = None
    """The estimated time of the run; None if not requested or nothing is submitted."""

    def count(self, *groups: Group) -> int:
        """Return the number of clips in these groups; without groups, in all."""
        return sum(self._of(group).clips for group in groups or Group)

    def usd(self, *groups: Group) -> Decimal:
        """Return the price of the clips in these groups, in US dollars."""
        return sum((self._of(group).usd for group in groups), Decimal(0))

    def _of(self, group: Group) -> Clips:
        return self.here.get(group, Clips()) + self.elsewhere.get(group, Clips())

    @property
    def clips_to_pay(self) -> int:
        """The number of clips that the run would submit."""
        return self.count(*TO_PAY) + self.retakes.clips + self.again.clips

    @property
    def usd_to_pay(self) -> Decimal:
        """The cost of the run if every clip succeeds on the first attempt, in US dollars."""
        return self.usd(*TO_PAY) + self.retakes.usd + self.again.usd
