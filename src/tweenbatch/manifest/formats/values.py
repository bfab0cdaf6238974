"""Convert typed values (numbers, dates, lists) to the text of a manifest's cell."""

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from functools import singledispatch
from numbers import Integral, Real

from tweenbatch.errors import Problem
from tweenbatch.manifest import columns
from tweenbatch.manifest.formats.bounds import MAX_CELL_CHARS

MEANT_AS_TEXT = frozenset({*columns.REQUIRED, *columns.OPTIONAL})
"""Columns in which a date is a mistake of the spreadsheet, which converted a text to it."""


class NotText(ValueError):
    """A value that a manifest's cell can't hold; the message says why."""


class Unworked:
    """A formula without a stored result."""


@singledispatch
def text_of(value: object, column: str) -> str:
    """Return a value as the text of a cell in that column; raise ``NotText``.

    Whole numbers get no decimal point, None becomes empty, list items are joined with commas.
    """
    del column
    if value is None:
        return ""
    raise NotText(f"has a value of the type {type(value).__name__}; expected text")


@text_of.register
def _(value: str, column: str) -> str:
    del column
    if len(value) > MAX_CELL_CHARS:
        raise NotText(f"has {len(value):,} characters; at most {MAX_CELL_CHARS:,} are read")
    if "\0" in value:
        raise NotText("has a NUL character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotText("has an incomplete character; replace it") from None
    return value


@text_of.register
def _(value: Unworked, column: str) -> str:
    del value, column
    raise NotText(
        "is a formula without a result; open the file in a spreadsheet program and save it"
    )


@text_of.register
def _(value: Decimal, column: str) -> str:
    del column
    return f"{value.normalize():f}" if value.is_finite() else str(value)


@text_of.register
def _(value: bool, column: str) -> str:
    del column
    return "true" if value else "false"


@text_of.register
def _(value: Integral, column: str) -> str:
    del column
    return str(int(value))


@text_of.register
def _(value: Real, column: str) -> str:
    del column
    number = float(value)
    if math.isinf(number):
        raise NotText(f"is {number}; expected a finite number or text")
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else repr(number)


@text_of.register(dt.date)
@text_of.register(dt.time)
def _(value: dt.date | dt.time, column: str) -> str:
    if columns.canonical(column) in MEANT_AS_TEXT:
        raise NotText(
            f"is the date {value}; the spreadsheet may have converted your text: format the cell "
            "as text, and enter it again"
        )
    return value.isoformat()


@text_of.register(list)
@text_of.register(tuple)
def _(value: Sequence[object], column: str) -> str:
    if any(isinstance(part, list | tuple | dict) for part in value):
        raise NotText("is a list of lists or objects; expected text")
    return text_of(", ".join(text_of(part, column) for part in value), column)


@text_of.register
def _(value: dict, column: str) -> str:  # type: ignore[type-arg]
    del value, column
    raise NotText("is an object; expected text")


def problem(error: NotText, column: str, *, row: int, line: int | None) -> Problem:
    """Return the problem of a cell."""
    return Problem(message=str(error), kind="no text", row=row, line=line, column=column)
