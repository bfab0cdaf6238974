"""One bad answer at a result is one witness: what a second one is, and what it proves."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.fal.errors import UNTYPED
from tweenbatch.records import Billed, Failure, PastRequest
from tweenbatch.stages import policy
from tweenbatch.stages.result_evidence import (
    GIVEN_UP_AFTER,
    LASTING,
    LEAST_READS,
    REPEATED,
    ResultTrouble,
    given_up,
    proven_failure,
)
from tweenbatch.states import Event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPES = [UNTYPED, "internal_error", "content_policy_violation", "file_download_error", "new_thing"]

failures = st.builds(
    Failure,
    type=st.sampled_from(TYPES),
    message=st.just("words"),
    http_status=st.sampled_from([400, 413, 422, 451, 499, 500, 502, 503, 504]),
    retryable=st.none() | st.booleans(),
)


def listed(status: int | None, output: object = None) -> PastRequest:
    return PastRequest(
        request_id="r", sent_at=NOON, ended_at=NOON, http_status=status, input=None, output=output
    )


def read(failure: Failure, *, times: int, seconds: float) -> tuple[ResultTrouble, float]:
    trouble = ResultTrouble()
    for n in range(times):
        trouble.seen(failure, now=100.0 + seconds * n / max(1, times - 1))
    return trouble, 100.0 + seconds


@given(failures, st.integers(1, 50), st.floats(0, 119))
def test_within_two_minutes_no_answer_proves_anything_by_itself(
    failure: Failure, times: int, seconds: float
) -> None:
    trouble, now = read(failure, times=times, seconds=seconds)
    assert proven_failure(trouble, announced=None, listed=None, now=now) is None
    assert proven_failure(trouble, announced=None, listed=listed(None), now=now) is None


@given(failures, st.integers(1, 50), st.floats(0, 719))
def test_nothing_is_paid_for_again_within_twelve_minutes_of_one_answer(
    failure: Failure, times: int, seconds: float
) -> None:
    trouble, now = read(failure, times=times, seconds=seconds)
    proven = proven_failure(trouble, announced=None, listed=None, now=now)
    assert proven is None or not policy.is_transient(proven)


@given(failures, st.integers(1, 50), st.floats(0, 1e6), st.none() | failures)
def test_a_list_that_knows_of_no_error_outweighs_everything(
    failure: Failure, times: int, seconds: float, announced: Failure | None
) -> None:
    trouble, now = read(failure, times=times, seconds=seconds)
    row = listed(200)
    assert proven_failure(trouble, announced=announced, listed=row, now=now) is None


@given(failures, failures, st.floats(0, 1e6))
def test_answers_that_change_prove_nothing(one: Failure, other: Failure, seconds: float) -> None:
    trouble = ResultTrouble()
    for n in range(20):
        changing = (one, other)[n % 2]
        trouble.seen(changing, now=seconds * n)
    alike = (one.type, one.http_status) == (other.type, other.http_status)
    proven = proven_failure(trouble, announced=None, listed=None, now=seconds * 20)
    assert alike or proven is None


@given(failures)
def test_an_untyped_answer_of_the_service_is_never_proof_by_itself(failure: Failure) -> None:
    trouble, now = read(failure, times=1000, seconds=1e6)
    proven = proven_failure(trouble, announced=None, listed=None, now=now)
    untyped = failure.type == UNTYPED and (failure.http_status or 0) >= 500
    assert (proven is None) is untyped


def test_a_lasting_answer_of_the_service_counts_as_perhaps_paid() -> None:
    failure = Failure(type="internal_error", message="", http_status=500, billed=Billed.NO)
    trouble, now = read(failure, times=LEAST_READS, seconds=LASTING.total_seconds())
    proven = proven_failure(trouble, announced=None, listed=None, now=now)
    assert proven is not None
    assert proven.billed is Billed.UNKNOWN


@pytest.mark.parametrize(
    ("read_status", "listed_status", "again", "billed"),
    [
        (500, 500, True, Billed.NO),
        (502, 504, True, Billed.NO),
        (500, 422, False, Billed.UNKNOWN),
        (422, 500, False, Billed.UNKNOWN),
        (422, 422, False, Billed.UNKNOWN),
    ],
)
def test_the_list_confirms_and_corrects(
    read_status: int, listed_status: int, *, again: bool, billed: Billed
) -> None:
    failure = Failure(type=UNTYPED, message="", http_status=read_status)
    trouble, now = read(failure, times=1, seconds=0)
    proven = proven_failure(trouble, announced=None, listed=listed(listed_status), now=now)
    assert proven is not None
    assert (policy.is_transient(proven), proven.billed) == (again, billed)


def test_a_status_with_an_error_names_what_an_untyped_result_does_not() -> None:
    trouble, now = read(Failure(type=UNTYPED, message="x", http_status=502), times=1, seconds=0)
    announced = Failure(type="runner_crashed", message="It broke.", billed=Billed.NO)
    proven = proven_failure(trouble, announced=announced, listed=None, now=now)
    assert proven is not None
    assert (proven.type, proven.message, proven.http_status) == ("runner_crashed", "It broke.", 502)


def test_a_good_answer_without_a_clip_needs_a_second_proof_too() -> None:
    failure = Failure(type="paid_unreadable", message="", retryable=False, billed=Billed.YES)
    once, now = read(failure, times=1, seconds=0)
    assert proven_failure(once, announced=None, listed=None, now=now) is None
    assert proven_failure(once, announced=None, listed=listed(200, {}), now=now) is failure
    often, now = read(failure, times=LEAST_READS, seconds=REPEATED.total_seconds())
    assert proven_failure(often, announced=None, listed=None, now=now) is failure


@pytest.mark.parametrize(
    ("row", "kind", "billed"),
    [
        (None, "result_unreadable", Billed.UNKNOWN),
        (listed(200), "paid_but_lost", Billed.YES),
    ],
)
def test_after_a_day_an_unreadable_result_is_given_up_and_not_bought_again(
    row: PastRequest | None, kind: str, billed: Billed
) -> None:
    trouble, _ = read(Failure(type=UNTYPED, message="x", http_status=502), times=9, seconds=999)
    day = NOON + GIVEN_UP_AFTER
    early = day - timedelta(seconds=1)
    assert given_up(trouble, listed=row, accepted_at=NOON, now=early) is None
    ended = given_up(trouble, listed=row, accepted_at=NOON, now=day)
    assert ended is not None
    assert ended.failure is not None
    assert (ended.event, ended.failure.type, ended.failure.billed) == (Event.GAVE_UP, kind, billed)
