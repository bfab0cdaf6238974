"""Pauses between tries."""

import random

import pytest

from tweenbatch.backoff import exponential, jittered


def test_pauses_double_up_to_a_cap() -> None:
    assert [exponential(n, base=1.0, cap=8.0) for n in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize("n", [1_023, 1_024, 1_025, 10**9])
def test_however_many_failures_there_were_the_pause_is_the_cap(n: int) -> None:
    assert exponential(n, base=30.0, cap=240.0) == 240.0


def test_pauses_are_jittered_only_downwards() -> None:
    rng = random.Random(7)
    for n in range(2_000):
        ceiling = exponential(n, base=1.0, cap=8.0)
        assert ceiling / 2 <= jittered(n, base=1.0, cap=8.0, rng=rng) <= ceiling
