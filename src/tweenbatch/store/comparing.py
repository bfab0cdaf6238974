"""Staged manifests, held against the table: what stands where, as records."""

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
from tweenbatch.store.staging import chunks
from tweenbatch.store.statements import compared, imports


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentGroup:
    """How many contents stand alike; ``price_usd`` is what their jobs cost in all, if any.

    ``withdrawn``: their jobs were cancelled because no row asked for them any more. ``asked``: the
    last import of their file asked for them too. ``abroad``: they are made, or being made, for
    another manifest.
    """

    state: State | None
    withdrawn: bool
    asked: bool
    abroad: bool
    kind: JobKind
    clips: int
    price_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWithJob:
    """A row beside what the table knows of its content; ``place`` is that of its manifest."""

    position: int
    place: int
    row: Row
    state: State | None
    error_type: str | None
    job_price_usd: Decimal | None
    stayed: bool = False
    """Whether the last import of the file had an earlier take of the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedJob:
    """An earlier row whose content is gone, with what that cost in US dollars."""

    manifest: Path
    earlier: EarlierRow
    cost_usd: Decimal
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AllGone:
    """All of them, counted; each content's cost once."""

    rows: int
    cost_usd: Decimal
    withdrawn: int


class Comparison:
    """Manifests and the table, looked at in one consistent view of it."""

    def __init__(
        self, connection: Connection, manifests: Sequence[Manifest], *, renewed: int
    ) -> None:
        self._connection = connection
        self.manifests = manifests
        self.renewed = renewed
        """Rows whose content there is a job for, with other signatures or line ends."""

    def rows(self) -> int:
        """Return how many rows there are."""
        count: int = self._connection.execute(compared.count_staged()).scalar_one()
        return count

    def contents(self, made: Collection[State]) -> list[ContentGroup]:
        """Return the contents by their standing; ``made`` are the states that can be abroad."""
        return [
            ContentGroup(
                state=each.state,
                withdrawn=bool(each.withdrawn),
                asked=bool(each.asked),
                abroad=bool(each.abroad),
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
        """Return which clips came home of so many contents, the first ones."""
        return [KeptClip(*each) for each in self._connection.execute(compared.kept(limit=limit))]

    def folders(self, states: Collection[State]) -> frozenset[str]:
        """Return a name in each folder that contents without a job, or in such a state, need."""
        names = self._connection.execute(compared.folders(states)).scalars()
        return frozenset({name.rpartition("/")[0]: name for name in names}.values())

    def failed(self, *, limit: int) -> list[RowWithJob]:
        """Return the first rows whose contents failed."""
        return self._standing(compared.failed(limit=limit))

    def abroad(self, made: Collection[State], *, limit: int) -> list[tuple[RowWithJob, Path]]:
        """Return the first rows whose contents are abroad, and the manifest that came last."""
        found = self._standing(compared.abroad(made, limit=limit))
        paths = {
            each.key: Path(each.path)
            for keys in chunks(one.row.key for one in found)
            for each in self._connection.execute(imports.asking_for(keys))
        }
        return [(each, paths[each.row.key]) for each in found if each.row.key in paths]

    def earlier_jobs(self) -> int:
        """Count the contents that the last imports of the files asked for, in each file anew."""
        return int(self._connection.execute(compared.count_earlier_jobs()).scalar_one())

    def fresh(self, *, limit: int) -> list[RowWithJob]:
        """Return the first contents that the last imports of their files did not ask for."""
        return self._standing(compared.fresh(limit=limit))

    def gone(self, *, limit: int) -> list[RemovedJob]:
        """Return the first earlier rows whose contents are gone."""
        return [
            RemovedJob(
                manifest=Path(each.manifest),
                earlier=reading.earlier_row_of(each),
                cost_usd=each.cost_usd,
                withdrawn=bool(each.withdrawn),
            )
            for each in self._connection.execute(compared.gone(limit=limit))
        ]

    def all_gone(self) -> AllGone:
        """Count the earlier rows whose contents are gone."""
        each = self._connection.execute(compared.count_gone()).one()
        return AllGone(
            rows=int(each.rows),
            cost_usd=each.cost_usd,
            withdrawn=int(each.withdrawn),
        )

    def copies(self) -> tuple[list[RowWithJob], list[tuple[Path, EarlierRow]]]:
        """Return the rows, now and before, of what the last imports asked for more than once."""
        ids = list(self._connection.execute(compared.copies()).scalars())
        now = [each for some in chunks(ids) for each in self._standing(compared.rows_of(some))]
        before = [
            (Path(each.manifest), reading.earlier_row_of(each))
            for some in chunks(ids)
            for each in self._connection.execute(compared.earlier_rows_of(some))
        ]
        return now, before

    def _standing(self, query: Select[Any]) -> list[RowWithJob]:
        return [_standing_of(each) for each in self._connection.execute(query)]


def _standing_of(each: Any) -> RowWithJob:
    return RowWithJob(
        position=each.position,
        place=each.place,
        row=reading.row_of(each),
        state=each.state,
        error_type=each.error_type,
        job_price_usd=each.job_price,
        stayed=bool(getattr(each, "stayed", False)),
    )
