"""Compare staged manifests with the table and return the results as records."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select

from tweenbatch.records import EarlierRow, KeptClip
from tweenbatch.records.manifest import JobKind, Manifest, Row
from tweenbatch.states import State
from tweenbatch.store import reading
from tweenbatch.store.row_shapes import StagedWithJobShape
from tweenbatch.store.staging import chunks
from tweenbatch.store.statements import compared, imports


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentGroup:
    """How many clips the manifests name in one situation, and the total price of their jobs.

    ``withdrawn``: their jobs were cancelled because their last row was removed.
    ``asked_before``: the last import of their file also asked for them.
    ``paid_elsewhere``: their clips are made, or being made, for another manifest.
    """

    state: State | None
    withdrawn: bool
    asked_before: bool
    paid_elsewhere: bool
    kind: JobKind
    clips: int
    price_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWithJob:
    """A row with the job of its content, if it has one."""

    position: int
    manifest_index: int
    row: Row
    state: State | None
    error_type: str | None
    job_price_usd: Decimal | None
    stayed: bool = False
    """Whether the last import of the file contained an earlier take of this row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedJob:
    """An earlier row whose content was removed, with its cost in US dollars."""

    manifest: Path
    earlier: EarlierRow
    cost_usd: Decimal
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedTotals:
    """Totals of all removed rows; the cost of each content counts once."""

    rows: int
    cost_usd: Decimal
    withdrawn: int


class Comparison:
    """The comparison of manifests with one consistent view of the table."""

    def __init__(
        self, connection: Connection, manifests: Sequence[Manifest], *, renewed: int
    ) -> None:
        self._connection = connection
        self.manifests = manifests
        self.renewed = renewed
        """Rows that match an existing job except for signatures or line ends."""

    def rows(self) -> int:
        """Count the rows."""
        count: int = self._connection.execute(compared.count_staged()).scalar_one()
        return count

    def contents(self, made: Collection[State]) -> list[ContentGroup]:
        """Return the contents by situation; ``made`` are the states of paid clips."""
        return [
            ContentGroup(
                state=each.state,
                withdrawn=bool(each.withdrawn),
                asked_before=bool(each.asked),
                paid_elsewhere=bool(each.paid_elsewhere),
                kind=JobKind(
                    endpoint=each.endpoint,
                    parameters=json.loads(each.parameters),
                    price_usd=each.price_micro,
                ),
                clips=each.clips,
                price_usd=each.price_usd,
            )
            for each in self._connection.execute(compared.contents(made))
        ]

    def kept(self, *, limit: int) -> list[KeptClip]:
        """Return the downloaded clips of the first ``limit`` contents."""
        return [KeptClip(*each) for each in self._connection.execute(compared.kept(limit=limit))]

    def folders(self, states: Collection[State]) -> frozenset[str]:
        """Return one file name per folder for contents without a job or in one of these states."""
        names = self._connection.execute(compared.folders(states)).scalars()
        return frozenset({name.rpartition("/")[0]: name for name in names}.values())

    def failed(self, *, limit: int) -> list[RowWithJob]:
        """Return the first rows whose contents failed."""
        return self._rows_with_jobs(compared.failed(limit=limit))

    def paid_elsewhere(
        self, made: Collection[State], *, limit: int
    ) -> list[tuple[RowWithJob, Path]]:
        """Return the first rows paid for another manifest, each with the newest such manifest."""
        found = self._rows_with_jobs(compared.paid_elsewhere(made, limit=limit))
        paths = {
            each.key: Path(each.path)
            for keys in chunks(one.row.key for one in found)
            for each in self._connection.execute(imports.asking_for(keys))
        }
        return [(each, paths[each.row.key]) for each in found if each.row.key in paths]

    def earlier_jobs(self) -> int:
        """Count the contents in the last imports of the files, separately for each file."""
        return int(self._connection.execute(compared.count_earlier_jobs()).scalar_one())

    def fresh(self, *, limit: int) -> list[RowWithJob]:
        """Return the first contents that are new since the last imports of their files."""
        return self._rows_with_jobs(compared.fresh(limit=limit))

    def removed(self, *, limit: int) -> list[RemovedJob]:
        """Return the first earlier rows whose contents were removed."""
        return [
            RemovedJob(
                manifest=Path(each.manifest),
                earlier=reading.earlier_row_of(each),
                cost_usd=each.cost_usd,
                withdrawn=bool(each.withdrawn),
            )
            for each in self._connection.execute(compared.removed(limit=limit))
        ]

    def count_removed(self) -> RemovedTotals:
        """Count the earlier rows whose contents were removed."""
        each = self._connection.execute(compared.count_removed()).one()
        return RemovedTotals(
            rows=int(each.rows),
            cost_usd=each.cost_usd,
            withdrawn=int(each.withdrawn),
        )

    def copies(self) -> tuple[list[RowWithJob], list[tuple[Path, EarlierRow]]]:
        """Return current and earlier rows of contents that a last import contained repeatedly."""
        ids = list(self._connection.execute(compared.copies()).scalars())
        now = [
            each for some in chunks(ids) for each in self._rows_with_jobs(compared.rows_of(some))
        ]
        before = [
            (Path(each.manifest), reading.earlier_row_of(each))
            for some in chunks(ids)
            for each in self._connection.execute(compared.earlier_rows_of(some))
        ]
        return now, before

    def _rows_with_jobs(self, query: Select[Any]) -> list[RowWithJob]:
        return [_row_with_job(each) for each in self._connection.execute(query)]


def _row_with_job(each: StagedWithJobShape) -> RowWithJob:
    return RowWithJob(
        position=each.position,
        manifest_index=each.place,
        row=reading.row_of(each),
        state=each.state,
        error_type=each.error_type,
        job_price_usd=each.job_price,
        stayed=bool(getattr(each, "stayed", False)),
    )
