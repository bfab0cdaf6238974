"""Rows of text become checked rows, one by one, or problems with their row and column."""

import shlex
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from tweenbatch import frames, prompts
from tweenbatch.errors import Problem, UnreadableFrame
from tweenbatch.fitting import MAX_ORIGINAL_BYTES, Fitting
from tweenbatch.formulas import bare
from tweenbatch.manifest import templates
from tweenbatch.manifest.columns import Header
from tweenbatch.manifest.names import Naming
from tweenbatch.memory import Memory
from tweenbatch.models import Endpoint
from tweenbatch.preflight import Look, Preflight
from tweenbatch.records import Frame, JobSpec, Row

FRAMES = ("start_image", "end_image")
MAX_TAKES = 100
PRIORITY_LIMIT = 1_000_000
ORDER_LIMIT = 1_000_000_000


class _Report(Protocol):
    """Takes a problem of one cell: its column and what is wrong."""

    def __call__(self, column: str, message: str, /) -> None: ...


@dataclass(slots=True)
class RowReader:
    """Checks rows one by one and gathers what is wrong with them."""

    folder: Path
    header: Header
    endpoint: Endpoint
    frame_roots: Collection[Path]
    allow_open_ended: bool
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What stands where a row has an empty cell or none, by the name of the column."""
    takes: int = 1
    """For rows that don't say how many."""
    naming: Naming | None = None
    """How a person wants the clips to be named."""
    preflight: Preflight = field(default_factory=Preflight)
    """Takes note of every frame and row."""
    fitting: Fitting | None = None
    """Prepares copies of frames that are not as they should be."""
    memory: Memory = field(default_factory=Memory)
    """Knows frames that were looked at before."""
    problems: list[Problem] = field(default_factory=list)
    _frames: dict[str, Frame | str] = field(default_factory=dict)
    """A frame, or what is wrong with it, by the text that names it: each is looked at once."""

    def expect(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Recall what is known of the local frames of the rows that come next, all at once."""
        texts = {
            text
            for values in rows
            for column in FRAMES
            if (text := values.get(column) or self.defaults.get(column, "")) and "://" not in text
        }
        paths = []
        for text in texts:
            with suppress(OSError, RuntimeError):  # told where the row is read
                paths.append(self._real(bare(text.strip())))
        self.memory.expect(paths)

    def rows(self, values: Mapping[str, str], *, number: int, line: int | None) -> list[Row]:
        """Return the row once for each take; none where it has problems."""
        before = len(self.problems)

        def problem(column: str, message: str) -> None:
            self.problems.append(Problem(message=message, row=number, line=line, column=column))

        cells = {name: bare(text.strip()) for name, text in values.items()}
        for name, default in self.defaults.items():
            cells[name] = cells.get(name) or default
        cells["prompt"] = self._prompt(cells, problem)
        for wrong in prompts.problems(cells["prompt"], max_chars=self.endpoint.max_prompt_chars):
            problem("prompt", wrong)
        start = self._frame(cells["start_image"], "start_image", problem)
        end = self._end_frame(cells["end_image"], problem)
        self.preflight.note_frames(
            cells["start_image"], cells["end_image"], number=number, line=line
        )
        if self.fitting is not None and start is not None:
            start, end = self._fitted(self.fitting, cells, (start, end), problem)
        # A row whose end frame is missing has been told so.
        open_ended = not cells["end_image"] and self.allow_open_ended
        for wrong in prompts.wrong_references(cells["prompt"], frames=1 if open_ended else 2):
            problem("prompt", wrong)
        parameters = self._parameters(cells, problem)
        takes = _number(cells.get("takes", ""), self.takes, (1, MAX_TAKES), "takes", problem)
        limits = (-PRIORITY_LIMIT, PRIORITY_LIMIT)
        priority = _number(cells.get("priority", ""), 0, limits, "priority", problem)
        _number(cells.get("order", ""), 0, (0, ORDER_LIMIT), "order", problem)
        if len(self.problems) > before or start is None:
            return []
        carried = self.header.carried(self.endpoint)
        extra = {spelled: bare(values[name]) for name, spelled in carried}
        rows = [
            Row(
                number=number,
                name=cells.get("name", ""),
                spec=JobSpec(
                    endpoint=self.endpoint.id,
                    prompt=cells["prompt"],
                    start=start,
                    end=end,
                    parameters=parameters,
                    take=take,
                ),
                price_usd=self.endpoint.price_usd(parameters),
                start_image=cells["start_image"],
                end_image=cells["end_image"],
                priority=priority,
                tags=tuple(tag for tag in cells.get("tags", "").replace(",", " ").split() if tag),
                extra=extra,
            )
            for take in range(1, takes + 1)
        ]
        self.preflight.note_row(rows[0].spec, number=number, line=line)
        if self.naming is None:
            return rows
        return [self._named(row, self.naming, cells, line) for row in rows]

    def _named(self, row: Row, naming: Naming, cells: Mapping[str, str], line: int | None) -> Row:
        name, wrongs = naming.name(row, cells, self.header)
        self.problems += [
            Problem(message=f"--name {wrong}", row=row.number, line=line) for wrong in wrongs
        ]
        return replace(row, output=name)

    def _prompt(self, cells: Mapping[str, str], problem: _Report) -> str:
        prompt = cells["prompt"]
        # An export has it as it was sent: filled in already.
        if not templates.has_braces(prompt) or self.header.is_of_results:
            return prompt
        others = {name: text for name, text in cells.items() if name != "prompt"}
        filled, wrongs = templates.fill(prompt, others, named=self.header.canonical)
        for wrong in wrongs:
            problem("prompt", wrong)
        return prompt if wrongs else filled

    def _parameters(self, cells: Mapping[str, str], problem: _Report) -> dict[str, str]:
        chosen = {}
        for name, parameter in self.endpoint.parameters.items():
            text = cells.get(name, "") or parameter.default
            if text not in parameter.allowed:
                allowed = " or ".join(parameter.allowed)
                problem(name, f"is '{text}'; {self.endpoint.title} allows {allowed}")
            chosen[name] = text
        return chosen

    def _fitted(
        self,
        fitting: Fitting,
        cells: Mapping[str, str],
        pair: tuple[Frame, Frame | None],
        problem: _Report,
    ) -> tuple[Frame, Frame | None]:
        columns = ("start_image", "end_image")
        named = [
            (cells[column], frame)
            for column, frame in zip(columns, pair, strict=True)
            if frame is not None
        ]
        fitted = fitting.pair(named)
        for column, each in zip(columns, fitted, strict=False):
            if each.wrong is not None:
                problem(column, each.wrong)
        return fitted[0].frame, fitted[1].frame if len(fitted) > 1 else None

    def _end_frame(self, text: str, problem: _Report) -> Frame | None:
        if text:
            return self._frame(text, "end_image", problem)
        if self.endpoint.end_required:
            problem("end_image", f"is empty; {self.endpoint.title} needs an end frame")
        elif not self.allow_open_ended:
            problem(
                "end_image",
                "is empty; name the end frame, or let clips end freely with --allow-open-ended",
            )
        return None

    def _frame(self, text: str, column: str, problem: _Report) -> Frame | None:
        if not text:
            problem(column, "is empty; name an image file or an https URL")
            return None
        if text not in self._frames:
            self._frames[text] = self._look_at(text)
        found = self._frames[text]
        if isinstance(found, Frame):
            return found
        problem(column, found)
        return None

    def _look_at(self, text: str) -> Frame | str:
        """Return the frame, or what is wrong with it in one sentence."""
        if text.lower().startswith("https://"):
            self.preflight.note_url(text)
            return Frame(source=text)
        if "://" in text:
            return f"'{text}' is no https URL; a frame is an https URL or a local file"
        fitting = self.fitting
        limits = fitting.limits_of_originals if fitting else self.endpoint.image_limits
        try:
            real = self._real(text)
            # Before a byte of it is read.
            if not any(real.is_relative_to(root) for root in self.frame_roots):
                return f"'{text}' {_outside(real)}"
            known = self.memory.known(real, max_bytes=self._most_bytes)
            facts = known.facts if known else frames.inspect(real, max_bytes=self._most_bytes)
        except FileNotFoundError:
            wrong = [f"is not there (looked for {self._path(text)})"]
        except OSError as error:
            wrong = [f"can't be read ({error.strerror})"]
        except RuntimeError as error:  # the home of nobody; before 3.13 also links in a circle
            wrong = [f"can't be read ({error})"]
        except UnreadableFrame as error:
            wrong = [str(error)]
        else:
            wrong = frames.problems(facts, limits)
        if wrong:
            return f"'{text}' " + "; ".join(wrong)
        self._note(text, real, facts, known.look if known else None)
        return Frame(source=str(real), sha256=facts.sha256)

    @property
    def _most_bytes(self) -> int:
        return MAX_ORIGINAL_BYTES if self.fitting else frames.MAX_BYTES

    def _path(self, text: str) -> Path:
        return self.folder / Path(text).expanduser()

    def _real(self, text: str) -> Path:
        return self._path(text).resolve(strict=True)

    def _note(self, text: str, real: Path, facts: frames.FrameFacts, known: Look | None) -> None:
        looking = self.preflight.look_into(
            text, real, facts, max_bytes=self._most_bytes, known=known
        )
        if known is None:
            self.memory.note(real, facts, looking)
        if self.fitting is not None:
            self.fitting.note(text, real, facts, looking)


def _outside(real: Path) -> str:
    return (
        f"lies at {real}, outside the folders of this batch, and frames are uploaded to public"
        " addresses; copy it beside the manifest or, if all the world may see it, add"
        f" --frames {shlex.quote(str(real.parent))}"
    )


def _number(text: str, default: int, limits: tuple[int, int], column: str, problem: _Report) -> int:
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
