"""What is done for each job, or at each start, reads what it needs by an index.

SQLite tells its plans without statistics, and they do not depend on how much is in the table.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from support.jobtable import NOON, Table, row
from tweenbatch.states import AT_FAL, IDENTIFIED, State
from tweenbatch.store import Store

DAY = timedelta(days=1)

ALL_OF = frozenset({"jobs", "rows", "attempts", "artifacts"})
"""Tables that have as many lines as there are jobs."""

Call = Callable[[Table], Any]

FOR_EACH_JOB: dict[str, Call] = {
    "claim": lambda t: t.claim(State.PENDING),
    "claim of a manifest": lambda t: t.store.jobs.claim(
        t.run_id, {State.PENDING}, limit=9, now=t.now, manifests=[1]
    ),
    "claim of open models": lambda t: t.store.jobs.claim(
        t.run_id, {State.PENDING}, limit=9, now=t.now, closed=["a", "b"]
    ),
    "claim what is paid": lambda t: t.claim(*AT_FAL),
    "next due": lambda t: t.store.jobs.next_due({State.PENDING}, now=t.now),
    "next due of a manifest": lambda t: t.store.jobs.next_due(
        {State.PENDING}, now=t.now, manifests=[1]
    ),
    "next due of what is paid": lambda t: t.store.jobs.next_due(IDENTIFIED, now=t.now),
    "from claim to clip": lambda t: t.put_in(State.SUCCEEDED),
    "from claim to uncertain": lambda t: t.put_in(State.UNCERTAIN),
    "release": lambda t: t.store.jobs.release(t.claim_one(), now=t.now),
    "heartbeat": lambda t: t.store.runs.heartbeat(t.run_id, now=t.now),
    "earlier request": lambda t: t.store.jobs.earlier_request(t.claim_one()),
    "clip at": lambda t: t.store.jobs.clip_at("https://v3.fal.media/clip.mp4", besides=1),
    "owned": lambda t: t.store.jobs.owned(["r-1"]),
    "upload": lambda t: t.store.cache.upload_url("a" * 64, "key", since=NOON - DAY),
}

AT_EACH_START: dict[str, Call] = {
    "recover": lambda t: t.store.runs.recover(t.run_id, now=t.now),
    "lookup": lambda t: t.store.manifests.lookup([row().key]),
    "uncertain": lambda t: t.store.jobs.uncertain(),
    "attention": lambda t: t.store.views.attention(),
    "unpaid": lambda t: t.store.views.pending(),
    "clips of some jobs": lambda t: list(t.store.views.kept_clips([1, 2])),
    "export": lambda t: list(t.store.views.export()),
}

FROM_INDEX_ALONE: dict[str, Call] = {
    "counts": lambda t: t.store.views.counts(),
    "money": lambda t: t.store.views.money(),
}


@contextmanager
def plans_of(store: Store, file: Path) -> Iterator[list[list[str]]]:
    """Collect how SQLite carries out each statement of the block, line by line."""
    asked: list[tuple[str, Any]] = []
    plans: list[list[str]] = []
    engine = store._database._engine

    def note(*told: Any) -> None:
        _, _, statement, parameters, _, many = told
        if statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "DELETE", "WITH", "INSERT"}:
            asked.append((statement, parameters[0] if many else parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert asked, "the store was asked for nothing"
    with closing(sqlite3.connect(file)) as database:
        for statement, parameters in asked:
            explained = database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append([line[-1] for line in explained])


def scans(plans: list[list[str]]) -> list[str]:
    """Return the lines that tell of every line of a table, or of its index, being read."""
    return [
        line
        for plan in plans
        for line in plan
        if line.startswith("SCAN ") and line.removeprefix("SCAN ").split()[0] in ALL_OF
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tweenbatch.db"


@pytest.fixture
def loaded(file: Path) -> Iterator[Table]:
    store = Store.open(f"sqlite:///{file}")
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
    table = Table(store=store, run_id=run_id)
    table.load(*(row(number) for number in range(2, 12)))
    yield table
    store.close()


@pytest.mark.parametrize("name", FOR_EACH_JOB)
def test_what_is_done_for_each_job_scans_nothing(loaded: Table, file: Path, name: str) -> None:
    with plans_of(loaded.store, file) as plans:
        FOR_EACH_JOB[name](loaded)
    assert not scans(plans)


@pytest.mark.parametrize("name", AT_EACH_START)
def test_what_is_asked_at_each_start_scans_nothing(loaded: Table, file: Path, name: str) -> None:
    for state in (State.SUCCEEDED, State.FAILED, State.UNCERTAIN):
        loaded.put_in(state)
    with plans_of(loaded.store, file) as plans:
        AT_EACH_START[name](loaded)
    assert not scans(plans)


@pytest.mark.parametrize("name", FROM_INDEX_ALONE)
def test_counts_and_money_are_read_from_an_index_alone(
    loaded: Table, file: Path, name: str
) -> None:
    with plans_of(loaded.store, file) as plans:
        FROM_INDEX_ALONE[name](loaded)
    assert scans(plans)
    assert all("USING COVERING INDEX" in line for line in scans(plans))


def test_the_most_urgent_come_from_the_index_in_their_order(loaded: Table, file: Path) -> None:
    with plans_of(loaded.store, file) as plans:
        loaded.claim(State.PENDING)
    assert any("ix_jobs_due" in line for line in plans[0])
    assert not any("TEMP B-TREE" in line for line in plans[0])


def test_the_latest_clips_are_read_from_the_end_and_not_sorted(loaded: Table, file: Path) -> None:
    loaded.put_in(State.SUCCEEDED)
    with plans_of(loaded.store, file) as plans:
        loaded.store.views.latest_clips()
    assert not any("TEMP B-TREE" in line for line in plans[0])


def test_all_clips_are_read_from_the_latest_on_and_not_sorted(loaded: Table, file: Path) -> None:
    loaded.put_in(State.SUCCEEDED)
    with plans_of(loaded.store, file) as plans:
        assert len(list(loaded.store.views.kept_clips())) == 1
    assert plans[0][0] == "SCAN artifacts"
    assert not any("TEMP B-TREE" in line for line in plans[0])


def test_the_next_one_due_is_the_first_of_an_index(loaded: Table, file: Path) -> None:
    with plans_of(loaded.store, file) as plans:
        loaded.store.jobs.next_due({State.PENDING}, now=loaded.now)
    assert not any("TEMP B-TREE" in line for line in plans[0])


def test_a_digest_finds_the_clips_of_its_run_by_an_index(loaded: Table, file: Path) -> None:
    loaded.put_in(State.SUCCEEDED)
    [run] = loaded.store.runs.latest(limit=1)
    with plans_of(loaded.store, file) as plans:
        assert loaded.store.runs.activity(run).made == 1
    assert any("ix_artifacts_created" in line for plan in plans for line in plan)
    assert not any(line.startswith("SCAN artifacts") for line in scans(plans))
