"""What a plan reads from the table, and what it makes of that."""

from decimal import Decimal
from pathlib import Path

import pytest

from support.jobtable import PATHS, PRICE, Table, changed, manifest, row
from tweenbatch.models import AS_KNOWN
from tweenbatch.planning import planner as plan
from tweenbatch.records.manifest import Manifest, Row
from tweenbatch.records.plan import Clips, Group, Plan, PlannedRow, RemovedRow
from tweenbatch.states import Event, State

OTHER = "/jobs/other.csv"


def planned(table: Table, *manifests: Manifest, concurrency: int | None = None) -> Plan:
    return plan.make(manifests, table.store, prices=AS_KNOWN, concurrency=concurrency)


def only(table: Table, *rows: Row) -> PlannedRow:
    (found,) = planned(table, manifest(*rows)).listed
    return found


def removed(table: Table, *manifests: Manifest) -> RemovedRow:
    (found,) = planned(table, *manifests).removed.listed
    return found


def test_a_clip_that_several_manifests_paid_for_is_named_with_the_one_that_came_last(
    table: Table,
) -> None:
    table.load(row(2), path="/jobs/one.csv")
    table.put_in(State.SUCCEEDED)
    table.load(row(2), changed(row(2), number=9), path="/jobs/two.csv")
    assert only(table, row(2)).elsewhere == Path("/jobs/two.csv")


def test_a_clip_whose_rows_are_gone_is_there_and_nobody_elses(table: Table) -> None:
    table.load(row(2), path=OTHER)
    table.put_in(State.SUCCEEDED)
    table.load(row(3), path=OTHER)
    made = planned(table, manifest(row(2)))
    assert (made.count(Group.DONE), made.listed) == (1, ())


@pytest.mark.parametrize(
    ("events", "cost"),
    [
        ((), Decimal(0)),
        (PATHS[State.SUBMITTED], Decimal(0)),
        (PATHS[State.UNCERTAIN], PRICE),
        (PATHS[State.SUCCEEDED], PRICE),
        ((*PATHS[State.SUBMITTED], Event.RETRY, *PATHS[State.SUCCEEDED]), 2 * PRICE),
    ],
    ids=["waiting", "at fal", "uncertain", "done", "done at the second attempt"],
)
def test_a_job_costs_what_its_attempts_were_or_may_have_been_billed(
    table: Table, events: tuple[Event, ...], cost: Decimal
) -> None:
    table.load(row(2))
    table.walk(*events)
    made = planned(table, manifest(row(3)))
    assert (made.removed.rows, made.removed.usd) == (1, cost)


def test_the_pace_is_that_of_the_latest_clips_and_of_no_failure(table: Table) -> None:
    table.load(*(row(n) for n in range(2, 7)))
    for seconds in (500, 100, 120):
        job = table.walk(Event.SUBMIT_STARTED, Event.ACCEPTED)
        table.later(seconds)
        table.walk(Event.GENERATED, Event.FETCHED, job=job)
    table.walk(*PATHS[State.FAILED])
    table.walk(*PATHS[State.SUBMITTED])
    took = table.store.views.latest_clips(limit=2)
    assert sorted(each.seconds for each in took) == [100, 120]
    assert {each.endpoint for each in took} == {"kling"}


def test_a_plan_takes_the_time_that_clips_took_lately(table: Table) -> None:
    table.load(row(2))
    job = table.walk(Event.SUBMIT_STARTED, Event.ACCEPTED)
    table.later(118)
    table.walk(Event.GENERATED, Event.FETCHED, job=job)
    now = manifest(*(row(n) for n in range(2, 103)))
    estimate = planned(table, now, concurrency=8).estimate
    assert estimate is not None
    assert (estimate.clips_seen, estimate.clip_seconds) == (1, 118)
    assert estimate.low_seconds == estimate.high_seconds == 118 * 100 / 8


def test_a_plan_without_anything_to_pay_or_without_a_question_takes_no_time(table: Table) -> None:
    table.load(row(2))
    assert planned(table, manifest(row(2))).estimate is None
    table.walk(*PATHS[State.SUCCEEDED])
    assert planned(table, manifest(row(2)), concurrency=8).estimate is None


@pytest.mark.parametrize("state", [State.SUBMITTED, State.READY, State.SUCCEEDED])
def test_a_clip_that_another_manifest_paid_for_is_named_with_it(table: Table, state: State) -> None:
    table.load(row(2), path=OTHER)
    table.put_in(state)
    found = only(table, row(2))
    assert found.elsewhere == Path(OTHER)
    assert found.group in {Group.AT_FAL, Group.DONE}


def test_a_clip_of_ones_own_is_not_elsewhere_whoever_else_asks_for_it(table: Table) -> None:
    table.load(row(2))
    table.put_in(State.SUCCEEDED)
    table.load(row(2), path=OTHER)
    made = planned(table, manifest(row(2)))
    assert (made.here, made.elsewhere) == ({Group.DONE: Clips(clips=1, usd=PRICE)}, {})


def test_a_clip_that_only_waits_elsewhere_is_not_paid_for(table: Table) -> None:
    table.load(row(2), path=OTHER)
    made = planned(table, manifest(row(2)))
    assert (made.here, made.elsewhere) == ({Group.WAITING: Clips(clips=1, usd=PRICE)}, {})


def test_a_clip_that_an_earlier_wording_of_the_row_paid_for_is_there(table: Table) -> None:
    table.load(row(2))
    table.put_in(State.SUCCEEDED)
    table.load(row(2, prompt="edited"))
    made = planned(table, manifest(row(2)))
    assert (made.here, made.listed) == ({Group.DONE: Clips(clips=1, usd=PRICE)}, ())


def test_an_edited_row_is_changed_and_says_why(table: Table) -> None:
    table.load(row(2), row(3))
    found = only(table, row(2), row(3, prompt="edited"))
    assert (found.group, found.reason) == (Group.CHANGED, "prompt changed")
    assert found.was is not None
    assert found.was.number == 3


def test_one_more_take_is_new_and_says_so(table: Table) -> None:
    table.load(row(2))
    found = only(table, row(2), row(2, prompt="prompt 2", take=2))
    assert (found.group, found.reason) == (Group.NEW, "take 2 is new")


def test_the_takes_of_a_new_row_are_simply_new(table: Table) -> None:
    table.load(row(2))
    takes = [row(3, take=take) for take in (1, 2)]
    made = planned(table, manifest(row(2), *takes))
    assert (made.count(Group.NEW), made.listed) == (2, ())


def test_a_failed_row_says_of_what(table: Table) -> None:
    table.load(row(2))
    table.put_in(State.FAILED)
    found = only(table, row(2))
    assert (found.group, found.reason) == (Group.FAILED, "failed before (broken)")


def test_a_removed_row_that_waits_is_withdrawn_and_has_cost_nothing(table: Table) -> None:
    table.load(row(2), row(3))
    gone = removed(table, manifest(row(2)))
    assert (gone.earlier.number, gone.cost_usd, gone.withdrawn) == (3, Decimal(0), True)


def test_a_removed_row_is_shown_with_what_it_had_cost(table: Table) -> None:
    table.load(row(2))
    table.put_in(State.SUCCEEDED)
    table.load(row(2), row(3))
    made = planned(table, manifest(row(3)))
    assert [(gone.cost_usd, gone.withdrawn) for gone in made.removed.listed] == [(PRICE, False)]
    assert made.removed.usd == PRICE


def test_a_removed_row_that_another_manifest_asks_for_still_waits(table: Table) -> None:
    table.load(row(2), row(3))
    table.load(row(3), path=OTHER)
    assert not removed(table, manifest(row(2))).withdrawn


def test_a_row_that_all_its_manifests_drop_at_once_is_withdrawn(table: Table) -> None:
    table.load(row(2), row(3))
    table.load(row(4), row(3), path=OTHER)
    made = planned(table, manifest(row(2)), manifest(row(4), path=OTHER))
    assert [gone.withdrawn for gone in made.removed.listed] == [True, True]


def test_a_row_that_moves_to_another_file_still_waits(table: Table) -> None:
    table.load(row(2), row(3))
    table.load(row(4), path=OTHER)
    made = planned(table, manifest(row(2)), manifest(row(4), row(3), path=OTHER))
    assert [gone.withdrawn for gone in made.removed.listed] == [False]


def test_what_a_plan_says_of_removed_rows_is_what_an_import_does(table: Table) -> None:
    table.load(row(2), row(3), row(4))
    table.load(row(4), path=OTHER)
    table.put_in(State.SUCCEEDED)
    made = planned(table, manifest(row(2)))
    assert made.removed.withdrawn == table.load(row(2)).withdrawn == 1
