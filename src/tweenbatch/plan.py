"""What a run would do: rows held against the table, and the price of the difference.

Reads only. The same plan is shown by ``plan`` and asked about by ``run``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from tweenbatch import changes, pace
from tweenbatch.errors import Problem
from tweenbatch.models import AS_KNOWN, Prices
from tweenbatch.pace import Estimate
from tweenbatch.records import Asking, EarlierRow, Known, Manifest, Row
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

MADE = frozenset({Group.DONE, Group.AT_FAL})
"""What is paid for."""

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
    """A row and its group.

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
class Plan:
    """The rows of all manifests, each content once, and the rows that went away."""

    rows: tuple[PlannedRow, ...]
    removed: tuple[RemovedRow, ...]
    repeated: int
    """Rows that ask for the content of another row; they share its clip."""
    warnings: tuple[tuple[Path, Problem], ...] = ()
    estimate: Estimate | None = None
    """How long the run takes; None where nobody asked, or nothing is to be submitted."""

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

    @property
    def removed_usd(self) -> Decimal:
        """What the clips of the rows that went away cost or may have cost, each counted once."""
        costs = {row.earlier.key: row.cost_usd for row in self.removed}
        return sum(costs.values(), Decimal(0))


def make(
    manifests: Sequence[Manifest],
    store: Store | None,
    *,
    prices: Prices = AS_KNOWN,
    concurrency: int | None = None,
) -> Plan:
    """Hold the manifests against the table; None stands for a table that does not exist yet.

    ``prices`` are those that hold for what has still to be paid; with ``concurrency``, clips at
    fal at one time, the plan says how long the run takes.
    """
    files = [_File(manifest=manifest) for manifest in manifests]
    every_key = {key for file in files for key in file.keys}
    known = store.lookup(every_key) if store else {}
    planned: list[PlannedRow] = []
    left: list[tuple[Path, EarlierRow]] = []
    seen: set[str] = set()
    for file in files:
        held = _Held(file=file, known=known, store=store, prices=prices)
        planned += held.planned(seen)
        left += held.left()
    made = Plan(
        rows=tuple(planned),
        removed=tuple(_removed(left, every_key, store)),
        repeated=sum(len(file.keys) for file in files) - len(planned),
        warnings=tuple((each.path, problem) for each in manifests for problem in each.warnings),
    )
    if concurrency is None or not made.clips_to_pay:
        return made
    return replace(
        made,
        estimate=pace.estimate(
            made.clips_to_pay,
            endpoints=made.endpoints_to_pay,
            latest=store.latest_clips() if store else (),
            concurrency=concurrency,
        ),
    )


@dataclass(slots=True, kw_only=True)
class _File:
    """A manifest and the keys of its rows, which are digests and made once."""

    manifest: Manifest
    keys: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [row.spec.key for row in self.manifest.rows]


@dataclass(slots=True, kw_only=True)
class _Held:
    """One manifest, held against its last import and against all that the table knows."""

    file: _File
    known: Mapping[str, Known]
    store: Store | None
    prices: Prices
    earlier: Sequence[EarlierRow] = field(init=False)
    matched: changes.Matched = field(init=False)

    def __post_init__(self) -> None:
        manifest = self.file.manifest
        self.earlier = self.store.earlier_rows(manifest.path) if self.store else []
        self.matched = changes.match(self.earlier, manifest.rows, self.file.keys)

    def planned(self, seen: set[str]) -> Iterator[PlannedRow]:
        """Yield the rows whose content was not seen before, and add it to what was."""
        rows = self.file.manifest.rows
        stayed = {
            row.number for row, was in zip(rows, self.matched.was, strict=True) if was is not None
        }
        elsewhere = self._elsewhere()
        for row, key, was in zip(rows, self.file.keys, self.matched.was, strict=True):
            if key in seen:
                continue
            seen.add(key)
            known = self.known.get(key)
            group, reasons = _standing(row, key, known, was, stayed=row.number in stayed)
            asking = elsewhere.get(key)
            yield PlannedRow(
                manifest=self.file.manifest.path,
                row=row,
                group=group,
                price_usd=self._price(row, known, group),
                reasons=reasons,
                was=was,
                elsewhere=asking.manifest if asking else None,
            )

    def left(self) -> list[tuple[Path, EarlierRow]]:
        """Return the earlier rows that neither stand in the file any more nor were edited in it."""
        keys = set(self.file.keys)
        path = self.file.manifest.path
        return [(path, old) for old in self.matched.left if old.key not in keys]

    def _elsewhere(self) -> dict[str, Asking]:
        """Return who asks for the clips that are paid for and were never asked for here."""
        if self.store is None:
            return {}
        asked_here = {old.key for old in self.earlier}
        return self.store.asking_for(
            key
            for key in self.file.keys
            if key not in asked_here
            and (known := self.known.get(key)) is not None
            and _BY_STATE[known.state] in MADE
        )

    def _price(self, row: Row, known: Known | None, group: Group) -> Decimal:
        if known is not None and group not in TO_PAY:
            return known.price_usd
        spec = row.spec
        return self.prices.clip_usd(spec.endpoint, spec.parameters, known=row.price_usd)


def _standing(
    row: Row, key: str, known: Known | None, was: EarlierRow | None, *, stayed: bool
) -> tuple[Group, tuple[str, ...]]:
    """Return the group of a row and why it is there; ``stayed``: another take of it was before."""
    if known is not None and known.error_type != WITHDRAWN:
        failed = known.state is State.FAILED and known.error_type
        return _BY_STATE[known.state], (f"failed before ({failed})",) if failed else ()
    if was is not None and was.key != key:
        return Group.CHANGED, changes.reasons(was, row)
    if was is None and stayed:
        return Group.NEW, (f"take {row.spec.take} is new",)
    return Group.NEW, ()


def _removed(
    left: Sequence[tuple[Path, EarlierRow]], wanted: set[str], store: Store | None
) -> Iterator[RemovedRow]:
    """Yield the rows that went away; those that wait are withdrawn unless anybody wants them."""
    if store is None or not left:
        return
    costs = store.costs(old.key for _, old in left)
    asking = store.asking_for(old.key for _, old in left if old.state is State.PENDING)
    leaving = Counter(key for _, key in {(path, old.key) for path, old in left})
    for path, old in left:
        held = asking.get(old.key)
        yield RemovedRow(
            manifest=path,
            earlier=old,
            cost_usd=costs.get(old.key, Decimal(0)),
            withdrawn=held is not None
            and held.manifests <= leaving[old.key]
            and old.key not in wanted,
        )
