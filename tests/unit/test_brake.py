"""Several first failures that may be billed hold the others until a second try ends."""

import pytest

from tweenbatch.records import Billed, Failure
from tweenbatch.runner.throttle.brake import Brake

DEAD = Failure(type="file_download_error", message="No such file.", http_status=422)
OTHER = Failure(type="downstream_service_error", message="No.", http_status=400)


def failing(*ids: int, failure: Failure = DEAD, limit: int | None = 3) -> Brake:
    brake = Brake(limit)
    for number in ids:
        brake.failed(number, failure, tries=0)
    return brake


def test_enough_equal_first_failures_let_only_the_first_of_them_go() -> None:
    assert failing(1, 2).probe is None
    brake = failing(1, 2, 3)
    assert brake.probe == 1
    assert brake.reason == (
        "3 consecutive rows failed with the same error (file_download_error: No such file.); "
        "the other rows wait until one second try ends"
    )


def test_a_second_try_that_fails_in_the_same_way_stops_the_run() -> None:
    brake = failing(1, 2, 3)
    brake.second_try_failed(1, DEAD)
    assert brake.probe is None
    assert brake.stop == (
        "3 consecutive rows failed with the same error (file_download_error: No such file.), "
        "and so did a second try"
    )


def test_a_second_try_that_is_to_be_tried_a_third_time_stops_it_too() -> None:
    brake = failing(1, 2, 3)
    brake.failed(1, DEAD, tries=1)
    assert brake.stop is not None


def test_a_second_try_that_fails_otherwise_leaves_it_to_the_next_row() -> None:
    brake = failing(1, 2, 3, 4)
    brake.second_try_failed(1, OTHER)
    assert (brake.probe, brake.stop) == (2, None)
    brake.skip(2)
    assert brake.probe is None, "two are left, too few to hold the others"


def test_a_clip_releases_all_jobs() -> None:
    brake = failing(1, 2, 3)
    brake.release()
    assert (brake.probe, brake.has_suspects) == (None, False)


def test_another_failure_restarts_the_count() -> None:
    brake = failing(1, 2)
    brake.failed(3, OTHER, tries=0)
    brake.failed(4, DEAD, tries=0)
    assert brake.probe is None


@pytest.mark.parametrize(
    "failure",
    [
        Failure(type="generation_timeout", message="", http_status=504),
        Failure(type="internal_error", message="", http_status=500),
        Failure(type="runner_error", message="", http_status=422, billed=Billed.NO),
        Failure(type="content_policy_violation", message="", http_status=422),
    ],
    ids=lambda failure: f"{failure.type}",
)
def test_what_is_not_billed_and_what_blames_a_row_hold_nothing_back(failure: Failure) -> None:
    brake = failing(*range(9), failure=failure)
    assert (brake.probe, brake.has_suspects) == (None, False)


def test_one_row_counts_once_and_without_a_limit_none_does() -> None:
    assert failing(1, 1, 1).probe is None
    assert failing(*range(9), limit=None).probe is None
