"""Tables that have paid for rows which a new table would pay for again."""

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
"""What is paid for, or may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTable:
    """A table that has paid for rows, or may have; ``url`` is what ``--db`` takes."""

    url: str
    clips: int = 0
    usd: Decimal = Decimal(0)
    unknown: str | None = None
    """Why nobody knows what it has paid for."""
    gone: bool = False
    """Whether it is not there any more."""


def is_new(url: str, store: Store | None) -> bool:
    """Tell whether a table has paid for nothing yet, or is not there (``store`` is None).

    One that was lost is not new: its place remembers it, and nothing is paid for unasked.
    """
    if store is None:
        path = file_of(url)
        return path is None or is_there(path) or not was_at_work(path)
    reach = store.runs.high_water_mark()
    return reach is None or not reach.attempt_id


def find(
    manifests: Sequence[Manifest], url: str, *, output: Path, memory: TableMemory
) -> list[OtherTable]:
    """Return the tables that have paid for these rows, the one that paid most first.

    They are looked for beside the manifests, in the output folder and the one above it, and where
    the manifests were run before. ``url`` is the table that is to be used.
    """
    # What a table has imported before was looked at then.
    asked = [each for each in manifests if each.same_as is None]
    if not asked:
        return []
    path = file_of(url)
    # One that is not there may have been: only notes tell of it then.
    own = without_password(url) if path is None or is_there(path) else None
    found = [
        other
        for candidate, note in _candidates(asked, output, memory).items()
        if candidate != own
        for other in _payments_in(candidate, note, asked)
    ]
    return sorted(found, key=lambda other: (other.gone, -other.usd, other.url))


def _candidates(
    manifests: Sequence[Manifest], output: Path, memory: TableMemory
) -> dict[str, UsedTable | None]:
    """Return the URLs of tables that may know the manifests, and what is noted of them."""
    folders = [*(each.path.parent for each in manifests), output, output.parent]
    real = dict.fromkeys(folder.resolve() for folder in folders)
    near = (path for folder in real if folder.name != REHEARSAL for path in tables_in(folder))
    paths, digests = {str(each.path) for each in manifests}, {each.sha256 for each in manifests}
    noted: dict[str, UsedTable | None] = {}
    for note in memory.of(paths, digests):
        noted.setdefault(note.table, note)
    return dict.fromkeys(map(sqlite_db, near)) | noted


def _payments_in(
    candidate: str, note: UsedTable | None, manifests: Sequence[Manifest]
) -> Iterator[OtherTable]:
    try:
        with open_unchanged(candidate) as store:
            made = planner.make(manifests, store)
    except TableMissing:
        # Only for the very rows that it was run with it is sure that it was asked to pay.
        same = note is not None and note.sha256 in {each.sha256 for each in manifests}
        if note is not None and same and note.paid_usd != "0":
            usd = Decimal(note.paid_usd or 0)
            yield OtherTable(url=candidate, usd=usd, unknown=_when(note), gone=True)
    except (TableUnusable, TableTooNew, TableBusy) as error:
        yield OtherTable(url=candidate, unknown=str(error))
    else:
        if clips := made.count(*PAID):
            yield OtherTable(url=candidate, clips=clips, usd=made.usd(*PAID))


def slip_of(url: str) -> str | None:
    """Return the table in the same folder that is probably meant by the name of one not there."""
    path = file_of(url)
    if path is None or is_there(path) or was_at_work(path):
        return None
    alike = [table for table in tables_in(path.parent) if _is_slip(path.name, table.name)]
    return sqlite_db(alike[0]) if alike else None


def _is_slip(written: str, meant: str) -> bool:
    ours, theirs = (Path(name).stem.casefold() for name in (written, meant))
    if ours == theirs:
        return True
    # Numbers tell tables apart that belong to one another: shots-1.db, shots-2.db.
    if _without_digits(ours) == _without_digits(theirs):
        return False
    return _distance(ours, theirs) <= min(2, len(theirs) // 4)


def _without_digits(text: str) -> str:
    return "".join(letter for letter in text if not letter.isdigit())


def _distance(one: str, other: str) -> int:
    """Return how many letters were left out, added, changed, or swapped with the next one."""
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
