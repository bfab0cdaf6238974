"""Fill in templates: ``{column}`` is replaced by the row's value, ``{{`` and ``}}`` by braces.

It knows names and values. It does not know the purpose of the text. Values are inserted as they
are: braces in them are not filled in again.
"""

import re
from collections.abc import Callable, Mapping

from tweenbatch.manifest.columns import some
from tweenbatch.manifest.formats.bounds import MAX_CELL_CHARS

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
MOST_WRONG = 20
"""Most problems reported of one text."""

_PADDED = re.compile(r"(?P<name>.*):0(?P<width>[0-9]{1,2})", re.DOTALL)


def has_braces(text: str) -> bool:
    """Return whether there may be placeholders."""
    return "{" in text or "}" in text


def fill(
    template: str, values: Mapping[str, str], *, named: Callable[[str], str]
) -> tuple[str, list[str]]:
    """Return the filled-in text and its problems.

    ``named`` returns the key in ``values`` of a name in braces. ``{row:04}`` pads a whole number
    with zeros.
    """
    wrong: list[str] = []

    def piece(match: re.Match[str]) -> str:
        if match[0] in {"{{", "}}"}:
            return match[0][0]
        if match[1] is None:
            wrong.append(f"has a single {match[0]}; write {match[0] * 2} for a literal brace")
            return ""
        name, width = match[1].strip(), 0
        if named(name) not in values and (padded := _PADDED.fullmatch(name)):
            name, width = padded["name"].strip(), int(padded["width"])
        value = values.get(named(name))
        if value is None:
            wrong.append(
                f"has {match[0]}, but there is no such column; the columns are "
                f"{some(list(values))}; write {{{{ and }}}} for literal braces"
            )
        elif not value:
            wrong.append(
                f"has {match[0]}, which is empty in this row; fill in the cell, or fill in all "
                f"empty ones with --set {name}=VALUE"
            )
        elif width and not (value.isascii() and value.isdigit()):
            wrong.append(f"has {match[0]}, but '{value}' isn't a whole number; remove the :0…")
        else:
            return value.zfill(width)
        return ""

    return _filled(template, piece, wrong), wrong


def _filled(template: str, piece: Callable[[re.Match[str]], str], wrong: list[str]) -> str:
    """Replace placeholders until the text is too long or has too many problems."""
    left = MAX_CELL_CHARS

    def counted(match: re.Match[str]) -> str:
        nonlocal left
        text = piece(match) if left >= 0 and len(wrong) < MOST_WRONG else ""
        left -= len(text)
        return text

    filled = _BRACES.sub(counted, template)
    if left < 0:
        wrong.append(f"has more than {MAX_CELL_CHARS:,} characters after filling in; shorten it")
    return filled
