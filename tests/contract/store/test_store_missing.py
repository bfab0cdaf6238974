"""Clips that are paid for and not here: fetched once more, as if nothing had happened."""

from dataclasses import replace
from pathlib import Path

import pytest

from support.jobtable import CLIP, PATHS, Table, row
from tweenbatch.errors import LeaseLost
from tweenbatch.records import Outcome
from tweenbatch.states import Event, ImpossibleTransition, State


@pytest.fixture
def done(table: Table) -> Table:
    table.load(row())
    table.put_in(State.SUCCEEDED)
    return table


def test_a_clip_that_is_missed_and_comes_again_changes_nothing_but_its_place(done: Table) -> None:
    [before] = done.store.views.export()
    clips, money = list(done.store.views.kept_clips()), done.store.views.money()
    done.later(30 * 86_400)
    assert done.store.jobs.miss([1], now=done.now) == {1}
    job = done.claim_one(State.READY)
    assert job.kept == clips[0]
    elsewhere = replace(CLIP, path=Path("/videos/other.mp4"))
    again = Outcome(event=Event.FETCHED, artifact=elsewhere)
    done.store.jobs.transition(job, again, run_id=done.run_id, now=done.now)
    [after] = done.store.views.export()
    assert after == before._replace(video_path="/videos/other.mp4")
    assert done.store.views.money() == money
    took = [clip.seconds for clip in done.store.views.latest_clips()]
    assert max(took) < 86_400, "the time until it was missed is no time that fal took"


def test_a_clip_that_fal_has_no_more_leaves_its_job_done_and_says_why(done: Table) -> None:
    [before] = done.store.views.export()
    done.store.jobs.miss([1], now=done.later(60))
    gone = done.outcome(Event.GAVE_UP).failure
    outcome = Outcome(event=Event.UNAVAILABLE, failure=gone)
    done.store.jobs.transition(
        done.claim_one(State.READY), outcome, run_id=done.run_id, now=done.later(60)
    )
    [after] = done.store.views.export()
    assert after == before._replace(error_type="broken", error_message="It broke.")
    assert done.store.jobs.miss([1], now=done.now) == {1}, "it may be asked for again"


def test_only_a_clip_that_came_home_once_can_be_unavailable(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.READY)
    with pytest.raises(ImpossibleTransition, match="was never downloaded"):
        table.step(job, Event.UNAVAILABLE)


def test_a_run_can_t_miss_a_clip_by_itself(done: Table) -> None:
    [job] = done.store.jobs.get([1])
    with pytest.raises(ImpossibleTransition, match="outside a run"):
        done.store.jobs.transition(
            job, Outcome(event=Event.MISSED), run_id=done.run_id, now=done.now
        )


@pytest.mark.parametrize("state", sorted(set(State) - {State.SUCCEEDED}))
def test_nothing_is_missed_that_is_not_paid_for_or_has_not_ended(
    table: Table, state: State
) -> None:
    table.load(row())
    table.put_in(state)
    assert table.store.jobs.miss([1], now=table.now) == set()
    assert table.store.views.counts()[state] == 1


def test_a_lost_clip_is_asked_for_again_without_a_price(table: Table) -> None:
    table.load(row())
    table.walk(*PATHS[State.READY], Event.GAVE_UP)
    money = table.store.views.money()
    assert table.store.jobs.miss([1], now=table.now) == {1}
    job = table.claim_one(State.READY)
    assert (job.attempt, job.kept, job.video is not None) == (1, None, True)
    assert table.store.views.money() == money


def test_since_when_a_clip_can_t_be_fetched_is_remembered_until_it_comes(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.READY)
    first = table.later(60)
    for _ in range(3):
        table.store.jobs.lay_aside(job, now=table.now, not_before=table.now)
        table.later(3600)
        job = table.claim_one(State.READY)
        assert job.unfetched_since == first
    table.step(job, Event.FETCHED)
    table.store.jobs.miss([1], now=table.now)
    assert table.claim_one(State.READY).unfetched_since is None


def test_what_is_not_ours_is_not_laid_aside(table: Table) -> None:
    table.load(row())
    job = table.put_in(State.READY)
    table.store.jobs.lay_aside(job, now=table.now, not_before=table.now)
    with pytest.raises(LeaseLost):
        table.store.jobs.lay_aside(job, now=table.now, not_before=table.now)


def test_clips_are_read_page_by_page_and_those_of_some_jobs_alone(table: Table) -> None:
    table.load(*(row(number) for number in range(2, 8)))
    for _ in range(4):
        table.put_in(State.SUCCEEDED)
    assert [clip.job_id for clip in table.store.views.kept_clips()] == [4, 3, 2, 1]
    assert {clip.job_id for clip in table.store.views.kept_clips([2, 3, 6])} == {2, 3}
