"""Limits for each day and month: one for all runs in it, exact by the service's own ledger."""

import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be about noon, so that no test passes midnight: another time zone is enough."""
    east = 12 - time.gmtime().tm_hour
    monkeypatch.setenv("TZ", f"<noon>{-east:+d}")


@pytest.mark.parametrize("option", ["--max-cost-per-day", "--max-cost-per-month"])
@pytest.mark.parametrize("concurrency", ["1", "8"])
def test_the_limit_holds_over_all_its_runs(
    tweenbatch: Command, fal: Server, concurrency: str, option: str
) -> None:
    manifests.project(tweenbatch.folder, 8)
    limit = (option, "1.70", "--concurrency", concurrency)
    stopped = tweenbatch(*RUN, *limit)
    assert stopped.returncode == 3
    assert f"stopped by {option}" in stopped.stdout
    assert fal.ledger()["billed_usd"] == "1.68"
    assert tweenbatch.jobs() == {"pending": 5, "succeeded": 3}
    again = tweenbatch("run", "--yes", *limit)
    assert again.returncode == 3
    assert f"stopped by {option}" in again.stdout
    assert fal.ledger()["posts"] == 3


def test_the_limit_of_the_run_is_named_where_it_is_the_nearer_one(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)
    stopped = tweenbatch(*RUN, "--max-cost", "0.56", "--max-cost-per-day", "1.12")
    assert stopped.returncode == 3
    assert "stopped by --max-cost\n" in stopped.stdout


@pytest.mark.parametrize(
    ("option", "ago"),
    [("--max-cost-per-day", timedelta(days=1)), ("--max-cost-per-month", timedelta(days=31))],
)
def test_what_was_begun_before_does_not_count(
    tweenbatch: Command, fal: Server, option: str, ago: timedelta
) -> None:
    manifests.project(tweenbatch.folder, 2)
    limit = (option, "0.56")
    assert tweenbatch(*RUN, *limit).returncode == 3
    with closing(sqlite3.connect(tweenbatch.folder / "tweenbatch.db")) as table, table:
        (started,) = table.execute("SELECT started_at FROM attempts").fetchone()
        before = datetime.fromisoformat(started) - ago
        table.execute("UPDATE attempts SET started_at = ?", [f"{before:%Y-%m-%d %H:%M:%S.%f}"])
    assert tweenbatch("run", "--yes", *limit).returncode == 0
    assert fal.ledger()["posts"] == 2


def failing(*, billed: bool) -> dict[str, object]:
    return {
        "on": "generation",
        "do": "fail",
        "status": 422,
        "type": "content_policy_violation",
        "billed": billed,
        "prompt_contains": "number 1",
    }


def test_a_failure_that_was_billed_counts(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(failing(billed=True))
    run = tweenbatch(*RUN, "--max-cost-per-day", "0.56", "--concurrency", "1")
    assert run.returncode == 3
    assert tweenbatch.jobs() == {"failed": 1, "pending": 1}
    assert fal.ledger()["billed_usd"] == "0.56"


def test_a_failure_that_was_not_billed_makes_room_for_another_clip(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({**failing(billed=False), "status": 500, "type": "internal_server_error",
                "retryable": False})  # fmt: skip
    run = tweenbatch(*RUN, "--max-cost-per-day", "0.56")
    assert run.returncode == 1
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": 1}
    assert fal.ledger()["billed_usd"] == "0.56"


def test_a_submission_whose_reply_is_lost_counts(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "submit", "nth": 1, "do": "reset", "at": "reply"})
    run = tweenbatch(*RUN, "--max-cost-per-day", "1.12", "--concurrency", "1")
    assert "stopped by --max-cost-per-day" in run.stdout
    assert fal.ledger()["accepted_count"] == 2


@pytest.mark.parametrize(
    "amount", ["-1", "much", "nan", "inf", "1e30", "1000000001", "0.0000001", ""]
)
def test_an_amount_that_makes_no_sense_is_one_clear_message(
    tweenbatch: Command, fal: Server, amount: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch(*RUN, f"--max-cost-per-day={amount}")
    assert refused.returncode == 2
    assert "--max-cost-per-day" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert fal.ledger()["posts"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_a_damaged_table_of_a_run_that_died_is_refused_before_anything_is_sent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    assert tweenbatch(*RUN, "--limit", "1").returncode == 3
    file = tweenbatch.folder / "tweenbatch.db"
    with closing(sqlite3.connect(file)) as table, table:
        table.execute("UPDATE runs SET finished_at = NULL")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'uploads'"
        (page,) = table.execute(query).fetchone()
        (size,) = table.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(bytes(size))
    refused = tweenbatch("run", "--yes")
    assert refused.returncode == 2
    assert "tweenbatch.db: the database is damaged; restore it from a copy" in refused.stderr
    assert fal.ledger()["posts"] == 1
