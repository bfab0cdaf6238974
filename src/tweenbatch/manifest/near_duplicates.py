"""Near-duplicate rows: same frames, prompts equal except for case, spaces and punctuation.

Only twenty bytes are kept for each row, so that a million rows can be compared.
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
_DROPPED = re.compile(r"[\W_]+")
_HALF = 0xFFFF_FFFF


def bare_words(prompt: str) -> bytes:
    """Return a prompt without case, spaces and punctuation."""
    if prompt.isascii():  # far faster
        return prompt.encode("ascii").translate(_LOWER, _LETTERS_DROPPED)
    return _DROPPED.sub("", prompt.casefold()).encode("utf-8", "surrogatepass")


@dataclass(slots=True)
class NearDuplicates:
    """Collects rows, and at the end warns of those that are nearly the same."""

    # Hashes are only valid in this process, so they are never stored.
    _loose: "array[int]" = field(default_factory=lambda: array("q"))
    _exact: "array[int]" = field(default_factory=lambda: array("I"))
    _numbers: "array[int]" = field(default_factory=lambda: array("I"))
    _lines: "array[int]" = field(default_factory=lambda: array("I"))

    def note(
        self, contents: ContentColumns, numbers: Sequence[int], lines: Sequence[int | None]
    ) -> None:
        """Record the contents of rows, and their positions in the file."""
        words = map(bare_words, contents.prompts)
        loose = zip(words, contents.starts, contents.ends, contents.commons, strict=True)
        self._loose.extend(map(hash, loose))
        self._exact.extend([hash(prompt) & _HALF for prompt in contents.prompts])
        self._numbers.extend(numbers)
        self._lines.extend([line or 0 for line in lines])

    def warnings(self) -> Iterator[Problem]:
        """Yield each row that is nearly equal to an earlier one, but not exactly equal."""
        if not any_repeated(self._loose):
            return
        import numpy as np

        digests = np.frombuffer(self._loose, np.int64)
        order = np.argsort(digests, kind="stable")
        ordered = digests[order]
        alike = np.flatnonzero(ordered[1:] == ordered[:-1])
        seen: dict[int, int] = {}
        repeats: list[tuple[int, int]] = []
        last = -1
        for position in alike.tolist():
            before, index = int(order[position]), int(order[position + 1])
            if position != last + 1 or not seen:
                seen = {self._exact[before]: before}
            if self._exact[index] not in seen:
                repeats.append((index, next(iter(seen.values()))))
                seen[self._exact[index]] = index
            last = position
        for index, first in sorted(repeats):
            yield Problem(
                kind=WarningKind.NEARLY_REPEATED,
                row=self._numbers[index],
                line=self._lines[index] or None,
                column="prompt",
                message=f"differs from row {self._numbers[first]} only in case, spaces or"
                " punctuation, and both are charged; remove one, or use takes instead",
            )
