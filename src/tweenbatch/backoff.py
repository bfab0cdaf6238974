"""Exponential pauses between tries, bounded everywhere."""

import random

_MOST_DOUBLINGS = 32
"""A float has no room for 2 to the power of 1,024."""


def exponential(n: int, *, base: float, cap: float) -> float:
    """Return the pause in seconds after the n-th failure (from 0): doubled each time, up to cap."""
    return min(cap, base * 2.0 ** min(n, _MOST_DOUBLINGS))


def jittered(n: int, *, base: float, cap: float, rng: random.Random) -> float:
    """Return the same pause, shortened by up to a half at random."""
    return exponential(n, base=base, cap=cap) * rng.uniform(0.5, 1.0)
