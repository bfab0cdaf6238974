"""Check rows of text: return valid rows, and problems with their row and column.

Rows are checked in blocks, column by column. Only a column that may have a problem is checked
cell by cell.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tweenbatch.files.csv_injection import bare
from tweenbatch.manifest import prompts, templates
from tweenbatch.manifest.cells import BlockProblems, bare_cells, tags, whole_numbers
from tweenbatch.manifest.choices import Choice, Choices
from tweenbatch.manifest.clip_names import Naming
from tweenbatch.manifest.columns import REQUIRED, Header
from tweenbatch.manifest.formats.bounds import Problems
from tweenbatch.manifest.formats.sheet import Block
from tweenbatch.manifest.frame_lookup import FrameLookup
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.models import Endpoint
from tweenbatch.records import content_key, identity, quoted
from tweenbatch.records.manifest import Columns, ContentColumns, Row, rows_of

MAX_TAKES = 100
PRIORITY_LIMIT = 1_000_000
ORDER_LIMIT = 1_000_000_000

SHORT_PROMPT = 1_000
"""Length up to which a prompt needs no check of its own if the model's limit is unknown."""

LEFTOVERS = frozenset(
    {
        *("nan", "NaN", "NAN", "None", "null", "NULL", "<NA>", "NaT"),
        *("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#GETTING_DATA"),
    }
)
"""Texts that spreadsheets and programs write for an empty cell or a failed formula."""

_LEFTOVER = "which programs write for an empty cell or a failed formula"
_OPEN_ENDED = "is empty; name the end frame, or allow clips without one with --allow-open-ended"


Cells = Mapping[str, Sequence[str]]
"""The stripped cells of a block's rows, by column name."""

FrameSource = tuple[str, str | None] | tuple[None, None]
"""Source and digest of a frame; (None, None) if a row has none."""

_NO_FRAME: FrameSource = (None, None)
_FRAMES = ("start_source", "start_sha256", "end_source", "end_sha256")


@dataclass(slots=True, kw_only=True)
class RowReader:
    """Checks rows and collects their problems."""

    header: Header
    choices: Choices
    frames: FrameLookup
    preflight: Preflight
    """Records every row for later warnings."""
    carried: Sequence[tuple[str, str]]
    """Name and spelling of the columns that are carried through to the export."""
    allow_open_ended: bool
    problems: Problems
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Values for empty and missing cells, by column name."""
    takes: int = 1
    """Takes of rows that have no number of their own."""
    naming: Naming | None = None
    """The template of clip names."""

    def rows(self, block: Block) -> Columns:
        """Return the valid rows, each once for each take."""
        count = len(block.numbers)
        written = dict(zip(self.header.names, block.columns, strict=True))
        cells: dict[str, Sequence[str]] = {
            name: bare_cells(column) for name, column in written.items()
        }
        for name, default in self.defaults.items():
            cells[name] = [text or default for text in cells.get(name, [""] * count)]
        wrongs = BlockProblems(block=block)
        leftovers = self._leftovers(cells, wrongs)
        choices = self._choices(cells, count, wrongs)
        cells["prompt"] = self._prompts(cells, choices, wrongs)
        frames = self._frames(cells, choices, wrongs, skip=leftovers)
        self.preflight.note_frames(
            cells["start_image"], cells["end_image"], block.numbers, block.lines
        )
        none = [""] * count
        takes = whole_numbers(cells.get("takes", none), self.takes, (1, MAX_TAKES), "takes", wrongs)
        limits = (-PRIORITY_LIMIT, PRIORITY_LIMIT)
        priorities = whole_numbers(cells.get("priority", none), 0, limits, "priority", wrongs)
        whole_numbers(cells.get("order", none), 0, (0, ORDER_LIMIT), "order", wrongs)
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
            "tags": tags(cells.get("tags", none)),
            "extra_json": self._extras(written, count),
            "take": takes,
        }
        if wrongs.indexes or max(takes) > 1:
            facts = _each_take(facts, takes, skip=wrongs.indexes)
        columns = self._finished(facts)
        if self.naming is not None:
            columns["output"] = self._names(columns, self.naming, cells, wrongs)
        self.problems.note(wrongs.problems)
        return columns

    def _finished(self, facts: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return all columns of valid rows; record their contents for the preflight."""
        choices: Sequence[Choice] = facts["choice"]
        ends = zip(facts["end_source"], facts["end_sha256"], strict=True)
        contents = ContentColumns(
            commons=[choice.common for choice in choices],
            prompts=facts["prompt"],
            starts=list(map(identity, facts["start_source"], facts["start_sha256"])),
            ends=[None if source is None else identity(source, digest) for source, digest in ends],
        )
        self.preflight.note_rows(contents, facts["number"], facts["line"])
        finished = {
            **facts,
            "key": list(map(content_key, *contents, facts["take"])),
            "kind": [choice.kind for choice in choices],
            "output": [""] * len(choices),
        }
        return {name: finished[name] for name in Row._fields}

    def _leftovers(self, cells: Cells, wrongs: BlockProblems) -> Collection[tuple[int, str]]:
        """Report cells that hold a leftover of an empty one; an export's cells are intended."""
        leftovers = [
            (index, column)
            for column in REQUIRED
            if not LEFTOVERS.isdisjoint(cells[column]) and not self.header.is_of_results
            for index, text in enumerate(cells[column])
            if text in LEFTOVERS
        ]
        for index, column in leftovers:
            text = cells[column][index]
            wrongs.add(index, column, f"is '{text}', {_LEFTOVER}; fill it in, or remove the row")
        return leftovers

    def _choices(self, cells: Cells, count: int, wrongs: BlockProblems) -> list[Choice]:
        choices = self.choices.of(cells, count)
        for index, choice in enumerate(choices):
            for column, message in choice.wrong:
                wrongs.add(index, column, message)
        return choices

    def _prompts(
        self, cells: Cells, choices: Sequence[Choice], wrongs: BlockProblems
    ) -> Sequence[str]:
        """Return the prompts, filled in; report those that can't be sent."""
        written, ends = cells["prompt"], cells["end_image"]
        limits = {choice.endpoint.max_prompt_chars or SHORT_PROMPT for choice in choices}
        if prompts.are_plain(written, max_chars=min(limits)) and not any(
            map(templates.has_braces, written)
        ):
            return written
        filled = list(written)
        for index, (prompt, choice) in enumerate(zip(written, choices, strict=True)):
            # An export holds prompts as they were sent: filled in already.
            if templates.has_braces(prompt) and not self.header.is_of_results:
                row = {name: column[index] for name, column in cells.items() if name != "prompt"}
                filled[index], problems = templates.fill(prompt, row, named=self.header.canonical)
            else:
                problems = []
            if not problems:
                endpoint = choice.endpoint
                problems = prompts.problems(filled[index], max_chars=endpoint.max_prompt_chars)
                if endpoint.names_images:
                    # A row without its required end frame is reported elsewhere.
                    one = not ends[index] and self.allow_open_ended
                    problems += prompts.wrong_references(filled[index], frames=1 if one else 2)
            for message in problems:
                wrongs.add(index, "prompt", message)
        return filled

    def _frames(
        self,
        cells: Cells,
        choices: Sequence[Choice],
        wrongs: BlockProblems,
        *,
        skip: Collection[tuple[int, str]],
    ) -> list[Sequence[str | None]]:
        """Return the columns of ``_FRAMES``; report invalid frames and leave them out.

        The cells in ``skip`` are invalid and already reported.
        """
        starts, ends = cells["start_image"], cells["end_image"]
        if self.frames.take_addresses(starts, ends):
            none = [None] * len(starts)
            return [starts, none, ends, none]
        self.frames.expect([*starts, *ends])
        pairs = [
            self._pair(index, (starts[index], ends[index]), choice.endpoint, wrongs, skip)
            for index, choice in enumerate(choices)
        ]
        return list(zip(*((*start, *end) for start, end in pairs), strict=True))

    def _pair(
        self,
        index: int,
        texts: tuple[str, str],
        endpoint: Endpoint,
        wrongs: BlockProblems,
        skip: Collection[tuple[int, str]],
    ) -> tuple[FrameSource, FrameSource]:
        columns = ["start_image"]
        if texts[1]:
            columns.append("end_image")
        elif endpoint.end_required:
            message = f"is empty; {endpoint.title} needs an end frame"
            wrongs.add(index, "end_image", message)
        elif not self.allow_open_ended:
            wrongs.add(index, "end_image", _OPEN_ENDED)
        named = []
        for column, text in zip(columns, texts, strict=False):
            if (index, column) in skip:
                continue
            frame = self.frames.find(text, endpoint.image_limits)
            if isinstance(frame, str):
                wrongs.add(index, column, frame)
            else:
                named.append((text, frame))
        if len(named) < len(columns):
            return _NO_FRAME, _NO_FRAME
        pair, wrong = self.frames.fitted(named)
        for which, message in wrong:
            wrongs.add(index, columns[which], message)
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

    def _names(
        self, columns: Columns, naming: Naming, cells: Cells, wrongs: BlockProblems
    ) -> list[str]:
        """Return the names of the clips; report a row whose name is invalid."""
        indexes = {number: index for index, number in enumerate(wrongs.block.numbers)}
        names = []
        for row in rows_of(columns):
            index = indexes[row.number]
            own = {name: column[index] for name, column in cells.items()}
            name, problems = naming.name(row, own, self.header)
            for message in problems:
                wrongs.add(index, None, f"--name {message}")
            names.append(name)
        return names


def _each_take(
    facts: Mapping[str, Sequence[Any]], takes: Sequence[int], *, skip: Collection[int]
) -> dict[str, Sequence[Any]]:
    """Return rows once for each take, without those at the indexes in ``skip``."""
    chosen = [
        (index, take)
        for index, most in enumerate(takes)
        if index not in skip
        for take in range(1, most + 1)
    ]
    repeated = {name: [column[index] for index, _ in chosen] for name, column in facts.items()}
    return {**repeated, "take": [take for _, take in chosen]}
