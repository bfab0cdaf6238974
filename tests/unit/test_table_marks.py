"""What tables have paid for, marked outside of their folders."""

import os
import shutil
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from support.jobtable import NOON, Table, row
from tweenbatch import paths
from tweenbatch.recovery.stale_table import remember
from tweenbatch.recovery.table_marks import TableMarks
from tweenbatch.store import RunnerLock, Store

_moments = count()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a table that has paid for one of three clips."""
    made = tmp_path / "project"
    made.mkdir()
    table = opened(made)
    table.load(row(2), row(3), row(4))
    table.begin(table.claim_one())
    table.store.close()
    return made


def opened(folder: Path) -> Table:
    """A run begins, at a moment of its own."""
    store = Store.open(f"sqlite:///{folder / 'tweenbatch.db'}")
    now = NOON + next(_moments) * timedelta(seconds=1)
    run_id = store.runs.begin(host="here", pid=1, version="1", now=now, max_cost_usd=None)
    return Table(store=store, run_id=run_id, now=now)


def pay(folder: Path, state: Path | None, *, caught_up: bool = False, clips: int = 1) -> bool:
    """Run in a folder and pay unless the marks speak against it; return whether it paid."""
    file = folder / "tweenbatch.db"
    with RunnerLock(f"sqlite:///{file}") as lock, TableMarks(state, file) as marks:
        store = Store.open(f"sqlite:///{file}")
        doubted = marks.ahead_of(store) is not None and not caught_up
        store.close()
        if doubted:
            return False
        table = opened(folder)
        remember(table.store, lock, marks, caught_up=caught_up)
        for job in table.claim(limit=clips):
            table.begin(job)
        table.store.close()
    return True


def copy_of(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


def put_back(folder: Path, copy: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def test_a_table_that_goes_on_is_not_doubted(folder: Path, tmp_path: Path) -> None:
    for _ in range(3):
        assert pay(folder, tmp_path / "state")


def test_a_table_that_was_put_back_is(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    copy = copy_of(folder, "copy")
    assert pay(folder, state)
    put_back(folder, copy)
    assert not pay(folder, state)
    assert pay(folder, state, caught_up=True)
    assert pay(folder, state)


def test_so_is_one_that_was_put_back_in_the_middle_of_a_run(folder: Path, tmp_path: Path) -> None:
    """The run is in the copy, and what it paid for afterwards is not."""
    file = folder / "tweenbatch.db"
    state = tmp_path / "state"
    with RunnerLock(f"sqlite:///{file}") as lock, TableMarks(state, file) as marks:
        table = opened(folder)
        remember(table.store, lock, marks)
        copy = copy_of(folder, "copy")
        table.begin(table.claim_one())
        table.store.close()
    put_back(folder, copy)
    assert not pay(folder, state)


def test_a_run_that_pays_for_nothing_leaves_nothing_to_be_missed(
    folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    copy = copy_of(folder, "copy")
    assert pay(folder, state, clips=0)
    put_back(folder, copy)
    assert pay(folder, state)


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_of_two_copies_whichever_pays_second_is_behind(
    folder: Path, tmp_path: Path, runs: int
) -> None:
    """However many runs each of them has had."""
    state = tmp_path / "state"
    copy = copy_of(folder, "copy")
    for _ in range(runs):
        assert pay(copy, state, clips=0)
    assert pay(folder, state)
    assert not pay(copy, state)
    assert pay(copy, state, caught_up=True)
    # The copy has paid now, for something that the first one lacks.
    assert not pay(folder, state)
    assert pay(folder, state, caught_up=True)
    # Each has caught up with the other once: they are two tables from here on.
    for each in (copy, folder, copy):
        assert pay(each, state)


def test_a_copy_is_behind_while_the_other_is_at_work(folder: Path, tmp_path: Path) -> None:
    file = folder / "tweenbatch.db"
    state = tmp_path / "state"
    copy = copy_of(folder, "copy")
    with RunnerLock(f"sqlite:///{file}") as lock, TableMarks(state, file) as marks:
        table = opened(folder)
        remember(table.store, lock, marks)
        table.store.close()
        assert not pay(copy, state)
    assert pay(copy, state)


def test_a_folder_that_was_moved_is_not_doubted(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert pay(folder, state)
    assert pay(folder.rename(folder.with_name("elsewhere")), state)


def test_tables_that_began_by_themselves_know_nothing_of_each_other(tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        table = opened(folder)
        table.load(row(2))
        table.store.close()
        assert pay(folder, state)


DAMAGE = [
    "",
    "{",
    "null",
    "[]",
    '{"place": 1}',
    '{"place": "x", "paid": 7, "known": []}',
    "\0" * 99,
]


@pytest.mark.parametrize("text", DAMAGE)
def test_a_mark_that_can_t_be_read_says_nothing(folder: Path, tmp_path: Path, text: str) -> None:
    state = tmp_path / "state"
    assert pay(folder, state)
    [mark] = state.rglob("*.mark")
    mark.write_text(text)
    assert pay(folder, state)
    assert mark.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["none", "a file", "a link", "a pipe"])
def test_where_no_mark_can_be_kept_the_work_goes_on(
    folder: Path, tmp_path: Path, kind: str
) -> None:
    state: Path | None = tmp_path / "state"
    victim = tmp_path / "victim"
    victim.write_text("precious")
    if kind == "none":
        state = None
    elif kind == "a file":
        shutil.copy(victim, tmp_path / "state")
    else:
        assert pay(folder, state)
        [mark] = (tmp_path / "state").rglob("*.mark")
        mark.unlink()
        mark.symlink_to(victim) if kind == "a link" else os.mkfifo(mark)
    assert pay(folder, state)
    assert victim.read_text() == "precious"


def test_without_a_home_there_is_no_place_for_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert paths.marks_folder() is None
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert paths.marks_folder() is None
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert paths.marks_folder() == Path("/state/tweenbatch/marks")
