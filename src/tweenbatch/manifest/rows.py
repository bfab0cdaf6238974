"""Rows of text become checked rows, one by one, or problems with their row and column."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tweenbatch import prompts
from tweenbatch.errors import Problem
from tweenbatch.formulas import bare
from tweenbatch.manifest import templates
from tweenbatch.manifest.choices import Choices
from tweenbatch.manifest.columns import REQUIRED, Header
from tweenbatch.manifest.names import Naming
from tweenbatch.manifest.pictures import Pictures
from tweenbatch.models import Endpoint
from tweenbatch.preflight import Preflight
from tweenbatch.records import Frame, JobSpec, Row

FRAMES = ("start_image", "end_image")
MAX_TAKES = 100
PRIORITY_LIMIT = 1_000_000
ORDER_LIMIT = 1_000_000_000


LEFTOVERS = frozenset(
    {
        *("nan", "NaN", "NAN", "None", "null", "NULL", "<NA>", "NaT"),
        *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#GETTING_DATA"),
    }
)
"""What spreadsheets and programs write where there was nothing, or no result."""

_LEFT = "what a spreadsheet or a program leaves where there was nothing"
_OPEN_ENDED = "is empty; name the end frame, or let clips end freely with --allow-open-ended"


class _Report(Protocol):
    """Takes a problem of one cell: its column and what is wrong."""

    def __call__(self, column: str, message: str, /) -> None: ...


@dataclass(slots=True, kw_only=True)
class RowReader:
    """Checks rows one by one and gathers what is wrong with them."""

    header: Header
    choices: Choices
    pictures: Pictures
    preflight: Preflight
    """Takes note of every row."""
    carried: Sequence[tuple[str, str]]
    """Name and spelling of the columns that mean nothing here."""
    allow_open_ended: bool
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What stands where a row has an empty cell or none, by the name of the column."""
    takes: int = 1
    """For rows that don't say how many."""
    naming: Naming | None = None
    """How a person wants the clips to be named."""
    problems: list[Problem] = field(default_factory=list)

    def expect(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Take note of the rows that come next, so that their frames are recalled at once."""
        self.pictures.expect(
            values.get(column) or self.defaults.get(column, "")
            for values in rows
            for column in FRAMES
        )

    def rows(self, values: Mapping[str, str], *, number: int, line: int | None) -> list[Row]:
        """Return the row once for each take; none where it has problems."""
        before = len(self.problems)

        def problem(column: str, message: str) -> None:
            self.problems.append(Problem(message=message, row=number, line=line, column=column))

        cells = _bare(values)
        for name, default in self.defaults.items():
            cells[name] = cells.get(name) or default
        leftovers = self._leftovers(cells, problem)
        choice = self.choices.of(cells)
        for column, wrong in choice.wrong:
            problem(column, wrong)
        endpoint = choice.endpoint
        prompt = cells["prompt"] = self._prompt(cells, endpoint, problem)
        pair = self._pair(cells, endpoint, problem, besides=leftovers)
        self.preflight.note_frames(
            cells["start_image"], cells["end_image"], number=number, line=line
        )
        takes, priority = self._numbers(cells, problem)
        if len(self.problems) > before or not pair:
            return []
        extra = {spelled: bare(values[name]) for name, spelled in self.carried}
        tags = cells.get("tags")
        rows = [
            Row(
                number=number,
                name=cells.get("name", ""),
                spec=JobSpec(
                    endpoint=endpoint.id,
                    prompt=prompt,
                    start=pair[0],
                    end=pair[1] if len(pair) > 1 else None,
                    parameters=choice.parameters,
                    take=take,
                ),
                price_usd=choice.price_usd,
                start_image=cells["start_image"],
                end_image=cells["end_image"],
                priority=priority,
                tags=tuple(tags.replace(",", " ").split()) if tags else (),
                extra=extra,
            )
            for take in range(1, takes + 1)
        ]
        self.preflight.note_row(rows[0].spec, number=number, line=line)
        if self.naming is None:
            return rows
        return [self._named(row, self.naming, cells, line) for row in rows]

    def _leftovers(self, cells: Mapping[str, str], problem: _Report) -> Sequence[str]:
        """Tell of columns with what stands where nothing was; in an export it was once meant."""
        found = [column for column in REQUIRED if cells[column] in LEFTOVERS]
        if not found or self.header.is_of_results:
            return ()
        for column in found:
            problem(column, f"is '{cells[column]}', {_LEFT}; fill it in, or remove the row")
        return found

    def _named(self, row: Row, naming: Naming, cells: Mapping[str, str], line: int | None) -> Row:
        name, wrongs = naming.name(row, cells, self.header)
        self.problems += [
            Problem(message=f"--name {wrong}", row=row.number, line=line) for wrong in wrongs
        ]
        return replace(row, output=name)

    def _prompt(self, cells: Mapping[str, str], endpoint: Endpoint, problem: _Report) -> str:
        """Return the prompt, filled in; what of it can't be sent is a problem."""
        prompt = cells["prompt"]
        # An export has it as it was sent: filled in already.
        if templates.has_braces(prompt) and not self.header.is_of_results:
            others = {name: text for name, text in cells.items() if name != "prompt"}
            prompt, wrongs = templates.fill(prompt, others, named=self.header.canonical)
            for wrong in wrongs:
                problem("prompt", wrong)
            if wrongs:
                return prompt
        for wrong in prompts.problems(prompt, max_chars=endpoint.max_prompt_chars):
            problem("prompt", wrong)
        if endpoint.names_images:
            # A row whose end frame is missing has been told so.
            open_ended = not cells["end_image"] and self.allow_open_ended
            for wrong in prompts.wrong_references(prompt, frames=1 if open_ended else 2):
                problem("prompt", wrong)
        return prompt

    def _pair(
        self,
        cells: Mapping[str, str],
        endpoint: Endpoint,
        problem: _Report,
        *,
        besides: Collection[str],
    ) -> Sequence[Frame]:
        """Return start and end frame, or the start alone, or nothing where one is no good.

        The columns in ``besides`` are no good, which was told already.
        """
        columns = ["start_image"]
        if cells["end_image"]:
            columns.append("end_image")
        elif endpoint.end_required:
            problem("end_image", f"is empty; {endpoint.title} needs an end frame")
        elif not self.allow_open_ended:
            problem("end_image", _OPEN_ENDED)
        named = []
        for column in columns:
            if column in besides:
                continue
            found = self.pictures.find(cells[column], endpoint.image_limits)
            if isinstance(found, str):
                problem(column, found)
            else:
                named.append((cells[column], found))
        if len(named) < len(columns):
            return ()
        pair, wrong = self.pictures.fitted(named)
        for place, message in wrong:
            problem(columns[place], message)
        return pair

    def _numbers(self, cells: Mapping[str, str], problem: _Report) -> tuple[int, int]:
        """Return takes and priority."""
        limits = (-PRIORITY_LIMIT, PRIORITY_LIMIT)
        takes = _number(cells.get("takes"), self.takes, (1, MAX_TAKES), "takes", problem)
        priority = _number(cells.get("priority"), 0, limits, "priority", problem)
        _number(cells.get("order"), 0, (0, ORDER_LIMIT), "order", problem)
        return takes, priority


def _bare(values: Mapping[str, str]) -> dict[str, str]:
    """Return cells without the spaces round them, and without what guards formulas."""
    cells = {}
    for name, value in values.items():
        text = value.strip()
        cells[name] = bare(text) if text[:1] == "'" else text
    return cells


def _number(
    text: str | None, default: int, limits: tuple[int, int], column: str, problem: _Report
) -> int:
    if not text:
        return default
    low, high = limits
    if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit():
        problem(column, f"is '{text}'; a whole number is needed")
        return default
    number = int(text)
    if not low <= number <= high:
        problem(column, f"is {number}; it may be {low} to {high}")
        return default
    return number
