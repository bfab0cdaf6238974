import random

from tweenbatch.runner.throttle.gate import PAUSE_CAP_SECONDS, SubmissionGate


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def lane() -> tuple[SubmissionGate, Hands]:
    hands = Hands()
    return SubmissionGate(monotonic=hands, rng=random.Random(7)), hands


def test_an_open_lane_has_room_for_everything() -> None:
    way, _ = lane()
    assert way.room() is None


def test_trouble_pauses_and_then_lets_one_probe_through() -> None:
    way, hands = lane()
    way.trouble("connection refused")
    assert way.room() == 0
    hands.at += way.wait_seconds() or 0.0
    assert way.room() == 1
    way.started()
    assert way.room() == 0
    way.got_through()
    assert way.room() is None


def test_a_probe_that_fails_pauses_longer() -> None:
    way, hands = lane()
    way.trouble("connection refused")
    first = way.wait_seconds() or 0.0
    hands.at += first
    way.started()
    way.trouble("connection refused")
    assert (way.wait_seconds() or 0.0) > first
    for _ in range(50):
        hands.at += way.wait_seconds() or 0.0
        way.trouble("connection refused")
    assert (way.wait_seconds() or 0.0) <= PAUSE_CAP_SECONDS


def test_a_probe_that_told_nothing_makes_way_for_another() -> None:
    way, hands = lane()
    way.trouble("connection refused")
    hands.at += way.wait_seconds() or 0.0
    way.started()
    way.abandoned()
    assert way.room() == 1


def test_the_pause_that_fal_asks_for_is_kept() -> None:
    way, _ = lane()
    way.trouble("rate limit", retry_after_seconds=300.0)
    assert way.wait_seconds() == 300.0


def test_a_closed_lane_stays_closed_with_its_first_reason() -> None:
    way, _ = lane()
    way.close("User is locked")
    way.close("something else")
    way.got_through()
    assert way.room() == 0
    assert way.closed == "User is locked"


def test_what_was_in_the_air_when_a_pause_began_does_not_lengthen_it() -> None:
    way, _ = lane()
    way.trouble("connection reset")
    pause = way.wait_seconds()
    for _ in range(40):
        way.trouble("connection reset")
    assert way.wait_seconds() == pause
    way.trouble("rate limit", retry_after_seconds=300.0)
    assert way.wait_seconds() == 300.0


def test_fal_is_silent_only_where_no_look_at_all_is_answered() -> None:
    way, hands = lane()
    began = hands()
    assert way.is_silent(since=began)
    hands.at += 1.0
    way.read_through()
    assert not way.is_silent(since=began)
    hands.at += 1.0
    assert way.is_silent(since=hands())


def test_a_held_lane_lets_no_probe_through_before_somebody_lets_go() -> None:
    way, hands = lane()
    way.held = "results can't be read"
    way.trouble("connection refused")
    hands.at += 10 * PAUSE_CAP_SECONDS
    assert (way.wait_seconds(), way.room()) == (None, 0)
    way.held = None
    assert way.room() == 1
