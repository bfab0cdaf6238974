"""Find out whether any of up to millions of numbers is repeated."""

from array import array

FEW = 20_000
"""Up to this many numbers, a set is faster than importing numpy."""


def any_repeated(numbers: "array[int]") -> bool:
    """Return whether any two of the numbers are equal."""
    if len(numbers) <= FEW:
        return len(set(numbers)) < len(numbers)
    import numpy as np

    ordered = np.sort(np.frombuffer(numbers, numbers.typecode))
    return bool((ordered[1:] == ordered[:-1]).any())
