"""A waiting job takes over a request that fal has already, as if it had been submitted then."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from support.jobtable import NOON, PRICE, SUBMITTED, Table, row
from tweenbatch.errors import LeaseLost
from tweenbatch.records import Intent, Job
from tweenbatch.states import Event, ImpossibleTransition, State

DAY = timedelta(days=1)
INTENT = Intent(
    arguments={"prompt": "prompt 2"}, price_usd=PRICE, key_fingerprint="key", host="queue.fal.run"
)


def waiting(table: Table, *prompts: str) -> list[Job]:
    return table.store.jobs.waiting("kling", prompts)


def adopt(table: Table, job: Job, request_of: Job | None = None) -> Job:
    request = request_of.request if request_of else table.outcome(Event.ACCEPTED).request
    assert request is not None
    return table.store.jobs.adopt(
        job, INTENT, request, run_id=table.run_id, sent_at=NOON - DAY, now=NOON
    )


def test_it_is_submitted_with_what_was_sent_then_and_free_to_be_collected(table: Table) -> None:
    table.load(row(2), row(3))
    (job,) = waiting(table, "prompt 2", "prompt 9")
    adopted = adopt(table, job)
    assert adopted.state is State.SUBMITTED
    assert adopted.arguments == {"prompt": "prompt 2"}
    assert (adopted.sent_at, adopted.accepted_at) == (NOON - DAY, NOON - DAY)
    assert adopted.request is not None
    assert table.store.jobs.owned([adopted.request.request_id, "stranger"]) == {
        adopted.request.request_id
    }
    assert table.store.views.money().reserved == PRICE
    later = table.another_run()
    assert later.claim_one(State.SUBMITTED).id == job.id
    assert [each.jobs for each in table.store.views.pending()] == [1]


def test_its_price_is_given_back_where_fal_did_not_bill_it(table: Table) -> None:
    table.load(row(2))
    adopt(table, *waiting(table, "prompt 2"))
    failed = table.walk(Event.GAVE_UP, job=table.claim_one(State.SUBMITTED))
    assert failed.state is State.FAILED
    assert table.store.views.money().reserved == Decimal(0)


def test_a_request_that_another_attempt_has_is_not_taken(table: Table) -> None:
    table.load(row(2), row(3))
    other = table.walk(*SUBMITTED)
    (job,) = waiting(table, "prompt 2", "prompt 3")
    with pytest.raises(ImpossibleTransition, match="another attempt has it"):
        adopt(table, job, request_of=other)
    assert table.store.jobs.get([job.id]) == [job]
    assert table.store.views.money().reserved == PRICE


def test_a_job_that_somebody_works_on_is_left_to_them(table: Table) -> None:
    table.load(row(2))
    (job,) = waiting(table, "prompt 2")
    table.claim_one()
    with pytest.raises(LeaseLost):
        adopt(table, job)


def test_a_job_that_no_row_asks_for_does_not_wait(table: Table) -> None:
    table.load(row(2))
    table.load(row(3))
    assert not waiting(table, "prompt 2")


def test_a_table_says_itself_since_when_it_may_lack_something(table: Table, url: str) -> None:
    store = table.store
    assert store.runs.incomplete_since is None
    store.runs.mark_incomplete(NOON)
    assert store.runs.incomplete_since == (NOON if url.startswith("sqlite") else None)
    store.runs.mark_incomplete(None)
    assert store.runs.incomplete_since is None


def test_the_reach_of_a_table_is_its_last_run_and_attempt(table: Table) -> None:
    table.load(row(2))
    first = table.store.runs.high_water_mark()
    assert first is not None
    assert (first.run_id, first.attempt_id, first.at) == (table.run_id, 0, NOON)
    table.walk(*SUBMITTED)
    reach = table.store.runs.high_water_mark()
    assert reach is not None
    assert reach == replace(first, attempt_id=reach.attempt_id)
    assert reach.is_ahead_of(first)
    assert not first.is_ahead_of(reach)
    assert first.is_ahead_of(None)
