"""The same failure on several rows in a row is a class of failures, not bad luck."""

from dataclasses import replace

from support.jobs import job
from tweenbatch.records import Failure, Outcome
from tweenbatch.runner.throttle.failure_streak import FailureStreak
from tweenbatch.states import Event, State

BROKEN = Outcome(
    event=Event.GAVE_UP,
    failure=Failure(type="image_load_error", message="No such image.", http_status=422),
)


def given_up(streak: FailureStreak, *ids: int, outcome: Outcome = BROKEN) -> None:
    for number in ids:
        streak.record_failure(outcome, job(number, state=State.SUBMITTED))


def test_so_many_rows_in_a_row_stop_the_run_with_the_words_of_the_last() -> None:
    streak = FailureStreak(3)
    given_up(streak, 1, 2)
    assert streak.stop is None
    given_up(streak, 3)
    assert streak.stop == (
        "3 consecutive rows failed with the same error (image_load_error: No such image.)"
    )


def test_a_clip_in_between_restarts_the_count() -> None:
    streak = FailureStreak(2)
    given_up(streak, 1)
    streak.reset()
    given_up(streak, 2)
    assert streak.stop is None


def test_another_failure_in_between_restarts_the_count() -> None:
    streak = FailureStreak(2)
    given_up(streak, 1)
    other = Outcome(event=Event.GAVE_UP, failure=Failure(type="missing", message=""))
    given_up(streak, 2, outcome=other)
    given_up(streak, 3)
    assert streak.stop is None


def test_one_row_that_fails_again_and_again_is_one_row() -> None:
    streak = FailureStreak(2)
    given_up(streak, 1, 1, 1)
    assert streak.stop is None


def test_refusals_by_a_moderator_stop_only_their_rows() -> None:
    streak = FailureStreak(2)
    refusal = Failure(type="content_policy_violation", message="No.", http_status=422)
    given_up(streak, 1, 2, 3, outcome=Outcome(event=Event.GAVE_UP, failure=refusal))
    assert streak.stop is None


def test_failures_that_are_tried_again_and_rows_never_bought_are_not_counted() -> None:
    streak = FailureStreak(1)
    given_up(streak, 1, outcome=replace(BROKEN, event=Event.RETRY))
    streak.record_failure(BROKEN, job(2, state=State.PENDING))
    assert streak.stop is None


def test_without_a_limit_the_run_keeps_going() -> None:
    streak = FailureStreak(None)
    given_up(streak, *range(1, 100))
    assert streak.stop is None


def test_work_that_breaks_off_is_counted_until_a_clip_comes_home() -> None:
    streak = FailureStreak(2)
    assert streak.record_crash(job(1), RuntimeError("no symbol")) is None
    assert streak.record_crash(job(1), RuntimeError("no symbol")) is None, "one row is one row"
    assert streak.is_close_to_limit
    streak.reset()
    assert streak.record_crash(job(2), RuntimeError("no symbol")) is None
    stop = streak.record_crash(job(3), ValueError("no codec"))
    assert stop == "2 consecutive rows crashed, the last with ValueError: no codec"


def test_whoever_keeps_going_is_stopped_by_no_work_that_breaks_off() -> None:
    streak = FailureStreak(None)
    assert all(streak.record_crash(job(each), RuntimeError()) is None for each in range(9))
