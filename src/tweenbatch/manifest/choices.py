"""The endpoint, parameters and price of each row.

Thousands of rows share the same settings: each combination is checked once and cached.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.errors import UsageError
from tweenbatch.manifest.columns import MODEL, ignored
from tweenbatch.models import ENDPOINTS, Endpoint, find
from tweenbatch.records import common_part
from tweenbatch.records.manifest import JobKind

MOST_KEPT = 10_000
"""Combinations in the cache; a column may have a different value in every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The endpoint and the kind of job of a row.

    ``common`` is the part that the content keys of such jobs share. ``wrong`` has a column and a
    message for each invalid cell; if there is one, ``kind`` is a placeholder.
    """

    endpoint: Endpoint
    kind: JobKind
    common: str = ""
    wrong: tuple[tuple[str, str], ...] = ()


class Choices:
    """The choices of one file's rows; ``columns`` are the file's column names."""

    def __init__(self, endpoint: Endpoint, columns: Iterable[str]) -> None:
        self._endpoint = endpoint
        inputs = {MODEL, *(name for each in ENDPOINTS.values() for name in each.parameters)}
        inputs |= {name for each in ENDPOINTS.values() for name in each.not_offered}
        self._deciding = tuple(name for name in dict.fromkeys(columns) if name in inputs)
        self._kept: dict[tuple[str, ...], Choice] = {}

    def of(self, columns: Mapping[str, Sequence[str]], count: int) -> list[Choice]:
        """Return the choice of each of ``count`` rows."""
        if not self._deciding:
            return [self._of(())] * count
        deciding = zip(*(columns[name] for name in self._deciding), strict=True)
        kept = self._kept
        return [kept.get(cells) or self._of(cells) for cells in deciding]

    def _of(self, deciding: tuple[str, ...]) -> Choice:
        choice = self._kept.get(deciding)
        if choice is None:
            choice = self._choice(dict(zip(self._deciding, deciding, strict=True)))
            if len(self._kept) < MOST_KEPT:
                self._kept[deciding] = choice
        return choice

    def _choice(self, cells: Mapping[str, str]) -> Choice:
        name = cells.get(MODEL, "")
        try:
            endpoint = find(name) if name else self._endpoint
        except UsageError as error:
            return _refused(self._endpoint, [(MODEL, str(error))])
        if endpoint.price is None:
            return _refused(endpoint, [(MODEL, endpoint.unknown_price)])
        wrong = []
        if MODEL in cells:
            wrong += [
                (column, f"is '{cells[column]}'; {reason}; leave the cell empty")
                for column, reason in ignored(self._deciding, endpoint).items()
                if cells[column]
            ]
        parameters = {}
        for column, parameter in endpoint.parameters.items():
            text = cells.get(column, "") or parameter.default
            if not text:
                if parameter.required:
                    needed = parameter.described()
                    wrong.append((column, f"is empty; {endpoint.title} needs {needed}"))
                continue
            try:
                parameters[column] = parameter.spelled(text, of=endpoint.title)
            except ValueError as error:
                wrong.append((column, str(error)))
        if wrong:
            return _refused(endpoint, wrong)
        try:
            price = endpoint.price_usd(parameters)
        except ValueError as error:
            return _refused(endpoint, [("duration", f"can't be priced: {error}")])
        return Choice(
            endpoint=endpoint,
            kind=JobKind(endpoint=endpoint.id, parameters=parameters, price_usd=price),
            common=common_part(endpoint.id, parameters),
        )


def _refused(endpoint: Endpoint, wrong: Iterable[tuple[str, str]]) -> Choice:
    kind = JobKind(endpoint=endpoint.id, parameters={}, price_usd=Decimal(0))
    return Choice(endpoint=endpoint, kind=kind, wrong=tuple(wrong))
