"""What is found out about a job is written down without owning it, once."""

from dataclasses import replace
from decimal import Decimal

import pytest

from support.jobtable import NOON, PRICE, READY, SENT, SUBMITTED, Table, row
from tweenbatch.errors import LeaseLost
from tweenbatch.records import Billed, Failure, Job, Money, Outcome
from tweenbatch.states import Event, ImpossibleTransition, State

LOST_REPLY = (*SENT, Event.OUTCOME_UNKNOWN)
NOTHING = Decimal(0)


def in_doubt(table: Table) -> Job:
    table.load(row())
    table.walk(*LOST_REPLY)
    (job,) = table.store.jobs.uncertain()
    return job


def test_an_uncertain_job_says_what_was_sent_when_and_with_which_key(table: Table) -> None:
    job = in_doubt(table)
    assert (job.state, job.sent_at, job.key_fingerprint) == (State.UNCERTAIN, NOON, "key")
    assert job.arguments == {"prompt": "prompt 2"}
    assert job.request is None


def test_an_adopted_request_is_free_to_be_taken_up(table: Table) -> None:
    job = in_doubt(table)
    after = table.store.jobs.settle(job, table.outcome(Event.ACCEPTED), now=table.now)
    assert after.state is State.SUBMITTED
    assert after.request is not None
    assert table.claim_one(State.SUBMITTED).id == job.id
    assert table.store.views.money() == Money(spent=NOTHING, reserved=PRICE, uncertain=NOTHING)


def test_what_was_proven_absent_waits_again_and_its_price_is_given_back(table: Table) -> None:
    job = in_doubt(table)
    after = table.store.jobs.settle(job, Outcome(event=Event.PROVEN_ABSENT), now=table.now)
    assert (after.state, after.tries) == (State.PENDING, 0)
    assert table.store.views.money() == Money(spent=NOTHING, reserved=NOTHING, uncertain=NOTHING)
    assert table.claim_one().id == job.id


def test_what_a_person_gives_up_counts_as_spent(table: Table) -> None:
    failure = Failure(type="given_up", message="", billed=Billed.UNKNOWN)
    outcome = Outcome(event=Event.GAVE_UP, failure=failure)
    table.store.jobs.settle(in_doubt(table), outcome, now=table.now)
    assert table.store.views.money() == Money(spent=PRICE, reserved=NOTHING, uncertain=NOTHING)


def test_a_job_is_settled_once(table: Table) -> None:
    job = in_doubt(table)
    table.store.jobs.settle(job, Outcome(event=Event.PROVEN_ABSENT), now=table.now)
    with pytest.raises(LeaseLost):
        table.store.jobs.settle(job, table.outcome(Event.ACCEPTED), now=table.now)


def test_whoever_held_it_has_lost_it(table: Table) -> None:
    in_doubt(table)
    held = table.claim_one(State.UNCERTAIN)
    table.store.jobs.settle(held, Outcome(event=Event.PROVEN_ABSENT), now=table.now)
    with pytest.raises(LeaseLost):
        table.step(held, Event.ACCEPTED)


def test_a_request_belongs_to_one_job(table: Table) -> None:
    table.load(row(2), row(3))
    first, second = table.claim()
    accepted = table.outcome(Event.ACCEPTED)
    table.step(table.begin(first), Event.ACCEPTED, accepted)
    table.step(table.begin(second), Event.OUTCOME_UNKNOWN)
    (job,) = table.store.jobs.uncertain()
    with pytest.raises(ImpossibleTransition, match="another attempt has it"):
        table.store.jobs.settle(job, accepted, now=table.now)
    assert [each.id for each in table.store.jobs.uncertain()] == [second.id]


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ((), Event.GAVE_UP),
        (SENT, Event.GAVE_UP),
        (SENT, Event.ACCEPTED),
        (SUBMITTED, Event.RETRY),
        (SUBMITTED, Event.GENERATED),
        (READY, Event.FETCHED),
    ],
)
def test_what_is_in_a_run_s_hands_is_not_settled_from_outside(
    table: Table, path: tuple[Event, ...], event: Event
) -> None:
    table.load(row())
    job = table.walk(*path)
    with pytest.raises(ImpossibleTransition):
        table.store.jobs.settle(job, table.outcome(event), now=table.now)


def test_a_paid_job_that_failed_is_read_once_more_without_paying(table: Table) -> None:
    table.load(row())
    lost = Failure(type="paid_unreadable", message="", billed=Billed.YES)
    failed = table.step(
        table.walk(*READY), Event.GAVE_UP, Outcome(event=Event.GAVE_UP, failure=lost)
    )
    again = table.store.jobs.settle(
        failed, replace(table.outcome(Event.ACCEPTED), event=Event.REOPENED), now=table.now
    )
    assert (again.state, again.video) == (State.SUBMITTED, None)
    assert table.store.views.money() == Money(spent=PRICE, reserved=NOTHING, uncertain=NOTHING)
    assert table.claim_one(State.SUBMITTED).attempt == 1


def test_there_is_nothing_to_read_where_nothing_was_paid(table: Table) -> None:
    table.load(row())
    refused = Failure(type="bad_request", message="", billed=Billed.NO)
    failed = table.step(
        table.walk(*SENT), Event.GAVE_UP, Outcome(event=Event.GAVE_UP, failure=refused)
    )
    with pytest.raises(ImpossibleTransition, match="nothing was paid"):
        table.store.jobs.settle(
            failed, replace(table.outcome(Event.ACCEPTED), event=Event.REOPENED), now=table.now
        )


def test_the_requests_of_an_endpoint_since_an_instant_are_known_in_their_order(
    table: Table,
) -> None:
    table.load(row(2), row(3), row(4))
    table.walk(*READY, Event.FETCHED)
    noon, _ = table.now, table.later(60)
    table.walk(*SUBMITTED)
    table.walk(*LOST_REPLY)
    found = table.store.jobs.requests_since("kling", noon)
    assert [(own.request_id, own.finished_at) for own in found] == [
        ("request-1", noon),
        ("request-2", None),
    ]
    assert found[0].attempt_id < found[1].attempt_id
    assert [own.request_id for own in table.store.jobs.requests_since("kling", table.now)] == [
        "request-2"
    ]
    assert table.store.jobs.requests_since("another", noon) == []


def test_a_run_never_takes_its_own_job_twice_whatever_the_clock_says(table: Table) -> None:
    table.load(row())
    held = table.walk(*SUBMITTED)
    table.later(3600)
    assert table.claim(State.SUBMITTED) == []
    assert table.another_run().claim_one(State.SUBMITTED).id == held.id
