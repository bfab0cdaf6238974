import random

from tweenbatch.runner.throttle.gate import PAUSE_CAP_SECONDS, SubmissionGate


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def open_gate() -> tuple[SubmissionGate, Hands]:
    hands = Hands()
    return SubmissionGate(monotonic=hands, rng=random.Random(7)), hands


def test_an_open_gate_sets_no_limit() -> None:
    gate, _ = open_gate()
    assert gate.allowance() is None


def test_a_pause_is_followed_by_one_probe() -> None:
    gate, hands = open_gate()
    gate.pause("connection refused")
    assert gate.allowance() == 0
    hands.at += gate.wait_seconds() or 0.0
    assert gate.allowance() == 1
    gate.started()
    assert gate.allowance() == 0
    gate.got_through()
    assert gate.allowance() is None


def test_a_probe_that_fails_pauses_longer() -> None:
    gate, hands = open_gate()
    gate.pause("connection refused")
    first = gate.wait_seconds() or 0.0
    hands.at += first
    gate.started()
    gate.pause("connection refused")
    assert (gate.wait_seconds() or 0.0) > first
    for _ in range(50):
        hands.at += gate.wait_seconds() or 0.0
        gate.pause("connection refused")
    assert (gate.wait_seconds() or 0.0) <= PAUSE_CAP_SECONDS


def test_a_probe_without_a_result_is_followed_by_another() -> None:
    gate, hands = open_gate()
    gate.pause("connection refused")
    hands.at += gate.wait_seconds() or 0.0
    gate.started()
    gate.abandoned()
    assert gate.allowance() == 1


def test_fal_s_retry_after_is_respected() -> None:
    gate, _ = open_gate()
    gate.pause("rate limit", retry_after_seconds=300.0)
    assert gate.wait_seconds() == 300.0


def test_a_closed_gate_stays_closed_with_its_first_reason() -> None:
    gate, _ = open_gate()
    gate.close("User is locked")
    gate.close("something else")
    gate.got_through()
    assert gate.allowance() == 0
    assert gate.closed == "User is locked"


def test_submissions_in_progress_when_a_pause_began_do_not_lengthen_it() -> None:
    gate, _ = open_gate()
    gate.pause("connection reset")
    pause = gate.wait_seconds()
    for _ in range(40):
        gate.pause("connection reset")
    assert gate.wait_seconds() == pause
    gate.pause("rate limit", retry_after_seconds=300.0)
    assert gate.wait_seconds() == 300.0


def test_fal_is_silent_only_if_no_poll_is_answered() -> None:
    gate, hands = open_gate()
    began = hands()
    assert gate.is_silent(since=began)
    hands.at += 1.0
    gate.poll_answered()
    assert not gate.is_silent(since=began)
    hands.at += 1.0
    assert gate.is_silent(since=hands())


def test_a_held_gate_sends_no_probe_until_it_is_released() -> None:
    gate, hands = open_gate()
    gate.held = "results can't be read"
    gate.pause("connection refused")
    hands.at += 10 * PAUSE_CAP_SECONDS
    assert (gate.wait_seconds(), gate.allowance()) == (None, 0)
    gate.held = None
    assert gate.allowance() == 1
