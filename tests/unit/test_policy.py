import random
from datetime import UTC, datetime, timedelta

import pytest

from tweenbatch.records import Failure
from tweenbatch.stages import policy
from tweenbatch.states import Event

NOW = datetime(2026, 3, 1, 4, 15, tzinfo=UTC)


def failure(kind: str, *, http_status: int | None = None, retryable: bool | None = None) -> Failure:
    return Failure(type=kind, message="words", http_status=http_status, retryable=retryable)


@pytest.mark.parametrize("kind", sorted(policy.TRANSIENT | {"runner_disconnected"}))
def test_trouble_of_the_service_is_worth_another_try_unless_fal_says_no(kind: str) -> None:
    assert policy.is_transient(Failure(type=kind, message=""))
    assert policy.is_transient(Failure(type=kind, message="", retryable=True))
    assert not policy.is_transient(Failure(type=kind, message="", retryable=False))


@pytest.mark.parametrize("kind", sorted(policy.PERMANENT))
def test_trouble_of_the_row_is_not_worth_another_try(kind: str) -> None:
    for retryable in (None, True, False):
        assert not policy.is_transient(
            Failure(type=kind, message="", http_status=422, retryable=retryable)
        )


@pytest.mark.parametrize(
    ("status", "retryable", "transient"),
    [(422, None, False), (422, True, False), (500, None, True), (500, False, False),
     (400, None, False), (400, True, True), (None, None, False)],
)  # fmt: skip
def test_an_unknown_type_is_judged_by_its_status(
    status: int | None, *, retryable: bool | None, transient: bool
) -> None:
    failure = Failure(type="new_thing", message="", http_status=status, retryable=retryable)
    assert policy.is_transient(failure) is transient


def test_a_frame_that_fal_could_not_read_is_worth_another_try() -> None:
    assert policy.is_transient(Failure(type="file_download_error", message="", http_status=422))


def test_no_type_is_in_two_tables() -> None:
    assert not policy.TRANSIENT & policy.PERMANENT


def test_a_transient_failure_is_retried_later_and_later_and_then_given_up() -> None:
    rng = random.Random(7)
    outcomes = [
        policy.decide(failure("internal_error"), tries=tries, now=NOW, rng=rng)
        for tries in range(policy.MAX_TRIES)
    ]
    assert [outcome.event for outcome in outcomes] == [Event.RETRY, Event.RETRY, Event.GAVE_UP]
    first, second, _ = (outcome.not_before for outcome in outcomes)
    assert first is not None
    assert second is not None
    assert NOW + timedelta(seconds=10) <= first < second


def test_a_frame_that_fal_could_not_load_gets_one_more_try() -> None:
    rng = random.Random(7)
    events = [
        policy.decide(
            failure("file_download_error", http_status=422), tries=tries, now=NOW, rng=rng
        ).event
        for tries in range(2)
    ]
    assert events == [Event.RETRY, Event.GAVE_UP]


def test_a_permanent_failure_is_given_up_at_once() -> None:
    outcome = policy.decide(
        failure("content_policy_violation", http_status=422),
        tries=0,
        now=NOW,
        rng=random.Random(7),
    )
    assert outcome.event is Event.GAVE_UP
