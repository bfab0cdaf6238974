"""Rows of text become checked rows, or problems with their row and column.

Many rows are looked at together, one column after the other: what is right with all of them is
seen at a glance, and only what may be wrong is looked into cell by cell.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tweenbatch.errors import Problem
from tweenbatch.files.csv_injection import bare
from tweenbatch.manifest import prompts, templates
from tweenbatch.manifest.choices import Choice, Choices
from tweenbatch.manifest.clip_names import Naming
from tweenbatch.manifest.columns import REQUIRED, Header
from tweenbatch.manifest.formats.bounds import Problems
from tweenbatch.manifest.formats.sheet import Block
from tweenbatch.manifest.frame_lookup import Pictures
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.models import Endpoint
from tweenbatch.models.parameter import without_zeros
from tweenbatch.records import content_key, identity, quoted
from tweenbatch.records.manifest import Columns, ContentColumns, Row, rows_of

MAX_TAKES = 100
PRIORITY_LIMIT = 1_000_000
ORDER_LIMIT = 1_000_000_000

SHORT_PROMPT = 1_000
"""Characters that need no second look where nobody knows what a model takes."""

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


Cells = Mapping[str, Sequence[str]]
"""The cells of a block's rows, bare, by the name of their column."""

Found = tuple[str, str | None] | tuple[None, None]
"""Source and digest of a frame; nothing where a row has none."""

_NO_FRAME: Found = (None, None)
_FRAMES = ("start_source", "start_sha256", "end_source", "end_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrongs:
    """What is wrong with the rows of a block, and which they are, by their place in it."""

    block: Block
    problems: list[Problem] = field(default_factory=list)
    places: set[int] = field(default_factory=set)

    def tell(self, place: int, column: str | None, message: str) -> None:
        """Take note of what is wrong with a cell, or with a whole row."""
        number, line = self.block.numbers[place], self.block.lines[place]
        self.problems.append(Problem(message=message, row=number, line=line, column=column))
        self.places.add(place)


@dataclass(slots=True, kw_only=True)
class RowReader:
    """Checks rows and gathers what is wrong with them."""

    header: Header
    choices: Choices
    pictures: Pictures
    preflight: Preflight
    """Takes note of every row."""
    carried: Sequence[tuple[str, str]]
    """Name and spelling of the columns that mean nothing here."""
    allow_open_ended: bool
    problems: Problems
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What stands where a row has an empty cell or none, by the name of the column."""
    takes: int = 1
    """For rows that don't say how many."""
    naming: Naming | None = None
    """How a person wants the clips to be named."""

    def rows(self, block: Block) -> Columns:
        """Return the rows, each once for each take, without those that have problems."""
        count = len(block.numbers)
        written = dict(zip(self.header.names, block.columns, strict=True))
        cells: dict[str, Sequence[str]] = {name: _bare(column) for name, column in written.items()}
        for name, default in self.defaults.items():
            cells[name] = [text or default for text in cells.get(name, [""] * count)]
        wrongs = _Wrongs(block=block)
        leftovers = self._leftovers(cells, wrongs)
        choices = self._choices(cells, count, wrongs)
        cells["prompt"] = self._prompts(cells, choices, wrongs)
        frames = self._frames(cells, choices, wrongs, besides=leftovers)
        self.preflight.note_frames(
            cells["start_image"], cells["end_image"], block.numbers, block.lines
        )
        none = [""] * count
        takes = _numbers(cells.get("takes", none), self.takes, (1, MAX_TAKES), "takes", wrongs)
        limits = (-PRIORITY_LIMIT, PRIORITY_LIMIT)
        priorities = _numbers(cells.get("priority", none), 0, limits, "priority", wrongs)
        _numbers(cells.get("order", none), 0, (0, ORDER_LIMIT), "order", wrongs)
        facts: dict[str, Sequence[Any]] = {
            "number": block.numbers,
            "line": block.lines,
            "name": cells.get("name", none),
            "choice": choices,
            "prompt": cells["prompt"],
            **dict(zip(_FRAMES, frames, strict=True)),
            "start_image": cells["start_image"],
            "end_image": cells["end_image"],
            "priority": priorities,
            "tags": _tags(cells.get("tags", none)),
            "extra_json": self._extras(written, count),
            "take": takes,
        }
        if wrongs.places or max(takes) > 1:
            facts = _each_take(facts, takes, besides=wrongs.places)
        columns = self._finished(facts)
        if self.naming is not None:
            columns["output"] = self._names(columns, self.naming, cells, wrongs)
        self.problems.note(wrongs.problems)
        return columns

    def _finished(self, facts: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return all columns of good rows; the preflight takes note of what they ask for."""
        choices: Sequence[Choice] = facts["choice"]
        ends = zip(facts["end_source"], facts["end_sha256"], strict=True)
        asked = ContentColumns(
            commons=[choice.common for choice in choices],
            prompts=facts["prompt"],
            starts=list(map(identity, facts["start_source"], facts["start_sha256"])),
            ends=[None if source is None else identity(source, digest) for source, digest in ends],
        )
        self.preflight.note_rows(asked, facts["number"], facts["line"])
        known = {
            **facts,
            "key": list(map(content_key, *asked, facts["take"])),
            "kind": [choice.kind for choice in choices],
            "output": [""] * len(choices),
        }
        return {name: known[name] for name in Row._fields}

    def _leftovers(self, cells: Cells, wrongs: _Wrongs) -> Collection[tuple[int, str]]:
        """Tell of cells with what stands where nothing was; in an export it was once meant."""
        found = [
            (place, column)
            for column in REQUIRED
            if not LEFTOVERS.isdisjoint(cells[column]) and not self.header.is_of_results
            for place, text in enumerate(cells[column])
            if text in LEFTOVERS
        ]
        for place, column in found:
            text = cells[column][place]
            wrongs.tell(place, column, f"is '{text}', {_LEFT}; fill it in, or remove the row")
        return found

    def _choices(self, cells: Cells, count: int, wrongs: _Wrongs) -> list[Choice]:
        choices = self.choices.of(cells, count)
        for place, choice in enumerate(choices):
            for column, message in choice.wrong:
                wrongs.tell(place, column, message)
        return choices

    def _prompts(self, cells: Cells, choices: Sequence[Choice], wrongs: _Wrongs) -> Sequence[str]:
        """Return the prompts, filled in; what of them can't be sent is a problem."""
        written, ends = cells["prompt"], cells["end_image"]
        limits = {choice.endpoint.max_prompt_chars or SHORT_PROMPT for choice in choices}
        if prompts.are_plain(written, max_chars=min(limits)) and not any(
            map(templates.has_braces, written)
        ):
            return written
        filled = list(written)
        for place, (prompt, choice) in enumerate(zip(written, choices, strict=True)):
            # An export has it as it was sent: filled in already.
            if templates.has_braces(prompt) and not self.header.is_of_results:
                row = {name: column[place] for name, column in cells.items() if name != "prompt"}
                filled[place], problems = templates.fill(prompt, row, named=self.header.canonical)
            else:
                problems = []
            if not problems:
                endpoint = choice.endpoint
                problems = prompts.problems(filled[place], max_chars=endpoint.max_prompt_chars)
                if endpoint.names_images:
                    # A row whose end frame is missing has been told so.
                    one = not ends[place] and self.allow_open_ended
                    problems += prompts.wrong_references(filled[place], frames=1 if one else 2)
            for message in problems:
                wrongs.tell(place, "prompt", message)
        return filled

    def _frames(
        self,
        cells: Cells,
        choices: Sequence[Choice],
        wrongs: _Wrongs,
        *,
        besides: Collection[tuple[int, str]],
    ) -> list[Sequence[str | None]]:
        """Return the columns of ``_FRAMES``; frames that are no good are told, and are none.

        The cells in ``besides`` are no good, which was told already.
        """
        starts, ends = cells["start_image"], cells["end_image"]
        if self.pictures.take_addresses(starts, ends):
            none = [None] * len(starts)
            return [starts, none, ends, none]
        self.pictures.expect([*starts, *ends])
        pairs = [
            self._pair(place, (starts[place], ends[place]), choice.endpoint, wrongs, besides)
            for place, choice in enumerate(choices)
        ]
        return list(zip(*((*start, *end) for start, end in pairs), strict=True))

    def _pair(
        self,
        place: int,
        texts: tuple[str, str],
        endpoint: Endpoint,
        wrongs: _Wrongs,
        besides: Collection[tuple[int, str]],
    ) -> tuple[Found, Found]:
        columns = ["start_image"]
        if texts[1]:
            columns.append("end_image")
        elif endpoint.end_required:
            message = f"is empty; {endpoint.title} needs an end frame"
            wrongs.tell(place, "end_image", message)
        elif not self.allow_open_ended:
            wrongs.tell(place, "end_image", _OPEN_ENDED)
        named = []
        for column, text in zip(columns, texts, strict=False):
            if (place, column) in besides:
                continue
            found = self.pictures.find(text, endpoint.image_limits)
            if isinstance(found, str):
                wrongs.tell(place, column, found)
            else:
                named.append((text, found))
        if len(named) < len(columns):
            return _NO_FRAME, _NO_FRAME
        pair, wrong = self.pictures.fitted(named)
        for index, message in wrong:
            wrongs.tell(place, columns[index], message)
        start, end, *_ = *((frame.source, frame.sha256) for frame in pair), _NO_FRAME
        return start, end

    def _extras(self, written: Cells, count: int) -> list[str]:
        """Return the columns that are carried through, as the file spells them, as JSON objects."""
        if not self.carried:
            return ["{}"] * count
        columns = []
        for name, spelled in self.carried:
            begins = f"{quoted(spelled)}:"
            texts = (bare(text) if text[:1] == "'" else text for text in written[name])
            columns.append([begins + quoted(text) for text in texts])
        return [f"{{{','.join(members)}}}" for members in zip(*columns, strict=True)]

    def _names(self, columns: Columns, naming: Naming, cells: Cells, wrongs: _Wrongs) -> list[str]:
        """Return the names that clips are to have; a row that can't get one is told."""
        places = {number: place for place, number in enumerate(wrongs.block.numbers)}
        names = []
        for row in rows_of(columns):
            place = places[row.number]
            own = {name: column[place] for name, column in cells.items()}
            name, problems = naming.name(row, own, self.header)
            for message in problems:
                wrongs.tell(place, None, f"--name {message}")
            names.append(name)
        return names


def _bare(column: Sequence[str]) -> list[str]:
    """Return cells without the spaces round them, and without what guards formulas."""
    stripped = list(map(str.strip, column))
    if "'" not in "".join(stripped):
        return stripped
    return [bare(text) if text[:1] == "'" else text for text in stripped]


def _each_take(
    facts: Mapping[str, Sequence[Any]], takes: Sequence[int], *, besides: Collection[int]
) -> dict[str, Sequence[Any]]:
    """Return rows once for each take, without those at the places ``besides``."""
    chosen = [
        (place, take)
        for place, most in enumerate(takes)
        if place not in besides
        for take in range(1, most + 1)
    ]
    repeated = {name: [column[place] for place, _ in chosen] for name, column in facts.items()}
    return {**repeated, "take": [take for _, take in chosen]}


def _tags(texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(text.replace(",", " ").split()) if text else () for text in texts]


def _numbers(
    texts: Sequence[str], default: int, limits: tuple[int, int], column: str, wrongs: _Wrongs
) -> list[int]:
    """Return whole numbers; an empty cell says the default, and so does one that is no good."""
    if not any(texts):
        return [default] * len(texts)
    numbers = [_number(text, limits) if text else default for text in texts]
    for place, number in enumerate(numbers):
        if isinstance(number, str):
            wrongs.tell(place, column, number)
    return [default if isinstance(number, str) else number for number in numbers]


def _number(text: str, limits: tuple[int, int]) -> int | str:
    """Return the number, or what is wrong with it."""
    low, high = limits
    whole = without_zeros(text)
    if not whole.lstrip("+-").isascii() or not whole.lstrip("+-").isdigit():
        return f"is '{text}'; a whole number is needed"
    number = int(whole)
    return number if low <= number <= high else f"is {number}; it may be {low} to {high}"
