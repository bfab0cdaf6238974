"""Convert columns of cells: texts without guards, tags, whole numbers. Report invalid cells.

It does not know what a column is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tweenbatch.errors import Problem
from tweenbatch.files.csv_injection import bare
from tweenbatch.manifest.formats.sheet import Block
from tweenbatch.models.parameter import without_zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockProblems:
    """The problems of a block's rows, and the indexes of those rows in the block."""

    block: Block
    problems: list[Problem] = field(default_factory=list)
    indexes: set[int] = field(default_factory=set)

    def add(self, index: int, column: str | None, message: str) -> None:
        """Record a problem of a cell, or of a whole row."""
        number, line = self.block.numbers[index], self.block.lines[index]
        self.problems.append(Problem(message=message, row=number, line=line, column=column))
        self.indexes.add(index)


def bare_cells(column: Sequence[str]) -> list[str]:
    """Return cells without surrounding spaces and without the ' that guards formulas."""
    stripped = list(map(str.strip, column))
    if "'" not in "".join(stripped):
        return stripped
    return [bare(text) if text[:1] == "'" else text for text in stripped]


def tags(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the tags of each cell, which commas or spaces separate."""
    return [tuple(text.replace(",", " ").split()) if text else () for text in texts]


def whole_numbers(
    texts: Sequence[str], default: int, limits: tuple[int, int], column: str, wrongs: BlockProblems
) -> list[int]:
    """Return whole numbers; report invalid cells. Empty and invalid cells get the default."""
    if not any(texts):
        return [default] * len(texts)
    numbers = [_whole_number(text, limits) if text else default for text in texts]
    for index, number in enumerate(numbers):
        if isinstance(number, str):
            wrongs.add(index, column, number)
    return [default if isinstance(number, str) else number for number in numbers]


def _whole_number(text: str, limits: tuple[int, int]) -> int | str:
    """Return the number, or its problem."""
    low, high = limits
    whole = without_zeros(text)
    if not whole.lstrip("+-").isascii() or not whole.lstrip("+-").isdigit():
        return f"is '{text}'; expected a whole number"
    number = int(whole)
    return number if low <= number <= high else f"is {number}; expected {low} to {high}"
