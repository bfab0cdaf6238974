"""What speaks against a table, and that it does not fall silent before it is settled."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.jobtable import NOON
from tweenbatch.records import HighWaterMark
from tweenbatch.recovery.stale_table import KEPT, clear_mark, detect, detect_and_mark
from tweenbatch.store import RunnerLock, Store

HOUR = timedelta(hours=1)
SEEN = HighWaterMark(run_id=2, attempt_id=0, at=NOON + HOUR)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[RunnerLock]:
    with RunnerLock(f"sqlite:///{tmp_path / 'tweenbatch.db'}") as held:
        yield held


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A table that has seen one run, at noon."""
    opened = Store.open(f"sqlite:///{tmp_path / 'tweenbatch.db'}")
    begin(opened)
    yield opened
    opened.close()


def begin(store: Store) -> None:
    store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)


def test_a_table_that_is_as_far_as_its_place_remembers_is_not_doubted(
    store: Store, lock: RunnerLock
) -> None:
    assert detect(store, lock, now=NOON) is None
    store.runs.remember_in(lock)
    assert detect(store, lock, now=NOON) is None


def test_runs_that_settle_nothing_do_not_make_an_older_table_look_whole(
    store: Store, lock: RunnerLock
) -> None:
    lock.remember(SEEN)
    first = detect_and_mark(store, lock, now=NOON + 2 * HOUR)
    assert first is not None
    for _ in range(2):
        begin(store)
    later = detect_and_mark(store, lock, now=NOON + 3 * HOUR)
    assert later is not None
    assert (later.since, later.paid_until) == (NOON, SEEN.at)
    assert (first.since, first.paid_until) == (NOON, SEEN.at)
    clear_mark(store, lock)
    assert detect(store, lock, now=NOON) is None


def test_a_table_begun_anew_is_looked_up_as_far_back_as_fal_can_tell(lock: RunnerLock) -> None:
    lock.remember(SEEN)
    found = detect(None, lock, now=NOON + 2 * HOUR)
    assert found is not None
    assert found.since == NOON + 2 * HOUR - KEPT


def test_a_clock_that_was_ahead_hides_nothing(store: Store, lock: RunnerLock) -> None:
    """By the clock of the table's last run, now has not come yet."""
    lock.remember(SEEN)
    found = detect(store, lock, now=NOON - HOUR)
    assert found is not None
    assert found.since == NOON - HOUR


def test_a_table_on_a_server_is_not_doubted(store: Store) -> None:
    with RunnerLock("postgresql://localhost/tweenbatch") as lock:
        assert detect(store, lock, now=NOON) is None
