from math import inf

import pytest

from tweenbatch.records import Phase
from tweenbatch.runner.throttle.adaptive_limit import PATIENCE_SECONDS, AdaptiveLimit


def fill(limit: AdaptiveLimit, *, now: float) -> None:
    """Submit as many as the limit allows, one after the other."""
    first = len(numbers(limit)) + 1
    for number in range(first, limit.width + 1):
        limit.accepted(number, at=now + number / 1000, now=now + number / 1000)


def numbers(limit: AdaptiveLimit) -> list[int]:
    return [number for number in range(1, 200) if limit.is_at_fal(number)]


def polled_all(limit: AdaptiveLimit, *, slots: int, now: float) -> None:
    """Poll every request at a fal that runs ``slots`` at a time."""
    for position, number in enumerate(numbers(limit)):
        phase = Phase.RUNNING if position < slots else Phase.QUEUED
        limit.polled(number, phase, now=now)


def grown(slots: int, *, most: int = 48) -> AdaptiveLimit:
    limit, now = AdaptiveLimit(most=most), 0.0
    for _ in range(10):
        fill(limit, now=now)
        now += PATIENCE_SECONDS + 1.0
        polled_all(limit, slots=slots, now=now)
    return limit


def test_the_limit_starts_small_and_doubles_while_no_request_waits() -> None:
    limit = AdaptiveLimit(most=48)
    widths = [limit.width]
    for _ in range(3):
        fill(limit, now=float(len(widths)))
        assert limit.probe is not None
        limit.polled(limit.probe, Phase.RUNNING, now=len(widths) + 0.5)
        widths.append(limit.width)
    assert widths[0] <= 8
    assert widths == sorted(set(widths))
    assert widths[-1] >= 3 * widths[0]


def test_requests_accepted_at_the_same_instant_all_count() -> None:
    limit = AdaptiveLimit(most=48)
    for number in range(1, limit.width + 1):
        limit.accepted(number, at=0.0, now=0.0)
    assert limit.probe is not None
    limit.polled(limit.probe, Phase.RUNNING, now=0.1)
    assert limit.width > 8


def test_it_never_passes_max_in_flight() -> None:
    assert grown(1000, most=20).width == 20
    assert AdaptiveLimit(most=3).width == 3


def test_it_settles_slightly_above_the_account_s_limit() -> None:
    for slots in (2, 10, 30):
        assert slots < grown(slots).width <= slots + max(2, slots // 4)


def test_a_request_that_waits_only_a_moment_does_not_set_the_limit() -> None:
    limit = AdaptiveLimit(most=48)
    fill(limit, now=0.0)
    limit.polled(1, Phase.RUNNING, now=0.1)
    for number in range(2, 9):
        limit.polled(number, Phase.QUEUED, now=0.5)
    assert limit.width == 8


def follow_probes(limit: AdaptiveLimit, *, slots: int, now: float) -> int:
    """Poll the probes, one after the other; return how many polls there were."""
    polls = 0
    while limit.probe is not None:
        position = numbers(limit).index(limit.probe)
        phase = Phase.RUNNING if position < slots else Phase.QUEUED
        limit.polled(limit.probe, phase, now=now)
        fill(limit, now=now)
        now += 1.0
        polls += 1
    return polls


@pytest.mark.parametrize("slots", [*range(1, 48, 5), 40, 47])
def test_a_few_probes_find_the_exact_limit(slots: int) -> None:
    limit = AdaptiveLimit(most=48)
    fill(limit, now=0.0)
    limit.polled(1, Phase.RUNNING, now=0.01)
    assert follow_probes(limit, slots=slots, now=0.02) <= 20
    waiting = [number for number in numbers(limit) if limit.slot_available_since(number) == inf]
    assert waiting == [number for number in numbers(limit) if number > slots]


def test_a_request_that_waits_much_longer_than_others_waits_for_a_slot() -> None:
    limit = AdaptiveLimit(most=48)
    fill(limit, now=0.0)
    for _ in range(3):
        assert limit.probe is not None
        limit.polled(limit.probe, Phase.RUNNING, now=0.05)
        fill(limit, now=0.05)
    assert limit.probe is not None
    limit.polled(limit.probe, Phase.QUEUED, now=0.2)
    assert max(limit.slot_available_since(number) for number in numbers(limit)) < inf
    limit.polled(limit.probe, Phase.QUEUED, now=0.5)
    assert max(limit.slot_available_since(number) for number in numbers(limit)) == inf


def test_it_narrows_on_trouble_and_stays_below_a_refused_number_for_a_while() -> None:
    limit = AdaptiveLimit(most=48)
    fill(limit, now=0.0)
    limit.narrow(now=10.0, too_many=True)
    assert limit.width == 4
    for number in range(1, 9):
        limit.ended(number, now=10.0)
    widest = 0
    for now in range(11, 60):
        for number in range(1, limit.width + 1):
            limit.accepted(number, at=float(now), now=float(now))
            limit.polled(number, Phase.RUNNING, now=now + 0.5)
            widest = max(widest, limit.width)
        for number in range(1, limit.width + 1):
            limit.ended(number, now=now + 0.5)
    assert widest == 8


def test_it_grows_again_as_requests_are_seen_running() -> None:
    limit = grown(1000)
    limit.narrow(now=100.0, too_many=False)
    polled_all(limit, slots=1000, now=101.0)
    assert limit.width == 48


def test_a_slot_passes_on_when_its_request_ended_not_when_that_was_seen() -> None:
    limit = grown(4)
    waiting = [number for number in numbers(limit) if limit.slot_available_since(number) == inf]
    assert waiting == [5, 6, 7, 8]
    began = limit.slot_available_since(1)
    limit.polled(1, Phase.RUNNING, now=49.0)
    limit.polled(1, Phase.COMPLETED, now=60.0, at_work=50.0)
    limit.ended(1, now=60.5)
    assert limit.slot_available_since(5) == began + 50.0
    assert limit.slot_available_since(6) == inf


@pytest.mark.parametrize(
    ("at_work", "ended"),
    [
        pytest.param(None, 60.0, id="not stated"),
        pytest.param(10.0, 49.0, id="shorter than observed"),
        pytest.param(900.0, 60.0, id="longer than the request's age"),
    ],
)
def test_fal_s_own_duration_counts_only_between_two_polls(
    at_work: float | None, ended: float
) -> None:
    limit = grown(4)
    limit.polled(1, Phase.RUNNING, now=49.0)
    limit.polled(1, Phase.COMPLETED, now=60.0, at_work=at_work)
    limit.ended(1, now=60.5)
    assert limit.slot_available_since(5) == ended


def test_a_slot_passes_on_from_a_request_whose_end_was_not_polled() -> None:
    limit = grown(4)
    limit.ended(2, now=70.0)
    assert limit.slot_available_since(5) == 70.0


def test_a_request_seen_running_before_it_had_a_slot_may_have_started_at_once() -> None:
    limit = grown(4)
    limit.polled(6, Phase.RUNNING, now=49.0)
    assert limit.slot_available_since(6) < 49.0
    assert limit.slot_available_since(5) == inf


def test_a_wider_limit_gives_more_requests_a_slot_at_once() -> None:
    limit = grown(4)
    for now in range(100, 130):
        for number in numbers(limit):
            limit.ended(number, now=now)
        fill(limit, now=now)
        if limit.probe is not None:
            limit.polled(limit.probe, Phase.RUNNING, now=now + 0.5)
    starts = [limit.slot_available_since(number) for number in numbers(limit)]
    assert len(starts) > 8
    assert max(starts[:8]) < inf


def test_no_request_waits_for_others_while_the_limit_is_unknown() -> None:
    limit = AdaptiveLimit(most=48)
    fill(limit, now=0.0)
    assert all(0.0 < limit.slot_available_since(number) < 1.0 for number in numbers(limit))
    assert limit.slot_available_since(1000) == -inf
    limit = grown(4)
    limit.narrow(now=50.0, too_many=False)
    limit.ended(1, now=51.0)
    assert max(limit.slot_available_since(number) for number in numbers(limit)) == 51.0


def test_a_fixed_limit_never_changes() -> None:
    limit = AdaptiveLimit(most=48, fixed=7)
    fill(limit, now=0.0)
    polled_all(limit, slots=2, now=10.0)
    limit.narrow(now=10.0, too_many=True)
    assert (limit.width, limit.widest, limit.probe) == (7, 7, None)
