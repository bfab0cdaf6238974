"""A table restored from a copy, or created again, pays for nothing twice."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command, until
from support.fal import Server
from support.forked import Forked
from tweenbatch.records import HighWaterMark
from tweenbatch.store import RunnerLock, Store

RUN = ("run", "manifest.csv", "--yes")
TRUST = (*RUN, "--trust-table")
HELD: dict[str, object] = {"on": "generation", "do": "hold", "nth": 1}


def project(folder: Path) -> None:
    """Four rows: two with files as frames, one with addresses, and one with both."""
    manifests.project(folder, 0)
    rows = manifests.rows(4)
    rows[2] |= {
        "start_image": "https://example.com/1.png",
        "end_image": "https://example.com/2.png",
    }
    rows[3] |= {"start_image": "https://example.com/1.png"}
    manifests.write(folder / "manifest.csv", rows)


def take_away(folder: Path) -> None:
    """Remove the table with its journals, but not its lock."""
    for path in [folder / "tweenbatch.db", *folder.glob("tweenbatch.db-*")]:
        path.unlink(missing_ok=True)


def put_back(folder: Path, copy: str) -> None:
    take_away(folder)
    shutil.copy(folder / copy, folder / "tweenbatch.db")


def refused(tweenbatch: Command, *arguments: str) -> str:
    """Run, be told that a person is needed, and return the one message."""
    run = tweenbatch(*arguments)
    assert run.returncode == 5, run.stderr
    assert "--trust-table" in run.stderr
    assert run.stderr.count("\n") == 1
    return run.stderr


def add_a_row(folder: Path) -> None:
    with (folder / "manifest.csv").open("a") as file:
        file.write("clip-5,another prompt,a.png,b.png,5\n")


def test_a_run_is_copied_while_it_works_and_goes_on_undisturbed(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.running(*RUN) as run:
        fal.wait_for("status_read", count=3)
        made = tweenbatch("backup", "copies/copy.db", "--json")
        fal.release()
        assert run.wait().returncode == 0
    copy = tweenbatch.folder / "copies" / "copy.db"
    shape = {"backup": "copies/copy.db", "bytes": copy.stat().st_size, "jobs": 3}
    assert json.loads(made.stdout) == shape
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as table:
        assert table.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert table.execute("SELECT DISTINCT state FROM jobs").fetchall() == [("submitted",)]
    assert [path.name for path in copy.parent.iterdir()] == ["copy.db"]
    assert fal.ledger()["posts"] == 3


def test_what_was_paid_for_after_the_backup_is_taken_over_and_not_paid_again(
    tweenbatch: Forked, fal: Server
) -> None:
    project(tweenbatch.folder)
    fal.script(HELD)
    with tweenbatch.running(*RUN, "--concurrency", "1") as run:
        fal.wait_for("status_read")
        assert tweenbatch("backup", "copy.db").returncode == 0
        fal.release()
        assert run.wait().returncode == 0
    put_back(tweenbatch.folder, "copy.db")
    assert "is older than the last run here" in refused(tweenbatch, *RUN)
    assert tweenbatch.jobs() == {"pending": 3, "submitted": 1}
    trusted = tweenbatch(*TRUST, "--max-cost", "0")
    assert trusted.returncode == 0, trusted.stderr
    assert "3 paid clips that were missing from the table" in trusted.stderr
    assert tweenbatch.jobs() == {"succeeded": 4}
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["duplicate_count"]) == (4, 0)
    add_a_row(tweenbatch.folder)
    assert tweenbatch(*RUN).returncode == 0
    assert fal.ledger()["posts"] == 5


def test_a_table_that_was_deleted_takes_over_all_that_it_had_paid_for(
    tweenbatch: Command, fal: Server
) -> None:
    project(tweenbatch.folder)
    for _ in range(4):
        # More runs than the new table will have had when it is trusted.
        assert tweenbatch(*RUN).returncode == 0
    take_away(tweenbatch.folder)
    assert "it has no run" in refused(tweenbatch, *RUN)
    trusted = tweenbatch(*TRUST)
    assert trusted.returncode == 0, trusted.stderr
    assert "4 paid clips that were missing from the table" in trusted.stderr
    assert tweenbatch.jobs() == {"succeeded": 4}
    assert fal.ledger()["posts"] == 4
    add_a_row(tweenbatch.folder)
    assert tweenbatch(*RUN).returncode == 0
    assert fal.ledger()["posts"] == 5


def test_a_backup_is_known_at_a_place_that_has_never_seen_it(
    tweenbatch: Command, fal: Server
) -> None:
    project(tweenbatch.folder)
    assert tweenbatch(*RUN, "--limit", "1").returncode == 3
    assert tweenbatch("backup", "copy.db").returncode == 0
    assert tweenbatch(*RUN).returncode == 0
    put_back(tweenbatch.folder, "copy.db")
    (tweenbatch.folder / "tweenbatch.db.lock").unlink()
    assert "was restored from a copy" in refused(tweenbatch, *RUN)
    assert tweenbatch(*TRUST).returncode == 0
    assert fal.ledger()["posts"] == 4


def test_a_file_that_was_copied_by_hand_during_the_same_run_is_known_too(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(HELD, {**HELD, "nth": 2})
    with tweenbatch.running(*RUN, "--concurrency", "1") as run:
        fal.wait_for("status_read")
        shutil.copy(tweenbatch.folder / "tweenbatch.db", tweenbatch.folder / "copy.db")
        fal.release()
        until(lambda: tweenbatch.jobs() == {"submitted": 1, "succeeded": 1})
        run.kill()
        run.wait()
    put_back(tweenbatch.folder, "copy.db")
    refused(tweenbatch, *RUN)
    assert fal.ledger()["posts"] == 2


def test_what_is_paid_for_is_collected_from_an_older_table_without_a_question(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(HELD)
    with tweenbatch.running(*RUN) as run:
        fal.wait_for("status_read")
        assert tweenbatch("backup", "copy.db").returncode == 0
        fal.release()
        assert run.wait().returncode == 0
    put_back(tweenbatch.folder, "copy.db")
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 1}
    # It has not become trustworthy by that.
    add_a_row(tweenbatch.folder)
    refused(tweenbatch, *RUN)
    assert fal.ledger()["posts"] == 1


def test_what_fails_in_an_older_table_is_not_bought_anew_without_trust(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    broken = {"status": 500, "type": "internal_server_error"}
    fal.script(HELD, {"on": "generation", "do": "fail", "nth": 1, **broken})
    with tweenbatch.running(*RUN) as run:
        fal.wait_for("status_read")
        assert tweenbatch("backup", "copy.db").returncode == 0
        run.kill()
        run.wait()
    fal.release()
    put_back(tweenbatch.folder, "copy.db")
    collected = tweenbatch("run")
    assert collected.returncode == 4, collected.stdout
    assert "nothing is submitted" in collected.stderr
    assert tweenbatch.jobs() == {"pending": 1}
    assert fal.ledger()["posts"] == 1


def lose_the_second_of_two_takes(tweenbatch: Command) -> None:
    """Pay for one of two takes, and lose the table."""
    manifests.project(tweenbatch.folder, 1, takes="2")
    assert tweenbatch(*RUN, "--limit", "1").returncode == 3
    take_away(tweenbatch.folder)


def test_what_may_still_run_at_fal_is_not_taken_for_unpaid(
    tweenbatch: Command, fal: Server
) -> None:
    lose_the_second_of_two_takes(tweenbatch)
    soon = tweenbatch(*TRUST)
    assert soon.returncode == 4
    assert "Run again with --trust-table after" in soon.stderr
    assert tweenbatch.jobs() == {"pending": 1, "succeeded": 1}
    refused(tweenbatch, *RUN)
    assert fal.ledger()["posts"] == 1


def test_the_rest_is_paid_for_once_all_that_was_paid_for_must_have_ended(
    tweenbatch: Command, fal: Server
) -> None:
    lose_the_second_of_two_takes(tweenbatch)
    day_ago = datetime.now(UTC) - timedelta(days=1)
    with RunnerLock(f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}") as lock:
        lock.remember(HighWaterMark(run_id=1, attempt_id=1, at=day_ago))
    later = tweenbatch(*TRUST)
    assert later.returncode == 0, later.stderr
    assert tweenbatch.jobs() == {"succeeded": 2}
    assert fal.ledger()["posts"] == 2


@pytest.mark.parametrize("what", ["the list", "a frame"])
def test_where_it_can_t_be_read_what_was_paid_for_nothing_is_submitted(
    tweenbatch: Command, fal: Server, what: str
) -> None:
    manifests.project(tweenbatch.folder, 2)
    assert tweenbatch(*RUN).returncode == 0
    take_away(tweenbatch.folder)
    # An address that does not end like those of our uploads tells nothing of the frame.
    of_another = fal.ledger()["accepted"][0]["input"]["start_image_url"] + "?by=hand"
    named = {"items.0.json_input.start_image_url": of_another}
    faults: dict[str, list[dict[str, Any]]] = {
        "the list": [{"on": "history", "do": "reply", "status": 403}],
        "a frame": [
            {"on": "history", "do": "change", "set": named},
            {"on": "download", "do": "reply", "status": 400},
        ],
    }
    fal.script(*faults[what])
    blind = tweenbatch(*TRUST)
    assert blind.returncode == 4, blind.stderr
    assert "can't be read" in blind.stderr
    fal.script()
    refused(tweenbatch, *RUN)
    assert tweenbatch(*TRUST).returncode == 0
    assert fal.ledger()["posts"] == 2


def test_killed_before_it_knew_what_was_paid_for_the_next_run_asks_again(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    assert tweenbatch(*RUN).returncode == 0
    take_away(tweenbatch.folder)
    fal.script({"on": "history", "do": "hold"})
    for held in (1, 2):
        # By the second of them the table has seen more runs than the place remembers.
        with tweenbatch.running(*TRUST) as run:
            fal.wait_for("held", count=held)
            run.kill()
            run.wait()
    fal.script()
    refused(tweenbatch, *RUN)
    assert tweenbatch(*TRUST).returncode == 0
    assert fal.ledger()["posts"] == 2


def test_a_rehearsal_is_never_refused(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    rehearse = ("run", "manifest.csv", "--rehearse")
    assert tweenbatch(*rehearse).returncode == 0
    take_away(tweenbatch.folder / "rehearsal")
    assert tweenbatch(*rehearse).returncode == 0


REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "a server": (("copy.db", "--db", "postgresql://localhost/x"), "use pg_dump"),
    "no table": (("copy.db", "--db", "sqlite:///none.db"), "no job table here yet"),
    "no job table": (("copy.db", "--db", "sqlite:///other.db"), "isn't a job table"),
    "the table itself": (("tweenbatch.db", "--force"), "belongs to the table itself"),
    "its lock": (("./tweenbatch.db.lock", "--force"), "belongs to the table itself"),
    "a folder": (("videos", "--force"), "is a folder"),
    "a file": (("manifest.csv",), "replace it with --force"),
    "below a file": (("manifest.csv/copy.db",), "can't be copied"),
}


@pytest.fixture
def at_home(tweenbatch: Command) -> Command:
    """The command in a folder with a table and whatever else may be named by mistake."""
    Store.open(f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}").close()
    manifests.project(tweenbatch.folder, 1)
    (tweenbatch.folder / "videos").mkdir()
    (tweenbatch.folder / "tweenbatch.db.lock").touch()
    with closing(sqlite3.connect(tweenbatch.folder / "other.db")) as other:
        other.execute("CREATE TABLE jobs (id INTEGER)")
    return tweenbatch


@pytest.mark.parametrize("case", REFUSALS)
def test_what_can_t_be_copied_or_would_be_overwritten_is_refused(
    at_home: Command, case: str
) -> None:
    before = {path: path.read_bytes() for path in at_home.folder.glob("*.*")}
    arguments, words = REFUSALS[case]
    refusal = at_home("backup", *arguments)
    assert refusal.returncode == 2
    assert words in refusal.stderr
    assert "Traceback" not in refusal.stderr
    assert {path: path.read_bytes() for path in at_home.folder.glob("*.*")} == before


def test_an_older_copy_gives_way_to_a_new_one_with_force(at_home: Command) -> None:
    (at_home.folder / "copy.db").write_text("an older one")
    assert "0 jobs" in at_home("backup", "copy.db", "--force").stdout
    assert (at_home.folder / "copy.db").read_bytes().startswith(b"SQLite format 3")
