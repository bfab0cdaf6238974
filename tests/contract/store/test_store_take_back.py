"""A waiting job goes back to an earlier request of its own, whose clip turned out to be there."""

from dataclasses import replace
from decimal import Decimal

import pytest

from support.jobtable import PRICE, SENT, SUBMITTED, Table, row
from tweenbatch.errors import BudgetReached, LeaseLost
from tweenbatch.records import Billed, Failure, Job, Money, Outcome
from tweenbatch.states import Event, State

NOTHING = Decimal(0)
REFUSED = Outcome(
    event=Event.NOT_ACCEPTED,
    failure=Failure(type="not_accepted", message="", billed=Billed.NO),
    counts=False,
)


def failed(table: Table, billed: Billed) -> Job:
    """A job that waits again after a request that failed, claimed."""
    table.load(row())
    failure = Failure(type="broken", message="It broke.", billed=billed)
    table.step(table.walk(*SUBMITTED), Event.RETRY, Outcome(event=Event.RETRY, failure=failure))
    return table.claim_one()


def earlier(table: Table, job: Job) -> Job:
    found = table.store.jobs.earlier_request(job)
    assert found is not None
    return found


def take_back(table: Table, job: Job) -> Job:
    return table.store.jobs.take_back(earlier(table, job), run_id=table.run_id, now=table.now)


def test_a_job_that_was_never_at_fal_has_no_earlier_request(table: Table) -> None:
    table.load(row())
    assert table.store.jobs.earlier_request(table.claim_one()) is None


@pytest.mark.parametrize("billed", list(Billed)[1:])
def test_it_is_submitted_again_with_its_own_request_and_price(table: Table, billed: Billed) -> None:
    job = failed(table, billed)
    back = take_back(table, job)
    assert back.state is State.SUBMITTED
    assert back.request == earlier(table, job).request
    done = table.walk(Event.GENERATED, Event.FETCHED, job=back)
    assert done.state is State.SUCCEEDED
    assert table.store.views.money() == Money(spent=PRICE, reserved=NOTHING, uncertain=NOTHING)


def test_submissions_that_were_refused_since_then_stay_as_they_are(table: Table) -> None:
    job = failed(table, Billed.UNKNOWN)
    table.step(table.begin(job), Event.NOT_ACCEPTED, REFUSED)
    job = table.claim_one()
    assert job.attempt == 2
    back = take_back(table, job)
    assert (back.state, back.attempt) == (State.SUBMITTED, 3)
    story = table.store.views.history(back.id)
    assert story is not None
    assert [each.outcome for each in story.attempts] == ["not_sent", "accepted"]
    again = table.walk(Event.RETRY, Event.SUBMIT_STARTED, job=back)
    assert again.attempt == 4


def test_a_failure_that_is_taken_back_again_and_again_counts_once(table: Table) -> None:
    job = failed(table, Billed.UNKNOWN)
    for _ in range(3):
        assert job.tries == 1
        back = take_back(table, job)
        assert back.tries == 0
        table.walk(Event.RETRY, job=back)
        job = table.claim_one()


def test_a_price_that_was_given_back_must_fit_into_the_run(table: Table) -> None:
    job = failed(table, Billed.NO)
    poor = replace(
        table,
        run_id=table.store.runs.begin(
            host="there", pid=2, version="1", now=table.now, max_cost_usd=NOTHING
        ),
    )
    table.store.jobs.release(job, now=table.now)
    job = poor.claim_one()
    with pytest.raises(BudgetReached):
        take_back(poor, job)
    assert table.store.jobs.get([job.id])[0].state is State.PENDING
    assert table.store.views.money().reserved == NOTHING


def test_a_job_that_has_moved_on_is_not_taken_back(table: Table) -> None:
    job = failed(table, Billed.UNKNOWN)
    before = earlier(table, job)
    table.begin(job)
    with pytest.raises(LeaseLost):
        table.store.jobs.take_back(before, run_id=table.run_id, now=table.now)


def test_why_a_result_can_not_be_read_is_shown_until_it_is(table: Table) -> None:
    table.load(row())
    job = table.walk(*SUBMITTED)
    assert not table.store.views.attention()
    failure = Failure(type="unknown_error", message="Bad gateway", http_status=502)
    table.store.jobs.note_trouble(job, failure, now=table.now)
    [attention] = table.store.views.attention()
    assert (attention.state, attention.error_message) == (State.SUBMITTED, "Bad gateway")
    table.step(job, Event.GENERATED)
    assert not table.store.views.attention()


def test_an_address_is_known_by_the_clip_that_has_it(table: Table) -> None:
    table.load(row())
    video = table.outcome(Event.GENERATED).video
    assert video is not None
    assert table.store.jobs.clip_at(video.url, besides=None) is None
    ready = table.walk(*SUBMITTED, Event.GENERATED)
    assert table.store.jobs.clip_at(video.url, besides=ready.attempt_id) is None
    assert table.store.jobs.clip_at(video.url, besides=0) == ready.output_name


@pytest.mark.parametrize(
    ("way", "event"),
    [
        (SUBMITTED, Event.GAVE_UP),
        ((*SUBMITTED, Event.GENERATED), Event.GAVE_UP),
    ],
)
def test_a_person_may_give_up_a_paid_job_whoever_holds_its_lease(
    table: Table, way: tuple[Event, ...], event: Event
) -> None:
    table.load(row())
    job = table.walk(*way)
    after = table.store.jobs.settle(job, table.outcome(event), now=table.now)
    assert after.state is State.FAILED
    assert table.store.views.money().spent == PRICE
    with pytest.raises(LeaseLost):
        table.step(job, event)


def test_a_submission_in_the_air_is_settled_by_nobody(table: Table) -> None:
    table.load(row())
    with pytest.raises(ValueError, match="is not possible for a job that is submitting"):
        table.store.jobs.settle(table.walk(*SENT), table.outcome(Event.GAVE_UP), now=table.now)
