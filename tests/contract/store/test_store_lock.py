"""One runner at a time owns a SQLite table, and its lock dies with it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.store import RunnerLock

HOLD = """
import sys, time
from tweenbatch.store import RunnerLock
with RunnerLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_runner_is_told_who_has_the_table(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rehearsal' / 'tweenbatch.db'}"
    who = rf"another run \(pid {os.getpid()} on {socket.gethostname()}, since 20.*Z\) owns .*\.db;"
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


def test_two_names_of_one_table_meet_at_one_lock(tmp_path: Path) -> None:
    table = tmp_path / "tweenbatch.db"
    table.touch()
    (tmp_path / "link.db").symlink_to(table)
    other = f"sqlite:///{tmp_path / 'link.db'}"
    with RunnerLock(f"sqlite:///{table}"), pytest.raises(TableBusy), RunnerLock(other):
        pass


@pytest.mark.parametrize("url", ["sqlite:///:memory:", "postgresql://localhost/tweenbatch"])
def test_a_table_without_a_file_is_not_locked(url: str) -> None:
    with RunnerLock(url), RunnerLock(url):
        pass


def test_a_place_where_no_lock_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "tweenbatch.db"
    with pytest.raises(TableUnusable, match="a folder is needed"), RunnerLock(f"sqlite:///{where}"):
        pass
