"""Texts with places to fill in: ``{column}`` stands for what the row has there.

``{{`` and ``}}`` are braces. It knows names and values; it refuses to know what the text is for.
What is filled in is never filled again.
"""

import re
from collections.abc import Callable, Mapping

from tweenbatch.manifest.columns import some
from tweenbatch.manifest.formats.bounds import MAX_CELL_CHARS

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
MOST_WRONG = 20
"""So much at most is said of one text."""

_PADDED = re.compile(r"(?P<name>.*):0(?P<width>[0-9]{1,2})", re.DOTALL)


def has_braces(text: str) -> bool:
    """Tell whether there may be anything to fill in."""
    return "{" in text or "}" in text


def fill(
    template: str, values: Mapping[str, str], *, named: Callable[[str], str]
) -> tuple[str, list[str]]:
    """Return the text with the values in their places, and what is wrong with it.

    ``named`` gives the key of a value by the name in the braces. ``{row:04}`` puts zeros in front
    of a whole number.
    """
    wrong: list[str] = []

    def piece(match: re.Match[str]) -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if match[1] is None:
            wrong.append(f"has a single {match[0]}; write {match[0] * 2} for a brace")
            return ""
        name, width = match[1].strip(), 0
        if named(name) not in values and (padded := _PADDED.fullmatch(name)):
            name, width = padded["name"].strip(), int(padded["width"])
        value = values.get(named(name))
        if value is None:
            wrong.append(
                f"has {match[0]}, which names no column; there are {some(list(values))}; "
                "write {{ and }} for braces"
            )
        elif not value:
            wrong.append(
                f"has {match[0]}, which is empty in this row; give it a value there or, for all "
                f"rows without one, with --set {name}=VALUE"
            )
        elif width and not (value.isascii() and value.isdigit()):
            wrong.append(f"has {match[0]}, and '{value}' is no whole number; leave the :0… out")
        else:
            return value.zfill(width)
        return ""

    return _filled(template, piece, wrong), wrong


def _filled(template: str, piece: Callable[[re.Match[str]], str], wrong: list[str]) -> str:
    """Put pieces into their places until the text is too long, or too much of it is wrong."""
    room = MAX_CELL_CHARS

    def counted(match: re.Match[str]) -> str:
        nonlocal room
        text = piece(match) if room >= 0 and len(wrong) < MOST_WRONG else ""
        room -= len(text)
        return text

    filled = _BRACES.sub(counted, template)
    if room < 0:
        wrong.append(f"has more than {MAX_CELL_CHARS:,} characters once filled in; shorten it")
    return filled
