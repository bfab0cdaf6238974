"""Find other tables that already paid for rows, which a new table would buy again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tweenbatch.errors import TableBusy, TableMissing, TableTooNew, TableUnusable
from tweenbatch.paths import REHEARSAL, sqlite_db
from tweenbatch.planning import planner
from tweenbatch.planning.table_memory import TableMemory, UsedTable
from tweenbatch.records.manifest import Manifest
from tweenbatch.records.plan import Group
from tweenbatch.store import Store
from tweenbatch.store.engine import is_there
from tweenbatch.store.lock import was_at_work
from tweenbatch.store.other_tables import file_of, open_unchanged, tables_in, without_password

PAID = (Group.DONE, Group.AT_FAL, Group.UNCERTAIN)
"""Groups that are paid for, or may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTable:
    """A table that paid for rows, or may have; ``url`` is the value for ``--db``."""

    url: str
    clips: int = 0
    usd: Decimal = Decimal(0)
    unknown: str | None = None
    """Why its payments are unknown."""
    gone: bool = False
    """Whether its file no longer exists."""


def is_new(url: str, store: Store | None) -> bool:
    """Return whether a table has not paid for anything yet, or does not exist (``store`` is None).

    A deleted table is not new: its lock file remembers it, and the run refuses to pay.
    """
    if store is None:
        path = file_of(url)
        return path is None or is_there(path) or not was_at_work(path)
    mark = store.runs.high_water_mark()
    return mark is None or not mark.attempt_id


def find(
    manifests: Sequence[Manifest], url: str, *, output: Path, memory: TableMemory
) -> list[OtherTable]:
    """Return the tables that paid for these rows, largest amount first.

    It searches the folders of the manifests, the output folder and its parent, and the tables of
    earlier runs of the manifests. ``url`` is the table of the coming run.
    """
    # Manifests that this table imported before were checked then.
    new = [each for each in manifests if each.same_as is None]
    if not new:
        return []
    path = file_of(url)
    # Our own table, if deleted, is reported from its notes.
    own = without_password(url) if path is None or is_there(path) else None
    found = [
        other
        for candidate, note in _candidates(new, output, memory).items()
        if candidate != own
        for other in _payments_in(candidate, note, new)
    ]
    return sorted(found, key=lambda other: (other.gone, -other.usd, other.url))


def _candidates(
    manifests: Sequence[Manifest], output: Path, memory: TableMemory
) -> dict[str, UsedTable | None]:
    """Return the URLs of tables that may know the manifests, with their notes."""
    folders = [*(each.path.parent for each in manifests), output, output.parent]
    real = dict.fromkeys(folder.resolve() for folder in folders)
    nearby = (path for folder in real if folder.name != REHEARSAL for path in tables_in(folder))
    paths, digests = {str(each.path) for each in manifests}, {each.sha256 for each in manifests}
    noted: dict[str, UsedTable | None] = {}
    for note in memory.of(paths, digests):
        noted.setdefault(note.table, note)
    return dict.fromkeys(map(sqlite_db, nearby)) | noted


def _payments_in(
    candidate: str, note: UsedTable | None, manifests: Sequence[Manifest]
) -> Iterator[OtherTable]:
    try:
        with open_unchanged(candidate) as store:
            made = planner.make(manifests, store)
    except TableMissing:
        # Only the same bytes prove that the deleted table paid for these rows.
        same = note is not None and note.sha256 in {each.sha256 for each in manifests}
        if note is not None and same and note.paid_usd != "0":
            usd = Decimal(note.paid_usd or 0)
            yield OtherTable(url=candidate, usd=usd, unknown=_when(note), gone=True)
    except (TableUnusable, TableTooNew, TableBusy) as error:
        yield OtherTable(url=candidate, unknown=str(error))
    else:
        if clips := made.count(*PAID):
            yield OtherTable(url=candidate, clips=clips, usd=made.usd(*PAID))


def likely_meant(url: str) -> str | None:
    """Return the table that a missing table's name is probably a typing error for."""
    path = file_of(url)
    if path is None or is_there(path) or was_at_work(path):
        return None
    similar = [table for table in tables_in(path.parent) if _is_typing_error(path.name, table.name)]
    return sqlite_db(similar[0]) if similar else None


def _is_typing_error(written: str, meant: str) -> bool:
    ours, theirs = (Path(name).stem.casefold() for name in (written, meant))
    if ours == theirs:
        return True
    # Names that differ in digits are different tables: shots-1.db, shots-2.db.
    if _without_digits(ours) == _without_digits(theirs):
        return False
    return _edit_distance(ours, theirs) <= min(2, len(theirs) // 4)


def _without_digits(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())


def _edit_distance(one: str, other: str) -> int:
    """Return the number of omitted, added, changed or swapped letters."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, ours in enumerate(one, start=1):
        line = [row]
        for column, theirs in enumerate(other, start=1):
            best = min(last[column] + 1, line[-1] + 1, last[column - 1] + (ours != theirs))
            swapped = row > 1 and column > 1 and (ours, theirs) == (other[column - 2], one[row - 2])
            line.append(min(best, before[column - 2] + 1) if swapped else best)
        before, last = last, line
    return last[-1]


def _when(note: UsedTable) -> str:
    try:
        return f"{datetime.fromisoformat(note.at):%Y-%m-%d}"
    except ValueError:
        return "an earlier day"
