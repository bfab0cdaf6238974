"""A table that another program keeps locked: the id of what fal accepted goes to the witness."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from support import manifests
from support.command import KEY
from support.fal import Server
from tweenbatch import manifest
from tweenbatch.clock import SystemClock
from tweenbatch.errors import TableFailed
from tweenbatch.exit_codes import ExitCode
from tweenbatch.fal import Fal
from tweenbatch.files import output
from tweenbatch.manifest import Reading
from tweenbatch.records import Job
from tweenbatch.records.result import RunResult
from tweenbatch.recovery.witness import read_notes
from tweenbatch.runner import session
from tweenbatch.settings import RunSettings
from tweenbatch.states import State
from tweenbatch.store import Store

BUSY_SECONDS = 0.05


class Notices(list[str]):
    """Whoever watches the run keeps what it was told."""

    def moved(self, job: Job, before: State) -> None:
        pass

    def model_log(self, job: Job, line: str) -> None:
        pass

    def notice(self, message: str) -> None:
        self.append(message)


def run(folder: Path, fal: Server, notices: Notices) -> RunResult:
    source = manifest.read(folder / "manifest.csv", Reading())
    settings = RunSettings(output=folder / "videos", settle=timedelta(0))
    output.check_output(settings.output)
    url = f"sqlite:///{folder / 'tweenbatch.db'}"
    with closing(Store.open(url, busy_seconds=BUSY_SECONDS)) as store:
        clock = SystemClock()
        store.manifests.put(source, now=clock.now())
        return asyncio.run(
            session.run(
                settings,
                store=store,
                fal=partial(Fal.connect, connect_to=fal.url, key=KEY),
                watcher=notices,
                clock=clock,
            )
        )


@contextmanager
def locked_while_fal_answers(folder: Path, fal: Server, *, submissions: int) -> Iterator[None]:
    """Take the table once the intents are written, and let fal answer only then."""
    over = threading.Event()

    def hold() -> None:
        fal.wait_for("held", count=submissions)
        with closing(sqlite3.connect(folder / "tweenbatch.db", isolation_level=None)) as table:
            table.execute("BEGIN IMMEDIATE")
            fal.script({"on": "history", "do": "omit"})
            fal.release()
            over.wait(60)
            table.rollback()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        yield
    finally:
        over.set()
        holder.join()


def test_a_table_that_stays_locked_loses_no_request(tmp_path: Path, fal: Server) -> None:
    manifests.project(tmp_path, 3)
    fal.script({"on": "submit", "do": "hold", "at": "reply"})
    notices = Notices()
    with (
        locked_while_fal_answers(tmp_path, fal, submissions=3),
        pytest.raises(TableFailed, match=r"locked by another program.*run again"),
    ):
        run(tmp_path, fal, notices)
    witness = tmp_path / "tweenbatch.db.witness"
    accepted = {item["request_id"] for item in fal.ledger()["accepted"]}
    assert {note.request.request_id for note in read_notes(witness)} == accepted
    assert sum(str(witness) in notice for notice in notices) == 3
    written = witness.read_bytes()
    assert b"prompt number" not in written
    assert KEY.encode() not in written
    notices.clear()
    assert run(tmp_path, fal, notices).exit_code is ExitCode.SUCCEEDED
    assert sum("not paid again" in notice for notice in notices) == 3
    assert not any("unknown outcome" in notice for notice in notices)
    assert fal.ledger()["posts"] == 3
    assert not witness.exists()


def test_a_witness_that_can_not_be_made_keeps_every_submission_back(
    tmp_path: Path, fal: Server
) -> None:
    manifests.project(tmp_path, 1)
    witness = tmp_path / "tweenbatch.db.witness"
    witness.mkdir()
    notices = Notices()
    assert run(tmp_path, fal, notices).exit_code is ExitCode.TROUBLE
    assert [str(witness) in notice for notice in notices] == [True]
    assert fal.ledger()["posts"] == 0
    witness.rmdir()
    assert run(tmp_path, fal, notices).exit_code is ExitCode.SUCCEEDED


def test_a_run_without_trouble_leaves_nothing_beside_its_table(tmp_path: Path, fal: Server) -> None:
    manifests.project(tmp_path, 1)
    assert run(tmp_path, fal, Notices()).exit_code is ExitCode.SUCCEEDED
    assert not list(tmp_path.glob("*.witness"))
