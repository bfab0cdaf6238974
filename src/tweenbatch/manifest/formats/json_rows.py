"""A file of JSON objects becomes a sheet: one on each line, or all of them in an array."""

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
    """Return what the file holds; raise ``ManifestError`` where that is no JSON.

    The header is made of all names in the order in which they come; so the file is read twice.
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
                f"most {MAX_COLUMNS:,} columns: remove those that are not needed"
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
    made = dict(pairs)
    if len(made) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _NamedTwice(next(name for name, count in names.items() if count > 1))
    return made


# NaN and its like are no JSON, and mean that there was nothing: as text they are told.
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
            wrong = f"names '{error}' twice; leave one"
        except json.JSONDecodeError as error:
            wrong = f"is no JSON ({error.msg}, character {error.colno}); write one object a line"
        except (ValueError, RecursionError):  # also a number with thousands of digits
            wrong = "is nested too deeply, or has a number beyond all bounds; write flat objects"
        else:
            if isinstance(item, dict):
                yield number, number, item
                continue
            shown = text.strip()[:MOST_CHARS_SHOWN]
            wrong = f'is no object but {shown}; write {{"prompt": …, "start_image": …}}'
        problems.append(Problem(message=wrong, kind="no object", row=number, line=number))


def _array(source: Source, text: str, problems: list[Problem]) -> Iterator[Item]:
    """Yield the objects of an array one by one: all of them at once would fill the memory."""
    try:
        for number, item in enumerate(_items(text), 1):
            if isinstance(item, dict):
                yield number, None, item
            else:
                problems.append(Problem(message="is no object", kind="no object", row=number))
    except _NamedTwice as error:
        raise source.refuse(f"an object names '{error}' twice; leave one") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        hint = "; name a file with one object a line .jsonl" if error.msg == "Extra data" else ""
        message = f"is no JSON: {error.msg}, {where}{hint}"
        raise source.refuse(message, line=error.lineno) from error
    except _NoArray as error:
        raise source.refuse(
            f"is {error}; an array of objects is needed, or one object a line in a .jsonl file"
        ) from error
    except (ValueError, RecursionError) as error:
        raise source.refuse(
            "is nested too deeply, or has a number beyond all bounds; flat objects are needed"
        ) from error


class _NoArray(ValueError):
    pass


def _items(text: str) -> Iterator[Any]:
    """Yield what stands in an array; raise ``ValueError`` as ``json`` does for the whole text."""
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise _NoArray("an object" if isinstance(_decode(text), dict) else "one value")
    place = _after_space(text, place + 1)
    if text[place : place + 1] != "]":
        while True:
            item, place = _DECODER.raw_decode(text, place)
            yield item
            place = _after_space(text, place)
            mark = text[place : place + 1]
            if mark == "]":
                break
            if mark != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
            place = _after_space(text, place + 1)
    place = _after_space(text, place + 1)
    if place < len(text):
        raise json.JSONDecodeError("Extra data", text, place)


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None
    return found.end()
