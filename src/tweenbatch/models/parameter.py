"""One input field of an endpoint: what may stand in a cell, and what is sent for it.

Cells are text, and a job's key is made of their text: so each value has one spelling only.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

MAX_DIGITS = 15
"""A number with fewer digits is the same again when it comes back from a float."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_WITH_ZEROS = re.compile(rf"({_WHOLE.pattern})\.0+")
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


class ParameterKind(StrEnum):
    """What a value is in JSON."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    YES_NO = "yes_no"


def without_zeros(text: str) -> str:
    """Return ``5`` for ``5.0``: so programs write whole numbers of a column that has gaps."""
    written = _WITH_ZEROS.fullmatch(text)
    return written[1] if written else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An input field besides prompt and frames; ``allowed`` makes it one of a list.

    ``default`` is what is sent for an empty cell; without one, nothing is.
    """

    kind: ParameterKind = ParameterKind.TEXT
    allowed: tuple[str, ...] = ()
    default: str = ""
    required: bool = False
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_chars: int | None = None
    """In code points, as fal counts."""

    def spelled(self, text: str, *, of: str) -> str:
        """Return the one spelling of a cell's value; raise ``ValueError`` with what is wrong.

        The message completes a sentence that begins with the column; ``of`` names the endpoint.
        """
        value = self._of_kind(text)
        if self.allowed and value not in self.allowed:
            raise ValueError(f"is '{text}'; {of} allows {' or '.join(self.allowed)}")
        if self.kind in (ParameterKind.WHOLE, ParameterKind.NUMBER) and not self._in_range(
            Decimal(value)
        ):
            raise ValueError(f"is {value}; {of} allows {self._range()}")
        if self.max_chars is not None and len(value) > self.max_chars:
            raise ValueError(f"has {len(value)} characters; {of} allows at most {self.max_chars}")
        return value

    def value(self, text: str) -> str | int | float | bool:
        """Return what JSON holds for a text that ``spelled`` gave."""
        if self.kind is ParameterKind.WHOLE:
            return int(text)
        if self.kind is ParameterKind.NUMBER:
            number = Decimal(text)
            return int(number) if number == number.to_integral_value() else float(number)
        return text == "true" if self.kind is ParameterKind.YES_NO else text

    def described(self) -> str:
        """Say in a few words what may stand in the column."""
        if self.allowed:
            return ", ".join(self.allowed)
        if self.kind is ParameterKind.YES_NO:
            return "true, false"
        if self.kind is ParameterKind.TEXT:
            return "a text" if self.max_chars is None else f"a text, ≤ {self.max_chars} characters"
        what = "a whole number" if self.kind is ParameterKind.WHOLE else "a number"
        bounded = self.minimum is not None or self.maximum is not None
        return f"{what}, {self._range()}" if bounded else what

    def _of_kind(self, text: str) -> str:
        if self.kind is ParameterKind.YES_NO:
            word = text.lower()
            if word not in _YES | _NO:
                raise ValueError(f"is '{text}'; write true or false")
            return "true" if word in _YES else "false"
        if self.kind is ParameterKind.WHOLE:
            if not _WHOLE.fullmatch(whole := without_zeros(text)):
                raise ValueError(f"is '{text}'; a whole number is needed")
            return str(int(whole))
        if self.kind is ParameterKind.NUMBER:
            return _number(text)
        return without_zeros(text) if self.allowed and text not in self.allowed else text

    def _in_range(self, number: Decimal) -> bool:
        low, high = self.minimum, self.maximum
        return (low is None or number >= low) and (high is None or number <= high)

    def _range(self) -> str:
        if self.maximum is None:
            return f"{self.minimum} or more"
        if self.minimum is None:
            return f"{self.maximum} or less"
        return f"{self.minimum} to {self.maximum}"


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    exact = len(number.as_tuple().digits) <= MAX_DIGITS
    if not number.is_finite() or not exact or abs(number.adjusted()) > MAX_DIGITS:
        raise ValueError(f"is '{text}'; a number is needed, such as 0.5")
    return f"{number.normalize() + 0:f}"
