"""Calls that share a transaction: each is atomic, and all are on disk before any returns."""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.jobtable import NOON, PRICE, Table, row
from tweenbatch.errors import BudgetReached, LeaseLost, TableBusy
from tweenbatch.states import Event, ImpossibleTransition, State
from tweenbatch.store import RunnerLock, Store

FAILS_AT_COMMIT = """
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER orphan AFTER INSERT ON attempts BEGIN INSERT INTO children VALUES (1); END;
"""
ENDS_THE_TRANSACTION = """
CREATE TRIGGER over BEFORE UPDATE ON jobs WHEN OLD.priority = 7 AND NEW.state = 'submitting'
BEGIN SELECT RAISE(ROLLBACK, 'over'); END;
"""
FAILS_TO_SERIALISE_ONCE = """
CREATE SEQUENCE times;
CREATE FUNCTION at_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF nextval('times') = 2 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN NEW; END $$;
CREATE TRIGGER once BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION at_second();
"""


def results(told: list[tuple[Any, Exception | None]]) -> list[Any]:
    return [error if error is not None else result for result, error in told]


@pytest.fixture
def file(tmp_path: Path, blank: Path) -> Path:
    file = tmp_path / "tweenbatch.db"
    shutil.copy(blank, file)
    return file


@pytest.fixture
def of_file(file: Path) -> Iterator[Table]:
    """A table in a SQLite file, with three jobs."""
    store = Store.open(f"sqlite:///{file}", busy_seconds=0)
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
    table = Table(store=store, run_id=run_id)
    table.load(row(2), row(3, priority=7), row(4))
    yield table
    store.close()


def seen_from_outside(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as other:
        return dict(other.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall())


def test_a_call_sees_what_the_calls_before_it_wrote(table: Table) -> None:
    table.load(row(2))
    began: list[Any] = []
    told = table.store.group_commit(
        [
            lambda: began.append(table.begin(table.claim_one())),
            table.store.views.counts,
            lambda: table.step(began[0], Event.ACCEPTED),
        ]
    )
    _, counts, submitted = results(told)
    assert counts[State.SUBMITTING] == 1
    assert table.store.jobs.get([submitted.id]) == [submitted]


def test_nobody_else_sees_a_part_of_it_before_all_of_it_is_committed(
    of_file: Table, file: Path
) -> None:
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    *_, meanwhile = results(of_file.store.group_commit([*calls, partial(seen_from_outside, file)]))
    assert meanwhile == {"pending": 3}
    assert seen_from_outside(file) == {"submitting": 3}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_call_that_raises_changes_nothing_and_disturbs_no_other(table: Table, place: int) -> None:
    table.load(row(2), row(3), row(4))
    jobs = table.claim()
    jobs[place] = replace(jobs[place], fence=99)
    ended = results(table.store.group_commit([partial(table.begin, job) for job in jobs]))
    assert isinstance(ended.pop(place), LeaseLost)
    assert [job.state for job in ended] == [State.SUBMITTING] * 2
    assert table.store.views.money().reserved == 2 * PRICE
    assert table.store.jobs.get([jobs[place].id])[0].state is State.PENDING


def test_the_limit_of_money_holds_within_a_group(store: Store) -> None:
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=2 * PRICE)
    table = Table(store=store, run_id=run_id)
    table.load(*map(row, range(2, 6)))
    ended = results(store.group_commit([partial(table.begin, job) for job in table.claim()]))
    assert [type(each) is BudgetReached for each in ended] == [False, False, True, True]
    assert store.views.counts()[State.SUBMITTING] == 2
    assert store.views.money().reserved == 2 * PRICE


def test_a_row_that_the_table_refuses_is_told_to_its_caller_alone(table: Table) -> None:
    table.load(row(2), row(3), row(4))
    *claimed, third = table.claim()
    first, second = map(table.begin, claimed)
    accepted = table.outcome(Event.ACCEPTED)
    told = table.store.group_commit(
        [
            partial(table.step, first, Event.ACCEPTED, accepted),
            partial(table.step, second, Event.ACCEPTED, accepted),
            partial(table.begin, third, Decimal("0.0000001")),
            table.store.views.counts,
        ]
    )
    taken, refused, too_fine, counts = results(told)
    assert taken.state is State.SUBMITTED
    assert isinstance(refused, ImpossibleTransition)
    assert isinstance(too_fine, ValueError)
    assert [counts[state] for state in (third.state, second.state, taken.state)] == [1, 1, 1]


def test_a_commit_that_fails_is_told_to_all(of_file: Table, file: Path) -> None:
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    with closing(sqlite3.connect(file)) as other:
        other.executescript(FAILS_AT_COMMIT)
    with pytest.raises(Exception, match="FOREIGN KEY"):
        of_file.store.group_commit([*calls, of_file.store.views.counts])
    assert seen_from_outside(file) == {"pending": 3}


def test_where_one_call_ends_the_transaction_of_all_each_is_carried_out_alone(
    of_file: Table, file: Path
) -> None:
    calls = [partial(of_file.begin, job) for job in sorted(of_file.claim(), key=lambda job: job.id)]
    with closing(sqlite3.connect(file)) as other:
        other.executescript(ENDS_THE_TRANSACTION)
    first, broken, last = results(of_file.store.group_commit(calls))
    assert "over" in str(broken)
    assert [first.state, last.state] == [State.SUBMITTING] * 2
    assert seen_from_outside(file) == {"pending": 1, "submitting": 2}


def test_a_group_that_meets_another_writer_is_done_again_as_a_whole(
    of_file: Table, file: Path
) -> None:
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with at_the_first_word("tweenbatch.store.engine", other.rollback):
            began = results(of_file.store.group_commit(calls))
    assert {job.state for job in began} == {State.SUBMITTING}
    assert of_file.store.views.money().reserved == 3 * PRICE


# A file lets one writer in at a time, so that nothing breaks a group off there.
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_group_that_the_server_breaks_off_is_done_again_as_a_whole(
    table: Table, url: str
) -> None:
    table.load(row(2), row(3), row(4))
    calls = [partial(table.begin, job) for job in table.claim()]
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(FAILS_TO_SERIALISE_ONCE)
    began = results(table.store.group_commit(calls))
    assert {job.state for job in began} == {State.SUBMITTING}
    assert table.store.views.money().reserved == 3 * PRICE


def test_a_table_that_stays_locked_is_told_to_all(
    of_file: Table, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    read: list[Any] = []
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TableBusy):
            of_file.store.group_commit([lambda: read.append(of_file.store.views.counts()), *calls])
    assert not read, "what is read in order to write must be read alone"
    assert seen_from_outside(file) == {"pending": 3}


def test_the_place_of_the_table_never_remembers_what_is_not_committed(
    of_file: Table, file: Path
) -> None:
    store = of_file.store
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    with RunnerLock(f"sqlite:///{file}") as lock:
        store.runs.remember_in(lock)
        before = lock.seen
        *_, meanwhile = results(store.group_commit([*calls, lambda: lock.seen]))
        assert meanwhile == before
        assert lock.seen == store.runs.high_water_mark()
        assert lock.seen != before


def test_the_place_of_the_table_forgets_a_group_that_failed(of_file: Table, file: Path) -> None:
    store = of_file.store
    calls = [partial(of_file.begin, job) for job in of_file.claim()]
    with closing(sqlite3.connect(file)) as other:
        other.executescript(FAILS_AT_COMMIT)
    with RunnerLock(f"sqlite:///{file}") as lock:
        store.runs.remember_in(lock)
        with pytest.raises(Exception, match="FOREIGN KEY"):
            store.group_commit(calls)
        store.runs.heartbeat(of_file.run_id, now=NOON)
        assert lock.seen == store.runs.high_water_mark()


class at_the_first_word(logging.Handler):  # noqa: N801 - it reads as a verb
    """Do something when a logger says something for the first time."""

    def __init__(self, name: str, then: Callable[[], object]) -> None:
        super().__init__()
        self._logger, self._then = logging.getLogger(name), then

    def emit(self, record: logging.LogRecord) -> None:
        assert "table_busy" in record.getMessage()
        self._then()

    def __enter__(self) -> None:
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)
