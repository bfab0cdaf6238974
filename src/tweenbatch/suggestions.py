"""Suggest the known names that an unknown one was probably meant to be."""

import difflib
from collections.abc import Iterable, Sequence


def similar(name: str, known: Iterable[str], *, most: int = 3, likeness: float = 0.6) -> list[str]:
    """Return at most ``most`` similar names, the most similar first.

    ``likeness`` is between 0, for any name, and 1, for the name itself. Two swapped letters
    (``modle``) are always similar, although they score low.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=most, cutoff=likeness)
    swapped = [other for other in known if _is_swapped(name, other)]
    return list(dict.fromkeys((*near, *swapped)))[:most]


def did_you_mean(names: Sequence[str]) -> str:
    """Return ``; did you mean a or b?``, or nothing if there is no name to suggest."""
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _is_swapped(name: str, other: str) -> bool:
    """Tell whether the names differ only in two adjacent letters, which are swapped."""
    wrong = [index for index, pair in enumerate(zip(name, other, strict=False)) if len({*pair}) > 1]
    if len(name) != len(other) or len(wrong) != 2:  # noqa: PLR2004 - a pair
        return False
    first, second = wrong
    return second == first + 1 and name[first : second + 1] == other[second] + other[first]
