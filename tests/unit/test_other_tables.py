"""Which table is probably meant, and what this account remembers of the tables it used."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tweenbatch.planning.other_tables import likely_meant
from tweenbatch.planning.table_memory import MOST_NOTES, TableMemory, UsedTable
from tweenbatch.store import Store
from tweenbatch.store.other_tables import tables_in, without_password


def table(path: Path) -> Path:
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.mark.parametrize(
    ("there", "written"),
    [
        *(
            ("tweenbatch.db", f"tween{end}.db")
            for end in ("bach", "bacth", "btach", "batchh", "btch")
        ),
        *(("tweenbatch.db", name) for name in ("tweenbatch.sqlite", "tweenbatch", "Tweenbatch.DB")),
        *(("night.db", "nihgt.db"), ("shots.sqlite", "shot.db"), ("plan", "plan.db")),
    ],
)
def test_a_name_that_is_nearly_a_tables_is_a_slip(tmp_path: Path, there: str, written: str) -> None:
    meant = table(tmp_path / there)
    if not meant.suffix:
        (tmp_path / f"{there}.lock").touch()
    assert likely_meant(f"sqlite:///{tmp_path / written}") == f"sqlite:///{meant}"


@pytest.mark.parametrize(
    ("there", "written"),
    [
        *(("tweenbatch.db", name) for name in ("tweenbatch2.db", "night.db", "batch.db")),
        *(("shots-1.db", "shots-2.db"), ("2026-11-29.db", "2026-11-30.db"), ("a.db", "b.db")),
        ("tweenbatch.db", "tweenbatch.db"),
    ],
)
def test_a_name_of_its_own_is_none(tmp_path: Path, there: str, written: str) -> None:
    table(tmp_path / there)
    assert likely_meant(f"sqlite:///{tmp_path / written}") is None


def test_only_job_tables_count(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE jobs (id INTEGER)")
    (tmp_path / "text.db").write_text("SQLite format 3 is what this text is about")
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "gone.db").symlink_to(tmp_path / "nowhere.db")
    ours = table(tmp_path / "ours.db")
    assert tables_in(tmp_path) == [ours]
    assert tables_in(tmp_path / "nowhere") == []
    assert likely_meant("postgresql://host/tweenbatch") is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host:5432/films?sslmode=require",
        "postgresql://ann:secret@host:5432/films?sslmode=require&sslpassword=secret",
        "postgresql://ann@host:5432/films?password=secret&sslmode=require",
    ],
)
def test_no_password_is_kept(url: str) -> None:
    assert without_password(url) == "postgresql://ann@host:5432/films?sslmode=require"


def note(name: str, table: str = "sqlite:///t.db", sha256: str = "a") -> UsedTable:
    return UsedTable(manifest=name, sha256=sha256, table=table, at="2026-11-30T00:00:00+00:00")


def test_a_manifest_is_known_by_its_path_or_by_its_bytes_the_last_table_first(
    tmp_path: Path,
) -> None:
    memory = TableMemory(tmp_path / "state")
    memory.add([note("one", "first"), note("two", "first", "b")])
    memory.add([note("one", "second", "c")])
    memory.add([note("one", "first", "d")])
    assert [each.table for each in memory.of({"one"}, set())] == ["first", "second"]
    assert memory.of(set(), {"b"}) == [note("two", "first", "b")]
    assert memory.of({"three"}, {"a"}) == []


def test_what_a_table_has_paid_is_noted_for_all_its_manifests(tmp_path: Path) -> None:
    memory = TableMemory(tmp_path)
    memory.add([note("one", "first"), note("two", "first"), note("one", "second")])
    memory.note_paid("first", "3.36")
    found = {(each.manifest, each.table): each.paid_usd for each in memory.of({"one", "two"}, ())}
    assert found == {("one", "first"): "3.36", ("two", "first"): "3.36", ("one", "second"): None}
    memory.note_paid("first", None)
    assert {each.paid_usd for each in memory.of({"one", "two"}, ())} == {None}


def test_the_oldest_notes_go_first(tmp_path: Path) -> None:
    memory = TableMemory(tmp_path)
    memory.add([note(str(n)) for n in range(MOST_NOTES)])
    memory.add([note("new")])
    assert memory.of({"0"}, set()) == []
    assert memory.of({"1", "new"}, set()) == [note("new"), note("1")]


def test_runs_at_the_same_time_lose_none_of_each_others_notes(tmp_path: Path) -> None:
    together = Barrier(4)

    def add(run: int) -> None:
        together.wait()
        for n in range(20):
            TableMemory(tmp_path).add([note(f"{run}-{n}")])

    with ThreadPoolExecutor(4) as runs:
        list(runs.map(add, range(4)))
    names = {f"{run}-{n}" for run in range(4) for n in range(20)}
    assert {each.manifest for each in TableMemory(tmp_path).of(names, set())} == names
    assert {path.name for path in tmp_path.iterdir()} == {"tables.jsonl", "tables.lock"}


@pytest.mark.parametrize("place", ["none", "a file", "a link out of it"])
def test_where_nothing_can_be_kept_nothing_is_remembered_and_nothing_else_happens(
    tmp_path: Path, place: str
) -> None:
    folder = tmp_path / "state"
    if place == "a file":
        folder.write_text("mine")
    elif place == "a link out of it":
        folder.mkdir()
        (tmp_path / "outside").touch()
        (folder / "tables.lock").symlink_to(tmp_path / "outside")
    memory = TableMemory(None if place == "none" else folder)
    memory.add([note("one")])
    assert memory.of({"one"}, set()) == []
    assert place != "a file" or folder.read_text() == "mine"


@pytest.mark.parametrize(
    "line",
    [
        *("", "{}", "[]", "7", "no", '{"manifest": "one"}', "{" * 2_000),
        '{"manifest": "one", "sha256": "a", "table": "t", "at": "now", "paid_usd": "NaN"}',
        '{"manifest": "one", "sha256": "a", "table": "t", "at": "now", "paid_usd": 7}',
        '{"manifest": "one", "sha256": "a", "table": ["t"], "at": "now", "paid_usd": "7"}',
        '{"manifest": "one", "sha256": "a", "table": "t", "at": "now", "more": "7"}',
    ],
)
def test_a_line_that_is_no_note_is_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "tables.jsonl").write_text(f"{line}\n")
    memory = TableMemory(tmp_path)
    assert memory.of({"one"}, {"a"}) == []
    memory.add([note("one")])
    assert memory.of({"one"}, set()) == [note("one")]
