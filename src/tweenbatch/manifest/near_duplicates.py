"""Rows that ask for all but the same: same frames, and prompts alike but for their looks.

Twenty bytes are kept for each row and nothing else, so that a million rows may be told apart.
"""

import re
import string
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tweenbatch.errors import Problem
from tweenbatch.frames.warnings import WarningKind
from tweenbatch.records.duplicates import any_repeated
from tweenbatch.records.manifest import ContentColumns

_LETTERS_DROPPED = (string.whitespace + string.punctuation).encode()
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_LOOKS = re.compile(r"[\W_]+")
_HALF = 0xFFFF_FFFF


def bare_words(prompt: str) -> bytes:
    """Return a prompt without what makes no difference: case, spaces and punctuation."""
    if prompt.isascii():  # by far the quicker way
        return prompt.encode("ascii").translate(_LOWER, _LETTERS_DROPPED)
    return _LOOKS.sub("", prompt.casefold()).encode("utf-8", "surrogatepass")


@dataclass(slots=True)
class Repeats:
    """Takes note of rows, and tells at the end which are nearly the same."""

    # Digests of this process: they are never written down.
    _loose: "array[int]" = field(default_factory=lambda: array("q"))
    _exact: "array[int]" = field(default_factory=lambda: array("I"))
    _numbers: "array[int]" = field(default_factory=lambda: array("I"))
    _lines: "array[int]" = field(default_factory=lambda: array("I"))

    def note(
        self, asked: ContentColumns, numbers: Sequence[int], lines: Sequence[int | None]
    ) -> None:
        """Take note of what rows ask for, and where in the file they stand."""
        words = map(bare_words, asked.prompts)
        loose = zip(words, asked.starts, asked.ends, asked.commons, strict=True)
        self._loose.extend(map(hash, loose))
        self._exact.extend([hash(prompt) & _HALF for prompt in asked.prompts])
        self._numbers.extend(numbers)
        self._lines.extend([line or 0 for line in lines])

    def warnings(self) -> Iterator[Problem]:
        """Yield each row that is nearly an earlier one; rows that are the same are none."""
        if not any_repeated(self._loose):
            return
        import numpy as np

        digests = np.frombuffer(self._loose, np.int64)
        order = np.argsort(digests, kind="stable")
        ordered = digests[order]
        alike = np.flatnonzero(ordered[1:] == ordered[:-1])
        seen: dict[int, int] = {}
        found: list[tuple[int, int]] = []
        last = -1
        for place in alike.tolist():
            before, index = int(order[place]), int(order[place + 1])
            if place != last + 1 or not seen:
                seen = {self._exact[before]: before}
            if self._exact[index] not in seen:
                found.append((index, next(iter(seen.values()))))
                seen[self._exact[index]] = index
            last = place
        for index, first in sorted(found):
            yield Problem(
                kind=WarningKind.NEARLY_REPEATED,
                row=self._numbers[index],
                line=self._lines[index] or None,
                column="prompt",
                message=f"differs from row {self._numbers[first]} only in case, spaces or"
                " punctuation, and both are paid for; remove one, or ask for takes",
            )
