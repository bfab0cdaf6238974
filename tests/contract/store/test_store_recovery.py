"""What a dead run leaves behind, and what the next one makes of it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from support.jobtable import NOON, PATHS, PRICE, Table, row
from tweenbatch.errors import LeaseLost
from tweenbatch.records import Money, RecoveryCounts
from tweenbatch.states import UNFINISHED, Event, ImpossibleTransition, State

HELD = sorted(UNFINISHED - {State.SUBMITTING})
LONG_AFTER = NOON + timedelta(seconds=61)


def successor(table: Table) -> int:
    return table.store.runs.begin(host="here", pid=2, version="1", now=NOON, max_cost_usd=None)


def test_a_submission_of_a_dead_run_is_uncertain_never_waiting(table: Table) -> None:
    table.load(row())
    table.put_in(State.SUBMITTING)
    recovered = table.store.runs.recover(successor(table), now=LONG_AFTER)
    assert recovered == RecoveryCounts(freed=0, uncertain=1)
    assert table.store.views.counts()[State.UNCERTAIN] == 1
    money = table.store.views.money()
    assert money == Money(spent=Decimal(0), reserved=Decimal(0), uncertain=PRICE)


def test_the_dead_run_s_late_answer_is_refused(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.SUBMITTING)
    table.store.runs.recover(successor(table), now=LONG_AFTER)
    with pytest.raises(LeaseLost):
        table.step(job, Event.ACCEPTED)
    assert table.claim_one(State.UNCERTAIN).fence == job.fence + 2


@pytest.mark.parametrize("state", HELD)
def test_what_a_dead_run_held_is_free_in_the_state_it_had(table: Table, state: State) -> None:
    table.load(row())
    job = table.put_in(state)
    run_id = successor(table)
    assert table.store.runs.recover(run_id, now=LONG_AFTER) == RecoveryCounts(freed=1, uncertain=0)
    (taken,) = table.store.jobs.claim(run_id, [state], limit=9, now=LONG_AFTER)
    assert (taken.id, taken.state) == (job.id, state)
    assert taken.fence == job.fence + 2
    with pytest.raises(LeaseLost):
        table.store.jobs.release(job, now=table.now)


def test_a_run_keeps_its_own_leases(table: Table) -> None:
    table.load(row(2), row(3))
    waiting, other = table.claim()
    table.begin(other)
    assert table.store.runs.recover(table.run_id, now=table.now) == RecoveryCounts(
        freed=0, uncertain=0
    )
    table.begin(waiting)


def test_a_living_run_s_leases_are_dead_only_where_a_lock_proves_it(table: Table) -> None:
    """SQLite has one runner, so any other lease is dead; a server has many."""
    table.load(row())
    table.claim_one()
    freed = table.store.runs.recover(successor(table), now=table.now).freed
    assert freed == (1 if table.store._database.is_sqlite else 0)


def test_an_ended_run_gives_back_what_it_held_at_once(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.READY)
    table.store.runs.end(table.run_id, now=table.now, exit_code=130, note="interrupted")
    (taken,) = table.store.jobs.claim(successor(table), [State.READY], limit=9, now=table.now)
    assert taken.id == job.id


def test_an_uncertain_job_that_is_adopted_goes_on_with_the_same_attempt(table: Table) -> None:
    table.load(row())
    job = table.walk(*PATHS[State.UNCERTAIN], Event.ACCEPTED, Event.GENERATED, Event.FETCHED)
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    assert table.store.views.money().spent == PRICE


def test_a_proven_absence_lets_the_job_be_submitted_again(table: Table) -> None:
    table.load(row())
    job = table.walk(*PATHS[State.UNCERTAIN], Event.PROVEN_ABSENT, Event.SUBMIT_STARTED)
    assert (job.state, job.attempt, job.tries) == (State.SUBMITTING, 2, 0)
    assert table.store.views.money().reserved == PRICE


def test_a_clip_that_was_seen_can_never_be_proven_absent(table: Table) -> None:
    table.load(row())
    table.walk(*PATHS[State.READY], Event.GAVE_UP, Event.REOPENED)
    job = table.step(table.claim_one(State.SUBMITTED), Event.OUTCOME_UNKNOWN)
    assert table.store.views.money().spent == PRICE
    with pytest.raises(ImpossibleTransition, match="has a clip"):
        table.step(table.claim_one(State.UNCERTAIN), Event.PROVEN_ABSENT)
    assert table.store.views.counts()[job.state] == 1
