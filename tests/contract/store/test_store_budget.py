"""The day's limit, and both limits under everything that can happen to a job."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.jobtable import NOON, PATHS, PRICE, Table, manifest, row
from support.zones import local_zone
from tweenbatch.clock import local_day
from tweenbatch.errors import BudgetReached
from tweenbatch.records import Billed, Failure, Intent, Job, Night, Outcome, PeriodLimit
from tweenbatch.states import AT_FAL, FINAL, TRANSITIONS, Event, ImpossibleTransition, State
from tweenbatch.store import Store

DAY = timedelta(days=1)
STEPS = int(os.environ.get("TWEENBATCH_BUDGET_STEPS", "2000"))
"""Steps of the random walk below; ``TWEENBATCH_BUDGET_STEPS=20000`` takes a long one, and
another one each time."""
STEPS_OF_A_WALK = 60
ZONE = "Europe/Berlin"


def intent(price_usd: Decimal = PRICE) -> Intent:
    return Intent(arguments={}, price_usd=price_usd, key_fingerprint="key", host="here")


PER_DAY = "--max-cost-per-day"


def day(usd: str, begins: datetime = NOON) -> PeriodLimit:
    return PeriodLimit(option=PER_DAY, usd=Decimal(usd), begins=begins, ends=begins + DAY)


def begin(table: Table, job: Job, limit: PeriodLimit) -> Job:
    return table.store.jobs.begin_attempt(
        job, intent(), run_id=table.run_id, now=table.now, periods=[limit]
    )


def another_run(table: Table, max_cost_usd: Decimal | None = None) -> Table:
    run_id = table.store.runs.begin(
        host="here", pid=2, version="1", now=table.now, max_cost_usd=max_cost_usd
    )
    return replace(table, run_id=run_id)


def test_a_submission_that_would_pass_the_day_s_limit_changes_nothing(table: Table) -> None:
    table.load(row(2), row(3), row(4))
    first, second, third = table.claim()
    begin(table, first, day("1.12"))
    begin(table, second, day("1.12"))
    with pytest.raises(BudgetReached, match=r"\$1\.12 of the \$1\.12") as caught:
        begin(table, third, day("1.12"))
    assert (caught.value.option, caught.value.until) == ("--max-cost-per-day", NOON + DAY)
    assert table.store.views.money().reserved == Decimal("1.12")
    table.store.jobs.release(third, now=table.now)


def generated(table: Table, job: Job, usd: str) -> Job:
    """Return a job that is at its clip, for which fal billed so much."""
    outcome = replace(table.outcome(Event.GENERATED), charged_usd=Decimal(usd))
    return table.step(table.step(job, Event.ACCEPTED), Event.GENERATED, outcome)


@pytest.mark.parametrize(
    ("charged", "spent", "more"),
    [("0.10", "0.56", 2), ("0.56", "0.56", 2), ("1.12", "1.12", 1), ("9", "9", 0)],
)
@pytest.mark.parametrize("of_the_run", [True, False], ids=["run", "day"])
def test_a_clip_counts_at_what_fal_billed_where_that_is_more(
    table: Table, charged: str, spent: str, more: int, *, of_the_run: bool
) -> None:
    table.load(row(2), row(3), row(4))
    table = another_run(table, Decimal("1.68") if of_the_run else None)
    limit = day("1000" if of_the_run else "1.68")
    first, *others = table.claim()
    generated(table, table.begin(first), charged)
    assert table.store.views.money().spent == Decimal(spent)
    for job in others[:more]:
        begin(table, job, limit)
    for job in others[more:]:
        with pytest.raises(BudgetReached):
            begin(table, job, limit)


def test_what_is_given_back_opens_no_limit_that_was_billed_beyond(table: Table) -> None:
    table.load(row(2), row(3), row(4), row(5))
    table = another_run(table, Decimal("1.68"))
    first, second, third, fourth = table.claim()
    begun = [table.begin(job) for job in (first, second, third)]
    generated(table, begun[0], "2.00")
    table.step(begun[1], Event.NOT_ACCEPTED)
    with pytest.raises(BudgetReached):
        table.begin(fourth)
    table.step(begun[2], Event.NOT_ACCEPTED)
    with pytest.raises(BudgetReached):
        table.begin(fourth)


def test_what_is_given_back_opens_a_limit_that_was_only_just_met(table: Table) -> None:
    table.load(row(2), row(3))
    table = another_run(table, Decimal("0.56"))
    first, second = table.claim()
    table.step(table.begin(first), Event.NOT_ACCEPTED)
    assert table.begin(second).state is State.SUBMITTING


def test_the_limit_that_stops_a_submission_is_named(table: Table) -> None:
    table.load(row())
    table = another_run(table, Decimal("0.10"))
    with pytest.raises(BudgetReached) as caught:
        begin(table, table.claim_one(), day("0.10"))
    assert (caught.value.option, caught.value.until) == ("--max-cost", None)


def test_all_runs_of_a_day_share_its_limit(table: Table) -> None:
    table.load(row(2), row(3))
    begin(table, table.claim_one(), day("1.00"))
    table.store.runs.end(table.run_id, now=table.now, exit_code=0, note="")
    other = another_run(table)
    with pytest.raises(BudgetReached):
        begin(other, other.claim_one(), day("1.00"))


def test_what_was_begun_on_an_earlier_day_does_not_count(table: Table) -> None:
    table.load(row(2), row(3))
    first, second = table.claim()
    begin(table, first, day("0.56"))
    table.now = NOON + DAY
    assert begin(table, second, day("0.56", NOON + DAY)).state is State.SUBMITTING


def ended(event: Event, billed: Billed) -> Outcome:
    return Outcome(event=event, failure=Failure(type="x", message="", billed=billed))


@pytest.mark.parametrize(
    ("events", "outcome", "returned"),
    [
        (PATHS[State.SUBMITTING], Outcome(event=Event.NOT_ACCEPTED), True),
        (PATHS[State.SUBMITTING], Outcome(event=Event.OUTCOME_UNKNOWN), False),
        (PATHS[State.UNCERTAIN], Outcome(event=Event.PROVEN_ABSENT), True),
        (PATHS[State.UNCERTAIN], Outcome(event=Event.GAVE_UP), False),
        *(
            (PATHS[State.SUBMITTED], ended(event, billed), billed is Billed.NO)
            for event in (Event.RETRY, Event.GAVE_UP)
            for billed in Billed
        ),
        (PATHS[State.READY], ended(Event.GAVE_UP, Billed.NO), False),
    ],
)
def test_only_what_was_certainly_not_billed_is_given_back_to_the_day(
    table: Table, events: tuple[Event, ...], outcome: Outcome, *, returned: bool
) -> None:
    table.load(row(2), row(3))
    first, second = table.claim()
    job = table.walk(*events, job=first)
    if job.state is State.UNCERTAIN:
        job = table.claim_one(State.UNCERTAIN)
    table.step(job, outcome.event, outcome)
    if returned:
        assert begin(table, second, day("0.56")).state is State.SUBMITTING
    else:
        with pytest.raises(BudgetReached):
            begin(table, second, day("0.56"))


@pytest.mark.parametrize("billed", [Billed.NO, Billed.UNKNOWN])
def test_a_paid_failure_read_again_is_given_back_once_it_proves_unbilled(
    table: Table, billed: Billed
) -> None:
    table = another_run(table, Decimal("0.56"))
    table.load(row(2), row(3))
    first, second = table.claim()
    table.walk(*PATHS[State.FAILED], job=first)
    (failed,) = table.store.jobs.get([first.id])
    reopened = replace(table.outcome(Event.ACCEPTED), event=Event.REOPENED)
    table.store.jobs.settle(failed, reopened, now=table.now)
    table.step(table.claim_one(State.SUBMITTED), Event.GAVE_UP, ended(Event.GAVE_UP, billed))
    if billed is Billed.NO:
        assert begin(table, second, day("0.56")).state is State.SUBMITTING
    else:
        with pytest.raises(BudgetReached):
            begin(table, second, day("0.56"))


def exactness(url: str) -> int:
    """Let four runs submit forty jobs at once under a day's limit of ten; return how many went."""
    store = Store.open(url)
    store.manifests.put(manifest(*(row(n) for n in range(2, 42))), now=NOON)
    runs = [
        store.runs.begin(host="here", pid=n, version="1", now=NOON, max_cost_usd=None)
        for n in range(4)
    ]
    parts = [store.jobs.claim(run_id, [State.PENDING], limit=10, now=NOON) for run_id in runs]
    together = threading.Barrier(4)

    def submit(run_id: int, part: list[Job]) -> int:
        mine = Store.open(url)
        together.wait()
        begun = 0
        for job in part:
            try:
                mine.jobs.begin_attempt(
                    job, intent(), run_id=run_id, now=NOON, periods=[day("5.60")]
                )
                begun += 1
            except BudgetReached:
                pass
        mine.close()
        return begun

    with ThreadPoolExecutor(4) as pool:
        begun = sum(pool.map(submit, runs, parts))
    assert store.views.money().reserved == begun * PRICE
    store.close()
    return begun


def test_the_day_s_limit_is_exact_when_many_runs_submit_at_once(url: str) -> None:
    assert exactness(url) == 10


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_the_day_s_limit_is_exact_whatever_isolation_is_the_server_s_default(url: str) -> None:
    option = "-cdefault_transaction_isolation%3Drepeatable%5C%20read"
    assert exactness(url.replace("options=", f"options={option}%20")) == 10


# A random walk

PRICES = st.sampled_from([Decimal("0.56"), Decimal("1.12"), Decimal("0.280001")])
AMOUNTS = st.sampled_from([None, None, *map(Decimal, ("0.56", "1.40", "5.00"))])


@dataclass(kw_only=True)
class Bought:
    """One attempt, as the model remembers it."""

    run_id: int
    price_usd: Decimal
    local_date: date
    paid: bool = False
    """The clip was there, or fal said that it was billed: whatever is said later."""
    free: bool = False
    """It is certain that it was not billed."""


class Budget(RuleBasedStateMachine):
    """Runs with limits over one table, several days, and all that can happen to its jobs.

    The model knows what was bought by what this test did, never from the table.
    """

    steps = 0

    @initialize(usd=st.sampled_from([Decimal("1.12"), Decimal("2.80")]), cap=AMOUNTS)
    def open(self, usd: Decimal, cap: Decimal | None) -> None:
        self.usd = usd
        # Half past ten in the evening, before a day of 23 hours.
        self.now = datetime(2026, 3, 28, 21, 30, tzinfo=UTC)
        self.table = Table(store=Store.open("sqlite:///:memory:"), run_id=0, now=self.now)
        self.table.load(*(row(n) for n in range(2, 14)))
        self.caps: dict[int, Decimal | None] = {}
        self.bought: dict[tuple[int, int], Bought] = {}
        self.held: dict[int, tuple[int, Job]] = {}
        self.free_jobs: dict[int, Job] = {}
        self.run_starts(cap)

    def teardown(self) -> None:
        if hasattr(self, "table"):
            self.table.store.close()

    # Runs and time

    @precondition(lambda self: len(self.caps) < 4)
    @rule(cap=AMOUNTS)
    def another_run_starts(self, cap: Decimal | None) -> None:
        self.run_starts(cap)

    def run_starts(self, cap: Decimal | None) -> None:
        run_id = self.table.store.runs.begin(
            host="here", pid=1, version="1", now=self.now, max_cost_usd=cap
        )
        self.caps[run_id] = cap

    @rule(cap=AMOUNTS)
    def all_runs_die_and_another_one_recovers(self, cap: Decimal | None) -> None:
        self.run_starts(cap)
        run_id = max(self.caps)
        self.table.store.runs.recover(run_id, now=self.now)
        self.held.clear()
        self.reread()

    @rule(minutes=st.sampled_from([-45, 45, 90, 660, 1440]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.table.now = self.now

    # Money goes out

    @rule(price=PRICES, data=st.data())
    def a_run_submits(self, price: Decimal, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.caps)))
        jobs = self.table.store.jobs.claim(run_id, [State.PENDING], limit=1, now=self.now)
        for job in jobs:
            begins, ends = local_day(self.now)
            limit = PeriodLimit(option=PER_DAY, usd=self.usd, begins=begins, ends=ends)
            try:
                begun = self.table.store.jobs.begin_attempt(
                    job, intent(price), run_id=run_id, now=self.now, periods=[limit]
                )
                refused_by = None
            except BudgetReached as error:
                refused_by = error.option
            assert refused_by == self.refusal(run_id, price)
            if refused_by is not None:
                self.table.store.jobs.release(job, now=self.now)
                return
            self.bought[job.id, begun.attempt] = Bought(
                run_id=run_id, price_usd=price, local_date=self.today()
            )
            self.held[job.id] = (run_id, begun)
            self.free_jobs.pop(job.id, None)

    def refusal(self, run_id: int, price: Decimal) -> str | None:
        cap = self.caps[run_id]
        if cap is not None and self.of_run(run_id) + price > cap:
            return "--max-cost"
        # A clock that was set back finds the future's purchases: they count too.
        if self.since(self.today()) + price > self.usd:
            return "--max-cost-per-day"
        return None

    def today(self) -> date:
        return self.now.astimezone(ZoneInfo(ZONE)).date()

    def of_run(self, run_id: int) -> Decimal:
        return self.total(each for each in self.bought.values() if each.run_id == run_id)

    def since(self, first: date) -> Decimal:
        return self.total(each for each in self.bought.values() if each.local_date >= first)

    @staticmethod
    def total(bought: Iterator[Bought]) -> Decimal:
        return sum((each.price_usd for each in bought if not each.free), Decimal(0))

    # What becomes of it

    @precondition(lambda self: self.held)
    @rule(billed=st.sampled_from(Billed), data=st.data())
    def something_happens_to_a_job_that_a_run_holds(
        self, billed: Billed, data: st.DataObject
    ) -> None:
        run_id, job = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        outcome = self.draw_outcome(job, billed, data)
        if self.is_contradiction(job, outcome.event):
            with pytest.raises(ImpossibleTransition):
                self.table.store.jobs.transition(job, outcome, run_id=run_id, now=self.now)
            return
        after = self.table.store.jobs.transition(job, outcome, run_id=run_id, now=self.now)
        self.remember(job, outcome)
        if after.state in {State.SUBMITTED, State.READY}:
            self.held[job.id] = (run_id, after)
        else:
            del self.held[job.id]
            self.free_jobs[job.id] = after

    @precondition(lambda self: self.outside())
    @rule(billed=st.sampled_from(Billed), data=st.data())
    def a_listing_or_a_person_settles_a_job(self, billed: Billed, data: st.DataObject) -> None:
        job = self.free_jobs[data.draw(st.sampled_from(self.outside()))]
        outcome = self.draw_outcome(job, billed, data)
        if self.is_contradiction(job, outcome.event) or (
            job.state is State.FAILED and self.owed_nothing(job)
        ):
            with pytest.raises(ImpossibleTransition):
                self.table.store.jobs.settle(job, outcome, now=self.now)
            return
        self.free_jobs[job.id] = self.table.store.jobs.settle(job, outcome, now=self.now)
        self.remember(job, outcome)

    @precondition(lambda self: any(job.state in AT_FAL for job in self.free_jobs.values()))
    @rule(data=st.data())
    def a_run_takes_up_what_is_left(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.caps)))
        states = [State.UNCERTAIN, State.SUBMITTED, State.READY]
        for job in self.table.store.jobs.claim(run_id, states, limit=1, now=self.now):
            self.held[job.id] = (run_id, job)
            self.free_jobs.pop(job.id, None)

    @precondition(lambda self: any(job.state in FINAL for job in self.free_jobs.values()))
    @rule()
    def a_person_queues_all_that_failed_again(self) -> None:
        self.table.store.jobs.requeue(list(self.free_jobs), now=self.now)
        self.reread()

    def outside(self) -> list[int]:
        settled = {State.UNCERTAIN, State.FAILED}
        return sorted(job.id for job in self.free_jobs.values() if job.state in settled)

    def reread(self) -> None:
        """See the jobs that no run holds as they stand now."""
        left = {job_id for job_id, _ in self.bought} - self.held.keys()
        jobs = self.table.store.jobs.get(left)
        self.free_jobs = {job.id: job for job in jobs if job.state is not State.PENDING}

    def draw_outcome(self, job: Job, billed: Billed, data: st.DataObject) -> Outcome:
        events = [
            event
            for state, event in TRANSITIONS
            if state is job.state
            and event not in {Event.SUBMIT_STARTED, Event.REQUEUED, Event.MISSED}
        ]
        event = data.draw(st.sampled_from(events))
        if event is Event.REOPENED:
            return replace(self.table.outcome(Event.ACCEPTED), event=event)
        if event in {Event.RETRY, Event.GAVE_UP, Event.CANCELLED}:
            return ended(event, billed)
        return self.table.outcome(event)

    def is_contradiction(self, job: Job, event: Event) -> bool:
        return event is Event.PROVEN_ABSENT and self.bought[job.id, job.attempt].paid

    def owed_nothing(self, job: Job) -> bool:
        return self.bought[job.id, job.attempt].free

    def remember(self, job: Job, outcome: Outcome) -> None:
        if job.state not in AT_FAL:
            return
        bought = self.bought[job.id, job.attempt]
        said = outcome.failure.billed if outcome.failure is not None else None
        seen = outcome.event in {Event.GENERATED, Event.FETCHED}
        never = outcome.event in {Event.NOT_ACCEPTED, Event.PROVEN_ABSENT}
        bought.paid |= seen or said is Billed.YES
        if not bought.paid and (never or said is Billed.NO):
            bought.free = True

    # What must hold after each step

    @invariant()
    def no_run_passes_its_limit(self) -> None:
        Budget.steps += 1
        for run_id, cap in getattr(self, "caps", {}).items():
            assert cap is None or self.of_run(run_id) <= cap

    @invariant()
    def no_day_passes_its_limit(self) -> None:
        bought = getattr(self, "bought", {}).values()
        for local_date in {each.local_date for each in bought}:
            assert self.total(b for b in bought if b.local_date == local_date) <= self.usd

    @invariant()
    def the_table_says_the_same(self) -> None:
        if hasattr(self, "table"):
            money = self.table.store.views.money()
            known = money.spent + money.reserved + money.uncertain
            assert known == self.total(iter(self.bought.values()))


def test_no_limit_is_passed_whatever_happens() -> None:
    long = "TWEENBATCH_BUDGET_STEPS" in os.environ
    Budget.steps = 0
    with local_zone(ZONE):
        run_state_machine_as_test(
            Budget,
            settings=settings(
                max_examples=-(-STEPS // STEPS_OF_A_WALK),
                stateful_step_count=STEPS_OF_A_WALK,
                derandomize=not long,
                # A failing walk is told as it was: shrinking one takes minutes.
                phases=(Phase.generate,),
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert Budget.steps >= min(STEPS, 500)


def test_the_runs_of_a_night_share_the_limit_of_a_run(table: Table) -> None:
    table.load(*(row(number) for number in range(2, 7)))
    tonight = Night(job="nightly", date=NOON.date())

    def begin_in(night: Night) -> None:
        run_id = table.store.runs.begin(
            host="here", pid=2, version="1", now=NOON, max_cost_usd=2 * PRICE, night=night
        )
        started = replace(table, run_id=run_id)
        started.begin(started.claim_one())

    begin_in(tonight)
    begin_in(tonight)
    with pytest.raises(BudgetReached):
        begin_in(tonight)
    begin_in(replace(tonight, date=NOON.date() + DAY))
    begin_in(replace(tonight, job="weekly"))


def test_what_a_night_did_not_pay_after_all_is_left_to_it(table: Table) -> None:
    table.load(row(2), row(3))
    tonight = Night(job="nightly", date=NOON.date())
    for _ in range(2):
        run_id = table.store.runs.begin(
            host="here", pid=2, version="1", now=NOON, max_cost_usd=PRICE, night=tonight
        )
        started = replace(table, run_id=run_id)
        refused = started.walk(Event.SUBMIT_STARTED, Event.NOT_ACCEPTED)
        assert refused.state is State.PENDING
