"""Whether a number stands twice among up to millions of them."""

from array import array

FEW = 20_000
"""To sort so many takes no longer than to import numpy; a set of them is small."""


def any_repeated(numbers: "array[int]") -> bool:
    """Tell whether two of the numbers are the same."""
    if len(numbers) <= FEW:
        return len(set(numbers)) < len(numbers)
    import numpy as np

    ordered = np.sort(np.frombuffer(numbers, numbers.typecode))
    return bool((ordered[1:] == ordered[:-1]).any())
