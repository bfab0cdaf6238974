"""Stage manifests in a scratch table, to compare them with the job table or import them.

All rows pass through here once; then the database works on whole sets. The scratch table ends with
its transaction.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from tweenbatch.files.names import slug
from tweenbatch.records import canonical_json
from tweenbatch.records.duplicates import any_repeated
from tweenbatch.records.manifest import Columns, JobKind, Manifest
from tweenbatch.records.plain import may_differ
from tweenbatch.store import engine
from tweenbatch.store.recognising import Recognised, recognise
from tweenbatch.store.statements import imports
from tweenbatch.store.statements.staged import (
    FILLED,
    NULLABLE,
    OF_KINDS,
    any_shared,
    fill,
    highest_job,
    mark_repeats,
    share_new_jobs,
    stage_rows_of,
    staged,
    staged_key,
)
from tweenbatch.store.types import in_micro

T = TypeVar("T")

CHUNK = 5_000
"""Rows per statement."""


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Split into lists of at most ``size`` items."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


OUT_OF_REACH = 1 << 62
"""Above the ids of all jobs that other programs may add meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """Facts about all staged rows.

    Contents without a job have a job id above ``after``.
    """

    after: int
    repeats: bool
    """Whether two rows may have the same content."""
    renewed: int = 0
    """Rows that match an existing job except for signatures or line endings."""


@contextmanager
def stage(
    connection: Connection, manifests: Sequence[Manifest], *, adding: bool
) -> Iterator[Staged]:
    """Keep the rows of the manifests in ``staged`` within the context.

    Positions continue from one manifest to the next. With ``adding``, the ids of new jobs continue
    after the existing ones.
    """
    connection.execute(CreateTable(staged))
    # Closing the connection is faster than emptying a large table.
    thrown_away = engine.close_afterwards(connection)
    if adding and thrown_away:
        engine.make_room(connection)
    highest: int = connection.execute(highest_job()).scalar_one()
    into = _Stage(connection, highest if adding else OUT_OF_REACH, look_up=highest > 0)
    all_known = False
    for place, manifest in enumerate(manifests):
        path = str(manifest.path.absolute())
        manifest_id = connection.execute(imports.manifest_id(path)).scalar_one_or_none() or 0
        if manifest.same_as is None:
            into.add(manifest, place=place, manifest_id=manifest_id)
        else:
            all_known = True
            connection.execute(stage_rows_of(manifest_id, place=place))
    found = Recognised()
    if not all_known:
        found = recognise(
            connection,
            after=into.after,
            any_jobs=highest > 0,
            may_be_odd=into.may_be_odd,
            adding=adding,
        )
    repeats = found.shared or into.may_repeat
    repeats |= all_known and connection.execute(any_shared()).scalar_one()
    compared = highest and not adding and not all_known
    if compared or repeats:
        connection.execute(CreateIndex(staged_key, if_not_exists=True))
    if connection.dialect.name == "postgresql":
        # SQLite's plans for a table with an index need no statistics.
        connection.exec_driver_sql("ANALYZE staged")
    if repeats:
        for statement in (*mark_repeats(), share_new_jobs()):
            connection.execute(statement)
    yield Staged(after=into.after, repeats=repeats, renewed=found.rows)
    if not thrown_away:
        connection.execute(DropTable(staged))


class _Kinds(dict[JobKind, tuple[str, str, int]]):
    """The kinds of the rows so far, as column values."""

    def __missing__(self, kind: JobKind) -> tuple[str, str, int]:
        parameters = canonical_json(dict(kind.parameters))
        kept = self[kind] = kind.endpoint, parameters, in_micro(kind.price_usd)
        return kept


class _Stage:
    """Fills the scratch table with as little work per row as possible."""

    def __init__(self, connection: Connection, after: int, *, look_up: bool) -> None:
        self._connection = connection
        self.after = after
        compiled = fill(look_up=look_up).compile(dialect=connection.dialect)
        self._statement = str(compiled)
        self._by_position = compiled.positiontup
        """The order of the statement's parameters; None if they are named."""
        self._position = 0
        self._digests = array("Q")
        self._kinds = _Kinds()
        self.may_be_odd = False
        """Whether the plain key of a row may differ from its key."""

    def add(self, manifest: Manifest, *, place: int, manifest_id: int) -> None:
        """Append the rows of a manifest; ``manifest_id`` is 0 for a manifest not in the table."""
        for batch in manifest.rows.columns():
            count = len(batch["key"])
            self.may_be_odd = self.may_be_odd or may_differ(batch)
            columns = self._columns(batch, count) | {
                "place": repeat(place, count),
                "manifest_id": repeat(manifest_id, count),
            }
            names = self._by_position or FILLED
            values: list[Any] = list(zip(*(columns[name] for name in names), strict=True))
            if not self._by_position:
                values = [dict(zip(names, each, strict=True)) for each in values]
            self._connection.exec_driver_sql(self._statement, values)
            self._position += count
            # The first eight of the 32 bytes of each key.
            self._digests.extend(array("Q", bytes.fromhex("".join(batch["key"])))[::4])

    @property
    def may_repeat(self) -> bool:
        """Whether two rows may have the same content: two keys have the same beginning."""
        return any_repeated(self._digests)

    def _columns(self, batch: Columns, count: int) -> dict[str, Iterable[Any]]:
        """Return the columns of the table except those of the manifest."""
        positions = range(self._position, self._position + count)
        # Thousands of rows share one kind, and hashing it is slow.
        shared = {id(kind): kind for kind in batch["kind"]}
        kept = {each: self._kinds[kind] for each, kind in shared.items()}
        kinds = zip(*(kept[id(kind)] for kind in batch["kind"]), strict=True)
        named = zip(batch["output"], batch["name"], batch["number"], batch["take"], strict=True)
        return {
            **batch,
            **dict(zip(OF_KINDS, kinds, strict=True)),
            "position": positions,
            "job_id": range(self.after + 1 + positions.start, self.after + 1 + positions.stop),
            "wanted_name": [output or _plain_name(*plain) for output, *plain in named],
            "tags": [canonical_json(tags) if tags else "[]" for tags in batch["tags"]],
            "extra": batch["extra_json"],
            # SQLite's driver is slow with None, and there may be many.
            **{name: [text or "" for text in batch[name]] for name in NULLABLE},
        }


def _plain_name(name: str, number: int, take: int) -> str:
    stem = slug(name) or f"row-{number:04d}"
    return f"{stem}-t{take}" if take > 1 else stem
