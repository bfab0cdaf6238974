"""An input field of an endpoint: its allowed cells, and the value sent to fal.

A job's key is computed from the text of its cells, so each value has exactly one spelling.
"""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

MAX_DIGITS = 15
"""A number of at most this many digits survives conversion to a float and back."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_WITH_ZEROS = re.compile(rf"({_WHOLE.pattern})\.0+")
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


class ParameterKind(StrEnum):
    """The JSON type of a value."""

    TEXT = "text"
    WHOLE = "whole"
    NUMBER = "number"
    YES_NO = "yes_no"


def without_zeros(text: str) -> str:
    """Return ``5`` for ``5.0``, which programs write for whole numbers in a column with gaps."""
    written = _WITH_ZEROS.fullmatch(text)
    return written[1] if written else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An input field besides prompt and frames; ``allowed`` lists its values, if not empty.

    ``default`` is sent for an empty cell; if it is empty, the field is not sent.
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
        """Return the canonical spelling of a cell's value; raise ``ValueError`` if it is invalid.

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
        """Return the JSON value of a text returned by ``spelled``."""
        if self.kind is ParameterKind.WHOLE:
            return int(text)
        if self.kind is ParameterKind.NUMBER:
            number = Decimal(text)
            return int(number) if number == number.to_integral_value() else float(number)
        return text == "true" if self.kind is ParameterKind.YES_NO else text

    def described(self) -> str:
        """Describe the allowed cells in a few words."""
        if self.allowed:
            return ", ".join(self.allowed)
        if self.kind is ParameterKind.YES_NO:
            return "true, false"
        if self.kind is ParameterKind.TEXT:
            return (
                "text" if self.max_chars is None else f"text, at most {self.max_chars} characters"
            )
        kind = "a whole number" if self.kind is ParameterKind.WHOLE else "a number"
        bounded = self.minimum is not None or self.maximum is not None
        return f"{kind}, {self._range()}" if bounded else kind

    def _of_kind(self, text: str) -> str:
        if self.kind is ParameterKind.YES_NO:
            word = text.lower()
            if word not in _YES | _NO:
                raise ValueError(f"is '{text}'; expected true or false")
            return "true" if word in _YES else "false"
        if self.kind is ParameterKind.WHOLE:
            if not _WHOLE.fullmatch(whole := without_zeros(text)):
                raise ValueError(f"is '{text}'; expected a whole number")
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
        raise ValueError(f"is '{text}'; expected a number such as 0.5")
    return f"{number.normalize() + 0:f}"
