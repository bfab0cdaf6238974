"""One runner at a time owns a SQLite table, and its lock dies with it; its note stays."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.jobtable import NOON, Table, row
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.records import HighWaterMark
from tweenbatch.store import RunnerLock, Store

HOLD = """
import sys, time
from tweenbatch.store import RunnerLock
with RunnerLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_runner_is_told_who_has_the_table(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rehearsal' / 'tweenbatch.db'}"
    who = (
        rf"another run \(pid {os.getpid()} on {socket.gethostname()}, since 20.*Z\) "
        r"is using .*\.db;"
    )
    with RunnerLock(url), pytest.raises(TableBusy, match=who), RunnerLock(url):
        pass


def test_a_lock_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tweenbatch.db'}"
    for _ in range(2):
        with RunnerLock(url):
            pass


def test_a_killed_runner_leaves_nothing_to_clean_up(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tweenbatch.db'}"
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "held\n"
        with pytest.raises(TableBusy, match=f"pid {runner.pid} "), RunnerLock(url):
            pass
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    with RunnerLock(url):
        pass


def test_two_names_of_one_table_meet_at_one_lock(tmp_path: Path, blank: Path) -> None:
    table = tmp_path / "tweenbatch.db"
    shutil.copy(blank, table)
    (tmp_path / "link.db").symlink_to(table)
    other = f"sqlite:///{tmp_path / 'link.db'}"
    with RunnerLock(f"sqlite:///{table}"), pytest.raises(TableBusy), RunnerLock(other):
        pass


def test_a_server_s_table_is_not_locked() -> None:
    url = "postgresql://localhost/tweenbatch"
    with RunnerLock(url), RunnerLock(url):
        pass


def test_a_place_where_no_lock_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "tweenbatch.db"
    with (
        pytest.raises(TableUnusable, match="is a file, not a folder"),
        RunnerLock(f"sqlite:///{where}"),
    ):
        pass


def test_the_place_remembers_how_far_the_table_came(tmp_path: Path, blank: Path) -> None:
    file = tmp_path / "tweenbatch.db"
    shutil.copy(blank, file)
    url = f"sqlite:///{file}"
    store = Store.open(url)
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
    table = Table(store=store, run_id=run_id)
    table.load(row(2), row(3))
    with RunnerLock(url) as lock:
        assert lock.seen is None
        store.runs.remember_in(lock)
        for job in table.claim():
            table.begin(job)
        store.runs.heartbeat(run_id, now=NOON + timedelta(seconds=15))
    reach = HighWaterMark(run_id=run_id, attempt_id=2, at=NOON + timedelta(seconds=15))
    assert store.runs.high_water_mark() == reach
    with RunnerLock(url) as lock:
        assert lock.seen == reach
        assert not lock.seen.is_ahead_of(store.runs.high_water_mark())
    store.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "123 here 2026-03-01T12:00:00Z\n",
        "123 here now\n7 x y\n",
        "123 here now\n1 2\n",
        "\n\0\n\n",
    ],
)
def test_a_lock_without_a_note_that_can_be_read_remembers_nothing(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "tweenbatch.db.lock").write_text(text)
    with RunnerLock(f"sqlite:///{tmp_path / 'tweenbatch.db'}") as lock:
        assert lock.seen is None


def test_killed_at_any_call_that_writes_the_lock_its_note_is_there(tmp_path: Path) -> None:
    """One process forks one child for each call, which dies before or after it."""
    url = f"sqlite:///{tmp_path / 'tweenbatch.db'}"
    notes = [HighWaterMark(run_id=n, attempt_id=10**n, at=NOON) for n in (9, 1)]
    with RunnerLock(url) as lock:
        lock.remember(notes[0])
    for last in range(1, 100):
        child = os.fork()
        if not child:
            _die_at_write(last, url, notes)
        _, status = os.waitpid(child, 0)
        with RunnerLock(url) as lock:
            assert lock.seen in notes
        if status == 0:
            break
    assert last > 4


def _die_at_write(last: int, url: str, notes: list[HighWaterMark]) -> None:
    calls = 0

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return called

    for name in ("pwrite", "ftruncate", "fsync"):
        setattr(os, name, dying(getattr(os, name)))
    for note in notes:
        with RunnerLock(url) as lock:
            lock.remember(note)
    os._exit(0)
