from math import inf

import pytest

from tweenbatch.records import Phase
from tweenbatch.runner.throttle.adaptive_limit import PATIENCE_SECONDS, AdaptiveLimit


def fill(window: AdaptiveLimit, *, now: float) -> None:
    """Submit as many as the window lets, one after the other."""
    first = len(numbers(window)) + 1
    for number in range(first, window.width + 1):
        window.accepted(number, at=now + number / 1000, now=now + number / 1000)


def numbers(window: AdaptiveLimit) -> list[int]:
    return [number for number in range(1, 200) if window.knows(number)]


def scouted(window: AdaptiveLimit, *, slots: int, now: float) -> None:
    """Let fal, which runs so many at once, answer the looks at all requests."""
    for place, number in enumerate(numbers(window)):
        phase = Phase.RUNNING if place < slots else Phase.QUEUED
        window.looked(number, phase, now=now)


def grown(slots: int, *, most: int = 48) -> AdaptiveLimit:
    window, now = AdaptiveLimit(most=most), 0.0
    for _ in range(10):
        fill(window, now=now)
        now += PATIENCE_SECONDS + 1.0
        scouted(window, slots=slots, now=now)
    return window


def test_the_window_begins_small_and_doubles_while_none_waits() -> None:
    window = AdaptiveLimit(most=48)
    widths = [window.width]
    for _ in range(3):
        fill(window, now=float(len(widths)))
        assert window.probe is not None
        window.looked(window.probe, Phase.RUNNING, now=len(widths) + 0.5)
        widths.append(window.width)
    assert widths[0] <= 8
    assert widths == sorted(set(widths))
    assert widths[-1] >= 3 * widths[0]


def test_those_that_were_accepted_at_one_instant_count_as_well() -> None:
    window = AdaptiveLimit(most=48)
    for number in range(1, window.width + 1):
        window.accepted(number, at=0.0, now=0.0)
    assert window.probe is not None
    window.looked(window.probe, Phase.RUNNING, now=0.1)
    assert window.width > 8


def test_it_never_passes_what_may_be_in_flight() -> None:
    assert grown(1000, most=20).width == 20
    assert AdaptiveLimit(most=3).width == 3


def test_it_settles_a_short_queue_above_the_limit() -> None:
    for slots in (2, 10, 30):
        assert slots < grown(slots).width <= slots + max(2, slots // 4)


def test_a_request_that_waits_a_moment_only_is_no_limit() -> None:
    window = AdaptiveLimit(most=48)
    fill(window, now=0.0)
    window.looked(1, Phase.RUNNING, now=0.1)
    for number in range(2, 9):
        window.looked(number, Phase.QUEUED, now=0.5)
    assert window.width == 8


def follow_scouts(window: AdaptiveLimit, *, slots: int, now: float) -> int:
    """Let fal answer the looks at whoever is the scout; return how many there were."""
    looks = 0
    while window.probe is not None:
        place = numbers(window).index(window.probe)
        phase = Phase.RUNNING if place < slots else Phase.QUEUED
        window.looked(window.probe, phase, now=now)
        fill(window, now=now)
        now += 1.0
        looks += 1
    return looks


@pytest.mark.parametrize("slots", [*range(1, 48, 5), 40, 47])
def test_a_few_scouts_find_the_limit_to_the_number(slots: int) -> None:
    window = AdaptiveLimit(most=48)
    fill(window, now=0.0)
    window.looked(1, Phase.RUNNING, now=0.01)
    assert follow_scouts(window, slots=slots, now=0.02) <= 20
    waiting = [number for number in numbers(window) if window.slot_available_since(number) == inf]
    assert waiting == [number for number in numbers(window) if number > slots]


def test_who_waits_much_longer_than_others_did_waits_for_a_slot() -> None:
    window = AdaptiveLimit(most=48)
    fill(window, now=0.0)
    for _ in range(3):
        assert window.probe is not None
        window.looked(window.probe, Phase.RUNNING, now=0.05)
        fill(window, now=0.05)
    assert window.probe is not None
    window.looked(window.probe, Phase.QUEUED, now=0.2)
    assert max(window.slot_available_since(number) for number in numbers(window)) < inf
    window.looked(window.probe, Phase.QUEUED, now=0.5)
    assert max(window.slot_available_since(number) for number in numbers(window)) == inf


def test_it_narrows_on_trouble_and_does_not_soon_try_again_what_was_too_many() -> None:
    window = AdaptiveLimit(most=48)
    fill(window, now=0.0)
    window.narrow(now=10.0, too_many=True)
    assert window.width == 4
    for number in range(1, 9):
        window.ended(number, now=10.0)
    widest = 0
    for now in range(11, 60):
        for number in range(1, window.width + 1):
            window.accepted(number, at=float(now), now=float(now))
            window.looked(number, Phase.RUNNING, now=now + 0.5)
            widest = max(widest, window.width)
        for number in range(1, window.width + 1):
            window.ended(number, now=now + 0.5)
    assert widest == 8


def test_it_recovers_from_trouble_as_requests_are_seen_at_work() -> None:
    window = grown(1000)
    window.narrow(now=100.0, too_many=False)
    scouted(window, slots=1000, now=101.0)
    assert window.width == 48


def test_who_waits_has_its_turn_when_one_before_it_ended_and_not_when_that_was_seen() -> None:
    window = grown(4)
    waiting = [number for number in numbers(window) if window.slot_available_since(number) == inf]
    assert waiting == [5, 6, 7, 8]
    began = window.slot_available_since(1)
    window.looked(1, Phase.RUNNING, now=49.0)
    window.looked(1, Phase.COMPLETED, now=60.0, at_work=50.0)
    window.ended(1, now=60.5)
    assert window.slot_available_since(5) == began + 50.0
    assert window.slot_available_since(6) == inf


@pytest.mark.parametrize(
    ("at_work", "ended"),
    [
        pytest.param(None, 60.0, id="not told"),
        pytest.param(10.0, 49.0, id="less than was seen"),
        pytest.param(900.0, 60.0, id="more than has passed"),
    ],
)
def test_what_fal_says_of_its_work_is_believed_between_two_looks(
    at_work: float | None, ended: float
) -> None:
    window = grown(4)
    window.looked(1, Phase.RUNNING, now=49.0)
    window.looked(1, Phase.COMPLETED, now=60.0, at_work=at_work)
    window.ended(1, now=60.5)
    assert window.slot_available_since(5) == ended


def test_the_next_has_its_turn_also_where_one_before_it_ended_unseen() -> None:
    window = grown(4)
    window.ended(2, now=70.0)
    assert window.slot_available_since(5) == 70.0


def test_one_that_is_at_work_before_its_turn_may_have_begun_at_once() -> None:
    window = grown(4)
    window.looked(6, Phase.RUNNING, now=49.0)
    assert window.slot_available_since(6) < 49.0
    assert window.slot_available_since(5) == inf


def test_of_a_wider_limit_more_have_their_turn_at_once() -> None:
    window = grown(4)
    for now in range(100, 130):
        for number in numbers(window):
            window.ended(number, now=now)
        fill(window, now=now)
        if window.probe is not None:
            window.looked(window.probe, Phase.RUNNING, now=now + 0.5)
    turns = [window.slot_available_since(number) for number in numbers(window)]
    assert len(turns) > 8
    assert max(turns[:8]) < inf


def test_nobody_waits_for_others_where_the_limit_is_not_known() -> None:
    window = AdaptiveLimit(most=48)
    fill(window, now=0.0)
    assert all(0.0 < window.slot_available_since(number) < 1.0 for number in numbers(window))
    assert window.slot_available_since(1000) == -inf
    window = grown(4)
    window.narrow(now=50.0, too_many=False)
    window.ended(1, now=51.0)
    assert max(window.slot_available_since(number) for number in numbers(window)) == 51.0


def test_a_number_that_was_asked_for_is_kept_whatever_is_seen() -> None:
    window = AdaptiveLimit(most=48, fixed=7)
    fill(window, now=0.0)
    scouted(window, slots=2, now=10.0)
    window.narrow(now=10.0, too_many=True)
    assert (window.width, window.widest, window.probe) == (7, 7, None)
