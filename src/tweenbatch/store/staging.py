"""Manifests on their way into the table: a scratch table that one transaction holds against it.

However many rows there are, they stream through here once; what follows is set algebra, which
the database does itself. The scratch table ends with its transaction.
"""

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, insert
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from tweenbatch.filenames import slug
from tweenbatch.records import Manifest, Row, canonical_json
from tweenbatch.store.statements import imports
from tweenbatch.store.statements.staged import (
    FILLED,
    find_jobs,
    mark_repeats,
    staged,
    staged_key,
)
from tweenbatch.store.types import in_micro

T = TypeVar("T")

_text = json.JSONEncoder(ensure_ascii=False).encode

CHUNK = 5_000
"""How many rows travel in one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What rows that cost the same have in common; rows name it by its place among all kinds."""

    endpoint: str
    parameters: Mapping[str, str]
    price_usd: Decimal


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


@contextmanager
def stage(connection: Connection, manifests: Sequence[Manifest]) -> Iterator[list[Kind]]:
    """Keep the rows of the manifests in ``staged`` for the time of the context; give their kinds.

    Positions count on from one manifest to the next.
    """
    connection.execute(CreateTable(staged))
    into = _Stage(connection)
    for place, manifest in enumerate(manifests):
        path = str(manifest.path.absolute())
        known = connection.execute(imports.manifest_id(path)).scalar_one_or_none()
        into.add(manifest, place=place, manifest_id=known)
    connection.execute(CreateIndex(staged_key))
    if connection.dialect.name == "postgresql":
        # SQLite's plans depend on no statistics of a table that has an index.
        connection.exec_driver_sql("ANALYZE staged")
    for statement in (*mark_repeats(), find_jobs()):
        connection.execute(statement)
    yield [kind for *_, kind in into.kinds.values()]
    connection.execute(DropTable(staged))


class _Stage:
    """Fills the scratch table, each row as cheaply as can be."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        statement = insert(staged).compile(dialect=connection.dialect, column_keys=FILLED)
        self._statement = str(statement)
        self._by_name = not connection.dialect.positional
        self._position = 0
        self.kinds: dict[Hashable, tuple[int, str, int, Kind]] = {}
        """Place, parameters and price as the table has them, and the kind, by what makes it."""

    def add(self, manifest: Manifest, *, place: int, manifest_id: int | None) -> None:
        """Append the rows of a manifest; ``manifest_id`` is None where the table has none of it."""
        for rows in chunks(manifest.rows):
            values: list[Any] = [self._values(row, place, manifest_id) for row in rows]
            if self._by_name:
                values = [dict(zip(FILLED, each, strict=True)) for each in values]
            self._connection.exec_driver_sql(self._statement, values)

    def _values(self, row: Row, place: int, manifest_id: int | None) -> tuple[Any, ...]:
        """Return a row in the order of the table's columns."""
        spec = row.spec
        start, end = spec.start, spec.end
        kind, parameters, price, _ = self._kind(row)
        position = self._position
        self._position = position + 1
        return (
            *(position, place, manifest_id, kind, _plain_name(row)),
            *(row.number, spec.take, row.name, row.start_image, row.end_image),
            *(_text(row.tags) if row.tags else "[]", _in_order(row.extra)),
            *(spec.key, spec.endpoint, spec.prompt, start.source, start.sha256),
            *((end.source, end.sha256) if end else (None, None)),
            *(parameters, price, row.priority),
        )

    def _kind(self, row: Row) -> tuple[int, str, int, Kind]:
        spec = row.spec
        alike = spec.endpoint, row.price_usd, *spec.parameters.items()
        found = self.kinds.get(alike)
        if found is None:
            kind = Kind(
                endpoint=spec.endpoint, parameters=dict(spec.parameters), price_usd=row.price_usd
            )
            price = in_micro(row.price_usd)
            found = len(self.kinds), canonical_json(kind.parameters), price, kind
            self.kinds[alike] = found
        return found


def _in_order(texts: Mapping[str, str]) -> str:
    """Return JSON by hand, quicker than the encoder; a person's columns stay in their order."""
    return "{" + ",".join([f"{_text(name)}:{_text(text)}" for name, text in texts.items()]) + "}"


def _plain_name(row: Row) -> str:
    if row.output:
        return row.output
    name = slug(row.name) or f"row-{row.number:04d}"
    return f"{name}-t{row.spec.take}" if row.spec.take > 1 else name
