"""A file of JSON objects becomes a sheet: one on each line, or all of them in an array."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tweenbatch.errors import Problem
from tweenbatch.manifest.formats import values as cells
from tweenbatch.manifest.formats.sheet import Line, Sheet
from tweenbatch.manifest.formats.source import Format, Source

MOST_CHARS_SHOWN = 40


def load(source: Source) -> Sheet:
    """Return what the file holds; raise ``ManifestError`` where that is no JSON.

    The header is made of all names in the order in which they come; so the file is read twice.
    """
    if source.format is Format.JSON:
        items = _array(source)
        return _sheet(source, lambda _: iter(items))
    return _sheet(source, lambda problems: _lines(source, problems))


Item = tuple[int, int | None, Mapping[str, Any]]
"""Number, line and object."""


def _sheet(source: Source, items: Callable[[list[Problem]], Iterator[Item]]) -> Sheet:
    problems: list[Problem] = []
    names = dict.fromkeys(name for _, _, item in items(problems) for name in item)
    header = tuple(names)
    return Sheet(
        path=source.path,
        sha256=source.sha256,
        header=header,
        lines=_rows(items([]), header, problems),
        problems=problems,
    )


def _rows(
    items: Iterator[Item], header: tuple[str, ...], problems: list[Problem]
) -> Iterator[Line]:
    for number, line, item in items:
        texts, good = [], True
        for name in header:
            try:
                texts.append(cells.text_of(item.get(name), name))
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
        names = [name for name, _ in pairs]
        raise _NamedTwice(next(name for name in names if names.count(name) > 1))
    return made


# NaN and its like are no JSON, and mean that there was nothing: as text they are told.
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=str).decode


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


def _array(source: Source) -> list[Item]:
    text = "".join(source.text())
    try:
        found = _decode(text)
    except _NamedTwice as error:
        raise source.refuse(f"an object names '{error}' twice; leave one") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, character {error.colno}"
        hint = "; name a file with one object a line .jsonl" if error.msg == "Extra data" else ""
        message = f"is no JSON: {error.msg}, {where}{hint}"
        raise source.refuse(message, line=error.lineno) from error
    except (ValueError, RecursionError) as error:
        raise source.refuse(
            "is nested too deeply, or has a number beyond all bounds; flat objects are needed"
        ) from error
    if not isinstance(found, list):
        what = "an object" if isinstance(found, dict) else "one value"
        raise source.refuse(
            f"is {what}; an array of objects is needed, or one object a line in a .jsonl file"
        )
    strangers = [
        Problem(message="is no object", kind="no object", row=number)
        for number, item in enumerate(found, 1)
        if not isinstance(item, dict)
    ]
    if strangers:
        raise source.refuse_all(strangers)
    return [(number, None, item) for number, item in enumerate(found, 1)]
