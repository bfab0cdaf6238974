"""Values of files that know more than text, as the text that a person would have written."""

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
"""Columns in which a date is one that a spreadsheet made of something else."""


class NotText(ValueError):
    """A value that no cell of a manifest can hold; says what is wrong with it."""


class Unworked:
    """A formula of which nobody knows what it comes to."""


@singledispatch
def text_of(value: object, column: str) -> str:
    """Return a value as the text of a cell in that column; raise ``NotText``.

    Whole numbers have no point, nothing is empty, and lists are their parts.
    """
    del column
    if value is None:
        return ""
    raise NotText(f"is of a kind that is no text ({type(value).__name__}); one text is needed")


@text_of.register
def _(value: str, column: str) -> str:
    del column
    if len(value) > MAX_CELL_CHARS:
        raise NotText(f"has {len(value):,} characters; at most {MAX_CELL_CHARS:,} are read")
    if "\0" in value:
        raise NotText("has a NUL character, which no text has; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotText("has half a character, which can't be written; write the whole one") from None
    return value


@text_of.register
def _(value: Unworked, column: str) -> str:
    del value, column
    raise NotText(
        "is a formula without a result; open the file in the spreadsheet program, and save it"
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
        raise NotText(f"is {number}; a number or a text is needed")
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else repr(number)


@text_of.register(dt.date)
@text_of.register(dt.time)
def _(value: dt.date | dt.time, column: str) -> str:
    if columns.canonical(column) in MEANT_AS_TEXT:
        raise NotText(
            f"is the date {value}, which a spreadsheet may have made of something else; "
            "format the cell as text, and write it again"
        )
    return value.isoformat()


@text_of.register(list)
@text_of.register(tuple)
def _(value: Sequence[object], column: str) -> str:
    if any(isinstance(part, list | tuple | dict) for part in value):
        raise NotText("is a list of lists or objects; one text is needed")
    return text_of(", ".join(text_of(part, column) for part in value), column)


@text_of.register
def _(value: dict, column: str) -> str:  # type: ignore[type-arg]
    del value, column
    raise NotText("is an object; one text is needed")


def problem(error: NotText, column: str, *, row: int, line: int | None) -> Problem:
    """Return what is wrong with a cell."""
    return Problem(message=str(error), kind="no text", row=row, line=line, column=column)
