"""What a run would do: rows held against the table, and the price of the difference.

Reads only. The same plan is shown by ``plan`` and asked about by ``run``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from tweenbatch.models import AS_KNOWN, Prices
from tweenbatch.records import EarlierRow, Known, Manifest, Row
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import Store


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

_BY_STATE = {
    State.PENDING: Group.WAITING,
    State.SUBMITTING: Group.UNCERTAIN,
    State.UNCERTAIN: Group.UNCERTAIN,
    State.SUCCEEDED: Group.DONE,
    State.FAILED: Group.FAILED,
    State.CANCELLED: Group.CANCELLED,
    **dict.fromkeys(IDENTIFIED, Group.AT_FAL),
}

WITHDRAWN = "withdrawn"
"""Error type of a job that was cancelled because its last row went away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """A row and its group; ``reason`` says why a changed row runs again."""

    manifest: Path
    row: Row
    group: Group
    price_usd: Decimal
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rows of all manifests, each content once, and the rows that went away."""

    rows: tuple[PlannedRow, ...]
    removed: tuple[EarlierRow, ...]
    repeated: int
    """Rows that ask for the content of another row; they share its clip."""

    def count(self, *groups: Group) -> int:
        """Return the number of clips in these groups."""
        return sum(row.group in groups for row in self.rows)

    def usd(self, *groups: Group) -> Decimal:
        """Return the price of these groups in US dollars."""
        return sum((row.price_usd for row in self.rows if row.group in groups), Decimal(0))

    @property
    def clips_to_pay(self) -> int:
        """How many clips the run would submit."""
        return self.count(*TO_PAY)

    @property
    def endpoints_to_pay(self) -> frozenset[str]:
        """Which endpoints the run would submit to."""
        return frozenset(row.row.spec.endpoint for row in self.rows if row.group in TO_PAY)

    @property
    def names_to_pay(self) -> frozenset[str]:
        """Which names a person asked for, of the clips that the run would submit."""
        return frozenset(row.row.output for row in self.rows if row.group in TO_PAY) - {""}

    @property
    def usd_to_pay(self) -> Decimal:
        """What the run would spend if every clip succeeds at once, in US dollars."""
        return self.usd(*TO_PAY)


def make(manifests: Sequence[Manifest], store: Store | None, *, prices: Prices = AS_KNOWN) -> Plan:
    """Hold the manifests against the table; None stands for a table that does not exist yet.

    ``prices`` are those that hold for what has still to be paid.
    """
    keys = {row.spec.key for manifest in manifests for row in manifest.rows}
    known = store.lookup(keys) if store else {}
    planned: list[PlannedRow] = []
    removed: list[EarlierRow] = []
    seen: set[str] = set()
    repeated = 0
    for manifest in manifests:
        earlier = store.earlier_rows(manifest.path) if store else []
        removed += _gone(earlier, manifest.rows)
        before = _by_place(earlier)
        for row in manifest.rows:
            key = row.spec.key
            if key in seen:
                repeated += 1
                continue
            seen.add(key)
            planned.append(_planned(manifest.path, row, known.get(key), before, prices))
    return Plan(rows=tuple(planned), removed=tuple(removed), repeated=repeated)


def _planned(
    path: Path,
    row: Row,
    known: Known | None,
    before: dict[tuple[str, int], EarlierRow],
    prices: Prices,
) -> PlannedRow:
    group, reason = _standing(row, known, before)
    if known is None or group in TO_PAY:
        spec = row.spec
        price = prices.clip_usd(spec.endpoint, spec.parameters, known=row.price_usd)
    else:
        price = known.price_usd
    return PlannedRow(manifest=path, row=row, group=group, price_usd=price, reason=reason)


def _standing(
    row: Row, known: Known | None, before: dict[tuple[str, int], EarlierRow]
) -> tuple[Group, str]:
    """Return the group of a row and, for a changed one, why it runs again."""
    if known is not None and known.error_type != WITHDRAWN:
        return _BY_STATE[known.state], ""
    earlier = before.get(_place(row.name, row.number, row.spec.take))
    if earlier is None or earlier.key == row.spec.key:
        return Group.NEW, ""
    return Group.CHANGED, f"differs from what row {earlier.number} asked for before"


def _gone(earlier: Iterable[EarlierRow], rows: Sequence[Row]) -> list[EarlierRow]:
    """Return the earlier rows that neither stand in the file any more nor were edited in it."""
    keys = {row.spec.key for row in rows}
    places = {_place(row.name, row.number, row.spec.take) for row in rows}
    return [
        old
        for old in earlier
        if old.key not in keys and _place(old.name, old.number, old.take) not in places
    ]


def _by_place(earlier: Iterable[EarlierRow]) -> dict[tuple[str, int], EarlierRow]:
    return {_place(old.name, old.number, old.take): old for old in earlier}


def _place(name: str, number: int, take: int) -> tuple[str, int]:
    """What makes an edited row the same row: its name, or where it stands."""
    return (name or f"#{number}", take)
