"""What a person does to a manifest between two runs: only what is new is made and paid for."""

import csv
import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tweenbatch.manifest import Reading, read_all
from tweenbatch.planning import planner as plan
from tweenbatch.records import Imported
from tweenbatch.records.plan import Group, Plan
from tweenbatch.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = ("prompt", "start_image", "end_image", "duration", "name")
ALIASES = {
    "prompt": ("prompt", "text", "Description"),
    "start_image": ("start_image", "first_frame", "start_image_url"),
    "end_image": ("end_image", "last_frame", "tail_image_url"),
    "name": ("name", "title", "id"),
    "duration": ("duration", "Duration "),
}
ROWS = 100

Rows = list[list[str]]


def rows() -> Rows:
    """A hundred rows, no two of them alike."""
    at = "https://example.com"
    return [
        [f"prompt {n}", f"{at}/{n}-a.png", f"{at}/{n}-b.png", "5" if n % 2 else "10", f"clip {n}"]
        for n in range(ROWS)
    ]


def write(
    path: Path,
    rows: Rows,
    *,
    columns: tuple[str, ...] = COLUMNS,
    line_end: str = "\n",
    quoting: int = csv.QUOTE_MINIMAL,
    encoding: str = "utf-8",
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([list(columns), *rows])
    path.write_bytes(text.getvalue().encode(encoding))


class Batch:
    """A manifest in a folder, and the table that it was imported into once."""

    def __init__(self, folder: Path, imported: Path) -> None:
        self.file = folder / "manifest.csv"
        table = folder / "tweenbatch.db"
        shutil.copy(imported, table)
        self.store = Store.open(f"sqlite:///{table}")

    def plan(self) -> Plan:
        return plan.make(read_all([self.file], Reading()), self.store)

    def put(self) -> Imported:
        (read,) = read_all([self.file], Reading())
        return self.store.manifests.put(read, now=NOON)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Batch]:
    """Gives a batch of the hundred rows, each time a fresh one."""
    folder = tmp_path_factory.mktemp("imported")
    table = folder / "tweenbatch.db"
    Store.open(f"sqlite:///{table}").close()
    first = Batch(tmp_path_factory.mktemp("first"), table)
    # The table knows a file by its path, so all examples are one file.
    write(first.file, rows())
    first.put()
    first.store.close()

    def fresh() -> Batch:
        again = Batch(tmp_path_factory.mktemp("again"), first.file.with_name("tweenbatch.db"))
        again.file = first.file
        return again

    return fresh


many = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(
    place=st.integers(0, ROWS - 1),
    column=st.sampled_from(["prompt", "start_image", "end_image", "duration"]),
    order=st.randoms(use_true_random=False),
    shuffled=st.booleans(),
)
def test_an_edited_row_is_one_new_submission_whatever_else_moved(
    imported: Callable[[], Batch], place: int, column: str, order: object, shuffled: bool
) -> None:
    edited = rows()
    at = COLUMNS.index(column)
    other = {"5": "10", "10": "5"}
    edited[place][at] = other.get(edited[place][at], edited[place][at] + "-edited")
    if shuffled:
        order.shuffle(edited)  # type: ignore[attr-defined]
    batch = imported()
    try:
        write(batch.file, edited)
        made = batch.plan()
        assert (made.count(Group.CHANGED), made.count(Group.NEW)) == (1, 0)
        assert (made.count(Group.WAITING), made.removed.rows) == (ROWS - 1, 0)
        (told,) = made.listed
        assert told.was is not None
        assert told.was.name == f"clip {place}"
        put = batch.put()
        assert (put.new, put.withdrawn) == (1, 1)
    finally:
        batch.store.close()


@many
@given(
    order=st.permutations(range(ROWS)),
    names=st.fixed_dictionaries(
        {name: st.sampled_from(spelled) for name, spelled in ALIASES.items()}
    ),
    columns=st.permutations(COLUMNS),
    added=st.integers(0, 3),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_the_same_rows_in_any_order_and_spelling_are_nothing_new(  # noqa: PLR0917
    imported: Callable[[], Batch],
    order: list[int],
    names: dict[str, str],
    columns: list[str],
    added: int,
    line_end: str,
    quoting: int,
    encoding: str,
) -> None:
    known = rows()
    places = [COLUMNS.index(column) for column in columns]
    extra = [f"note {n}" for n in range(added)]
    batch = imported()
    try:
        write(
            batch.file,
            [[*(known[n][place] for place in places), *extra] for n in order],
            columns=(*(names[column] for column in columns), *extra),
            line_end=line_end,
            quoting=quoting,
            encoding=encoding,
        )
        made = batch.plan()
        assert (made.count(Group.WAITING), made.count(), made.listed) == (ROWS, ROWS, ())
        assert made.removed.rows == 0
        put = batch.put()
        assert (put.new, put.known, put.withdrawn) == (0, ROWS, 0)
    finally:
        batch.store.close()


def test_all_rows_edited_at_once_are_all_known_again(imported: Callable[[], Batch]) -> None:
    batch = imported()
    write(batch.file, [[f"{prompt}, again", *rest] for prompt, *rest in rows()])
    made = batch.plan()
    assert made.count(Group.CHANGED) == ROWS
    assert {told.reasons for told in made.listed} == {("prompt changed",)}
    batch.store.close()
