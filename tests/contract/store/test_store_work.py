"""Claims, leases, fences: who may move a job."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection

from support.jobtable import NOON, PATHS, PRICE, Table, changed, manifest, row
from tweenbatch.errors import BudgetReached, LeaseLost
from tweenbatch.records import Billed, Failure, Intent, Job, Outcome
from tweenbatch.states import FINAL, TRANSITIONS, UNFINISHED, Event, ImpossibleTransition, State
from tweenbatch.store import Store
from tweenbatch.store.statements import claims

CLAIMABLE = sorted(UNFINISHED - {State.SUBMITTING})
IMPOSSIBLE = [
    (state, event) for state in State for event in Event if (state, event) not in TRANSITIONS
]


def test_the_most_urgent_job_is_claimed_first_then_the_oldest(table: Table) -> None:
    table.load(row(2), row(3), row(4, priority=1))
    assert table.claim_one().spec.prompt == "prompt 4"
    assert [job.spec.prompt for job in table.claim()] == ["prompt 2", "prompt 3"]


def test_jobs_of_a_closed_model_are_passed_over_and_stay_as_they_are(table: Table) -> None:
    rows = [changed(row(number), endpoint=name) for number, name in enumerate("aabbc", start=2)]
    table.load(*rows)
    states, now = [State.PENDING], table.now
    open_ones = table.store.jobs.claim(table.run_id, states, limit=9, now=now, closed=["a", "c"])
    assert [job.spec.endpoint for job in open_ones] == ["b", "b"]
    assert [job.spec.endpoint for job in table.claim()] == ["a", "a", "c"]


@pytest.mark.parametrize("state", CLAIMABLE)
def test_a_claim_returns_the_job_with_all_that_is_known_of_it(table: Table, state: State) -> None:
    table.load(row())
    job = table.put_in(state)
    table.store.jobs.release(job, now=table.now)
    claimed = table.claim_one(state)
    assert replace(claimed, fence=job.fence) == job
    assert claimed.fence == job.fence + 1
    assert (claimed.request is not None) == (state in {State.SUBMITTED, State.READY})
    assert (claimed.arguments is not None) == (state is not State.PENDING)


@pytest.mark.parametrize("state", sorted(FINAL | {State.SUBMITTING}))
def test_a_submission_in_the_air_and_a_final_job_are_never_claimed(
    table: Table, state: State
) -> None:
    table.load(row())
    table.put_in(state)
    table.later(3600)
    assert table.another_run().claim(*State) == []


def test_paid_work_is_claimed_before_new_work(table: Table) -> None:
    table.load(row(2), row(3, priority=9))
    job = next(job for job in table.claim() if job.spec.prompt == "prompt 2")
    job = table.walk(*PATHS[State.READY], job=job)
    table.later(61)
    other = table.another_run()
    assert [job.state for job in other.claim(*UNFINISHED)] == [State.READY, State.PENDING]


def test_a_job_under_a_live_lease_is_not_claimed_again(table: Table) -> None:
    table.load(row())
    table.claim_one()
    other = table.another_run()
    assert other.claim() == []
    other.later(59)
    assert other.claim() == []


def test_a_heartbeat_keeps_the_leases_alive(table: Table) -> None:
    table.load(row())
    table.claim_one()
    table.store.runs.heartbeat(table.run_id, now=table.later(50))
    table.later(50)
    assert table.another_run().claim() == []
    table.later(11)
    assert len(table.another_run().claim()) == 1


def test_a_heartbeat_is_for_its_own_run_and_leases_alone(table: Table) -> None:
    table.load(row())
    table.claim_one()
    other = table.another_run()
    table.store.runs.heartbeat(other.run_id, now=other.later(50))
    silent, alive = (table.store.runs.find(each.run_id) for each in (table, other))
    assert silent is not None
    assert alive is not None
    assert alive.heartbeat_at - silent.heartbeat_at == timedelta(seconds=50)
    other.later(11)
    assert len(other.claim()) == 1


def test_a_lease_of_our_own_that_ran_out_is_still_held(table: Table) -> None:
    """The clock jumped, or the machine slept: the job is at work here."""
    table.load(row())
    table.claim_one()
    table.later(61)
    assert table.claim() == []


def test_a_waiting_job_that_no_row_asks_for_is_not_claimed(table: Table) -> None:
    table.load(row())
    job = table.walk(*PATHS[State.SUBMITTED])
    table.load()
    table.step(job, Event.RETRY)
    assert table.store.views.counts()[State.PENDING] == 1
    assert table.claim() == []


def test_a_claim_for_some_manifests_leaves_the_others_alone(table: Table) -> None:
    table.load(row(2), path="/jobs/one.csv")
    two = table.load(row(3), path="/jobs/two.csv").manifest_id
    jobs = table.store.jobs.claim(
        table.run_id, [State.PENDING], limit=9, now=table.now, manifests=[two]
    )
    assert [job.spec.prompt for job in jobs] == ["prompt 3"]
    assert table.store.views.counts([two])[State.PENDING] == 1


def test_those_that_go_first_are_of_these_manifests_and_claimed_alone(table: Table) -> None:
    table.load(row(2), row(3), path="/jobs/one.csv")
    two = table.load(row(4), row(5), row(6), path="/jobs/two.csv").manifest_id
    first = table.store.jobs.canaries([two], 2)
    jobs = table.store.jobs.claim(
        table.run_id, [State.PENDING], limit=9, now=table.now, manifests=[two], only=first
    )
    assert [job.spec.prompt for job in jobs] == ["prompt 4", "prompt 6"]


def test_a_resting_job_is_claimed_only_when_it_is_due(table: Table) -> None:
    table.load(row())
    due = table.now + timedelta(seconds=30)
    table.store.jobs.release(table.claim_one(), now=table.now, not_before=due)
    assert table.store.jobs.next_due([State.PENDING], now=table.now) == due
    assert table.claim() == []
    table.later(30)
    assert table.store.jobs.next_due([State.PENDING], now=table.now) is None
    assert table.claim_one().not_before == due


def test_the_next_due_job_is_one_that_could_be_claimed(table: Table) -> None:
    first = table.load(row(2), path="/jobs/one.csv").manifest_id
    second = table.load(row(3), path="/jobs/two.csv").manifest_id
    for job, seconds in zip(table.claim(), (10, 20), strict=True):
        due = table.now + timedelta(seconds=seconds)
        table.store.jobs.release(job, now=table.now, not_before=due)
    assert table.store.jobs.next_due(
        [State.PENDING], now=table.now, manifests=[second]
    ) == NOON + timedelta(seconds=20)
    table.load(path="/jobs/one.csv")
    assert table.store.jobs.next_due([State.PENDING], now=table.now) == NOON + timedelta(seconds=20)
    assert table.store.jobs.next_due([State.PENDING], now=table.now, manifests=[first]) is None


def test_a_job_that_is_worked_on_is_not_the_next_due(table: Table) -> None:
    table.load(row())
    due = table.now + timedelta(seconds=5)
    accepted = replace(table.outcome(Event.ACCEPTED), not_before=due)
    job = table.step(table.put_in(State.SUBMITTING), Event.ACCEPTED, accepted)
    assert table.store.jobs.next_due([State.SUBMITTED], now=table.now) is None
    table.store.jobs.release(job, now=table.now, not_before=due)
    assert table.store.jobs.next_due([State.SUBMITTED], now=table.now) == due


# On SQLite a claim has the whole table to itself.
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_claim_passes_by_what_another_claim_has_in_its_hands(table: Table, url: str) -> None:
    table.load(row(2), row(3))
    other = Store.open(url)

    def claim_while_another_does(connection: Connection) -> list[int]:
        mine = claims.claim(
            table.run_id,
            State.PENDING,
            limit=1,
            now=table.now,
            until=table.now + timedelta(seconds=60),
            manifests=None,
            only=None,
            closed=(),
        )
        ids = list(connection.execute(*mine).scalars())
        theirs = pool.submit(
            other.jobs.claim, table.run_id, [State.PENDING], limit=9, now=table.now
        )
        return ids + [job.id for job in theirs.result(timeout=10)]

    with ThreadPoolExecutor(1) as pool:
        assert table.store._database.write(claim_while_another_does) == [1, 2]
    other.close()


def test_threads_with_a_store_each_never_claim_the_same_job(url: str) -> None:
    store = Store.open(url)
    store.manifests.put(manifest(*(row(n) for n in range(2, 202))), now=NOON)
    run_ids = [
        store.runs.begin(host="here", pid=n, version="1", now=NOON, max_cost_usd=None)
        for n in range(4)
    ]
    store.close()
    together = threading.Barrier(4)

    def claim_all(run_id: int) -> list[int]:
        mine = Store.open(url)
        together.wait()
        claimed: list[int] = []
        while jobs := mine.jobs.claim(run_id, [State.PENDING], limit=7, now=NOON):
            claimed += [job.id for job in jobs]
        mine.close()
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [job_id for ids in pool.map(claim_all, run_ids) for job_id in ids]
    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == 200


def stale(job: Job) -> Job:
    return replace(job, fence=job.fence - 1)


@pytest.mark.parametrize("state", [State.PENDING, State.SUBMITTED])
def test_a_stale_fence_can_change_nothing(table: Table, state: State) -> None:
    table.load(row())
    job = stale(table.put_in(state))
    before = table.store.views.counts()
    with pytest.raises(LeaseLost):
        table.step(job, Event.SUBMIT_STARTED if state is State.PENDING else Event.GENERATED)
    with pytest.raises(LeaseLost):
        table.store.jobs.release(job, now=table.now)
    assert table.store.views.counts() == before
    assert table.store.views.money().reserved == (PRICE if state is State.SUBMITTED else 0)


def test_who_remembers_an_older_state_can_change_nothing(table: Table) -> None:
    table.load(row())
    submitted = table.put_in(State.SUBMITTED)
    table.step(submitted, Event.GENERATED)
    with pytest.raises(LeaseLost):
        table.step(submitted, Event.GAVE_UP)


def test_a_lease_of_another_run_is_not_ours(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.SUBMITTED)
    other = table.store.runs.begin(host="x", pid=2, version="1", now=NOON, max_cost_usd=None)
    with pytest.raises(LeaseLost):
        table.store.jobs.transition(
            job, table.outcome(Event.GENERATED), run_id=other, now=table.now
        )


def test_a_lease_that_was_given_back_moves_nothing(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.SUBMITTED)
    table.store.jobs.release(job, now=table.now)
    with pytest.raises(LeaseLost):
        table.step(job, Event.GENERATED)
    with pytest.raises(LeaseLost):
        table.store.jobs.release(job, now=table.now)


def test_a_submission_in_the_air_can_t_be_given_back(table: Table) -> None:
    table.load(row())
    with pytest.raises(ImpossibleTransition):
        table.store.jobs.release(table.put_in(State.SUBMITTING), now=table.now)


@pytest.mark.parametrize(("state", "event"), IMPOSSIBLE)
def test_an_impossible_event_is_refused_and_changes_nothing(
    table: Table, state: State, event: Event
) -> None:
    table.load(row())
    job = table.put_in(state)
    before = (
        table.store.views.counts(),
        table.store.views.money(),
        list(table.store.views.export()),
    )
    with pytest.raises(ImpossibleTransition):
        table.step(job, event)
    assert (
        table.store.views.counts(),
        table.store.views.money(),
        list(table.store.views.export()),
    ) == before


WAYS = {
    (State.READY, Event.UNAVAILABLE): (*PATHS[State.SUCCEEDED], Event.MISSED),
    (State.FAILED, Event.MISSED): (*PATHS[State.READY], Event.GAVE_UP),
}
"""How a job comes to a state in which such an event can happen to it."""


@pytest.mark.parametrize(("pair", "target"), list(TRANSITIONS.items()))
def test_every_possible_event_is_recorded(
    table: Table, pair: tuple[State, Event], target: State
) -> None:
    state, event = pair
    table.load(row())
    way = WAYS.get(pair)
    job = table.put_in(state) if way is None else table.walk(*way)
    after = table.step(job, event)
    assert after.state is target
    assert table.store.views.counts()[target] == 1
    table.later(61)
    assert len(table.another_run().claim(*UNFINISHED)) == (target in CLAIMABLE)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.SUBMITTING, Event.ACCEPTED),
        (State.SUBMITTED, Event.GENERATED),
        (State.READY, Event.FETCHED),
    ],
)
def test_an_event_without_its_fact_is_refused(table: Table, state: State, event: Event) -> None:
    table.load(row())
    job = table.put_in(state)
    with pytest.raises(ValueError, match="needs its"):
        table.step(job, event, Outcome(event=event))


def test_one_request_never_serves_two_jobs(table: Table) -> None:
    table.load(row(2), row(3))
    first, second = table.claim()
    accepted = table.outcome(Event.ACCEPTED)
    table.step(table.begin(first), Event.ACCEPTED, accepted)
    second = table.begin(second)
    with pytest.raises(ImpossibleTransition, match="another attempt has it"):
        table.step(second, Event.ACCEPTED, accepted)
    assert table.store.views.counts()[State.SUBMITTING] == 1


def test_only_a_failure_that_counts_uses_up_a_try(table: Table) -> None:
    table.load(row())
    for counts in (True, False):
        outcome = replace(table.outcome(Event.RETRY), counts=counts)
        table.step(table.put_in(State.SUBMITTED), Event.RETRY, outcome)
    job = table.walk(Event.SUBMIT_STARTED, Event.NOT_ACCEPTED)
    assert (job.attempt, job.tries) == (3, 1)


def test_a_failed_job_that_a_person_brings_back_starts_afresh(table: Table) -> None:
    table.load(row(2), row(3))
    failed = table.walk(*PATHS[State.FAILED])
    done = table.walk(*PATHS[State.SUCCEEDED])
    assert table.store.jobs.requeue([failed.id, done.id], now=table.now) == 1
    job = table.claim_one()
    assert (job.id, job.tries, job.attempt, job.request) == (failed.id, 0, 1, None)
    assert table.store.views.attention() == []


def test_text_from_outside_never_stops_a_write(table: Table) -> None:
    table.load(row())
    failure = Failure(type="a\x00b", message="tail \udcff \x00 " + "x" * 4096)
    outcome = Outcome(event=Event.GAVE_UP, failure=failure)
    table.step(table.put_in(State.SUBMITTED), Event.GAVE_UP, outcome)
    (case,) = table.store.views.attention()
    assert case.error_type == "a\ufffdb"


def test_an_instant_without_a_zone_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        table.store.runs.heartbeat(table.run_id, now=NOON.replace(tzinfo=None))


def capped(table: Table, limit: str) -> Table:
    run_id = table.store.runs.begin(
        host="here", pid=1, version="1", now=NOON, max_cost_usd=Decimal(limit)
    )
    return replace(table, run_id=run_id)


def test_a_submission_that_would_pass_the_limit_changes_nothing(table: Table) -> None:
    table = capped(table, "1.12")
    table.load(row(2), row(3), row(4))
    first, second, third = table.claim()
    table.begin(first)
    table.begin(second)
    with pytest.raises(BudgetReached):
        table.begin(third)
    assert table.store.views.money().reserved == Decimal("1.12")
    table.store.jobs.release(third, now=table.now)


@pytest.mark.parametrize(
    ("events", "outcome", "returned"),
    [
        (PATHS[State.SUBMITTING], Outcome(event=Event.NOT_ACCEPTED), True),
        (PATHS[State.UNCERTAIN], Outcome(event=Event.PROVEN_ABSENT), True),
        *(
            (
                PATHS[State.SUBMITTED],
                Outcome(event=event, failure=Failure(type="x", message="", billed=billed)),
                billed is Billed.NO,
            )
            for event in (Event.RETRY, Event.GAVE_UP)
            for billed in Billed
        ),
        (PATHS[State.UNCERTAIN], Outcome(event=Event.GAVE_UP), False),
        (PATHS[State.UNCERTAIN], Outcome(event=Event.CANCELLED), False),
        (PATHS[State.READY], Outcome(event=Event.GAVE_UP), False),
        (
            PATHS[State.READY],
            Outcome(event=Event.GAVE_UP, failure=Failure(type="x", message="", billed=Billed.NO)),
            False,
        ),
    ],
)
def test_only_what_was_certainly_not_billed_is_given_back_to_the_limit(
    table: Table, events: tuple[Event, ...], outcome: Outcome, *, returned: bool
) -> None:
    table = capped(table, "0.56")
    table.load(row(2), row(3))
    first, second = table.claim()
    job = table.walk(*events, job=first)
    if job.state is State.UNCERTAIN:
        job = table.claim_one(State.UNCERTAIN)
    table.step(job, outcome.event, outcome)
    if returned:
        assert table.begin(second).state is State.SUBMITTING
    else:
        with pytest.raises(BudgetReached):
            table.begin(second)


def test_the_limit_is_exact_when_many_submit_at_once(url: str) -> None:
    store = Store.open(url)
    store.manifests.put(manifest(*(row(n) for n in range(2, 42))), now=NOON)
    run_id = store.runs.begin(
        host="here", pid=1, version="1", now=NOON, max_cost_usd=Decimal("5.60")
    )
    jobs = store.jobs.claim(run_id, [State.PENDING], limit=40, now=NOON)
    together = threading.Barrier(4)
    intent = Intent(arguments={}, price_usd=PRICE, key_fingerprint="key", host="here")

    def submit(part: list[Job]) -> int:
        mine = Store.open(url)
        together.wait()
        begun = 0
        for job in part:
            try:
                mine.jobs.begin_attempt(job, intent, run_id=run_id, now=NOON)
                begun += 1
            except BudgetReached:
                pass
        mine.close()
        return begun

    with ThreadPoolExecutor(4) as pool:
        begun = sum(pool.map(submit, [jobs[part::4] for part in range(4)]))
    assert begun == 10
    assert store.views.money().reserved == Decimal("5.60")
    store.close()
