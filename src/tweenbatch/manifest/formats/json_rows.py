"""Read a file of JSON objects into a sheet: one object a line, or an array of them."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tweenbatch.errors import Problem
from tweenbatch.manifest.formats import values as cells
from tweenbatch.manifest.formats.bounds import (
    MAX_COLUMNS,
    Allowance,
    OutOfBounds,
    Problems,
    refuse_header,
)
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Format, Source

MOST_CHARS_SHOWN = 40


def load(source: Source) -> Sheet:
    """Return the file's sheet; raise ``ManifestError`` if it isn't valid JSON.

    The header has all names in order of appearance, so the file is read twice.
    """
    if source.format is Format.JSON:
        text = "".join(source.text())
        sheet = _sheet(source, lambda problems: _array(source, text, problems))
        if sheet.problems:
            raise source.refuse_all(sheet.problems)
        return sheet
    return _sheet(source, lambda problems: _lines(source, problems))


Item = tuple[int, int | None, Mapping[str, Any]]
"""Number, line and object."""


def _sheet(source: Source, items: Callable[[list[Problem]], Iterator[Item]]) -> Sheet:
    problems = Problems(source.path)
    names: dict[str, None] = {}
    for _, _, item in items(problems):
        names |= dict.fromkeys(item)
        if len(names) > MAX_COLUMNS:
            raise OutOfBounds(
                f"its objects have more than {MAX_COLUMNS:,} different names; a manifest has at "
                f"most {MAX_COLUMNS:,} columns: remove unneeded ones"
            )
    header = tuple(names)
    refuse_header(header)
    return Sheet(
        path=source.path,
        sha256=source.sha256,
        header=header,
        lines=_rows(items(Problems(source.path)), header, problems, source.allowance),
        problems=problems,
        allowance=source.allowance,
    )


def _rows(
    items: Iterator[Item],
    header: tuple[str, ...],
    problems: list[Problem],
    allowance: Allowance,
) -> Iterator[Line]:
    for number, line, item in items:
        allowance.take_cells(len(header))
        texts, good = [], True
        for name in header:
            value = item.get(name)
            try:
                texts.append("" if value is None else cells.text_of(value, name))
            except cells.NotText as error:
                problems.append(cells.problem(error, name, row=number, line=line))
                good = False
        if good:
            yield Line(number, line, texts)


class _NamedTwice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _NamedTwice(next(name for name, count in names.items() if count > 1))
    return members


# NaN and Infinity aren't JSON. They are read as text, so that the check of rows reports them.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=str)
_decode = _DECODER.decode
_SPACE = re.compile(r"[ \t\n\r]*")


def _lines(source: Source, problems: list[Problem]) -> Iterator[Item]:
    source.file.seek(0)
    for number, text in enumerate(source.text(), 1):
        if not text.strip():
            continue
        wrong = None
        try:
            item = _decode(text.lstrip("\ufeff").rstrip())
        except _NamedTwice as error:
            wrong = f"has '{error}' twice; remove one"
        except json.JSONDecodeError as error:
            wrong = (
                f"isn't valid JSON ({error.msg}, character {error.colno}); write one object a line"
            )
        except (ValueError, RecursionError):  # also a number with thousands of digits
            wrong = "is nested too deeply, or has too long a number; write flat objects"
        else:
            if isinstance(item, dict):
                yield number, number, item
                continue
            shown = text.strip()[:MOST_CHARS_SHOWN]
            wrong = f'is {shown}; expected an object: {{"prompt": …, "start_image": …}}'
        problems.append(Problem(message=wrong, kind="no object", row=number, line=number))


def _array(source: Source, text: str, problems: list[Problem]) -> Iterator[Item]:
    """Yield the objects of an array one by one: all of them at once would fill the memory."""
    try:
        for number, item in enumerate(_items(text), 1):
            if isinstance(item, dict):
                yield number, None, item
            else:
                problems.append(Problem(message="isn't an object", kind="no object", row=number))
    except _NamedTwice as error:
        raise source.refuse(f"an object has '{error}' twice; remove one") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        hint = ""
        if error.msg == "Extra data":
            hint = "; if the file has one object a line, rename it to .jsonl"
        message = f"isn't valid JSON: {error.msg}, {where}{hint}"
        raise source.refuse(message, line=error.lineno) from error
    except _NoArray as error:
        raise source.refuse(
            f"is {error}; expected an array of objects, or one object a line in a .jsonl file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise source.refuse(
            "is nested too deeply, or has too long a number; write flat objects"
        ) from error


class _NoArray(ValueError):
    pass


def _items(text: str) -> Iterator[Any]:
    """Yield the items of an array; raise ``ValueError`` as ``json`` does for the whole text."""
    position = _after_space(text, 0)
    if text[position : position + 1] != "[":
        raise _NoArray("an object" if isinstance(_decode(text), dict) else "one value")
    position = _after_space(text, position + 1)
    if text[position : position + 1] != "]":
        while True:
            item, position = _DECODER.raw_decode(text, position)
            yield item
            position = _after_space(text, position)
            mark = text[position : position + 1]
            if mark == "]":
                break
            if mark != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
            position = _after_space(text, position + 1)
    position = _after_space(text, position + 1)
    if position < len(text):
        raise json.JSONDecodeError("Extra data", text, position)


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None
    return match.end()
