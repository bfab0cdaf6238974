"""A manifest file becomes rows, or every problem in it at once.

This room knows columns and files; it knows nothing of the table, of fal or of money beyond
the price that the endpoint names. Reading never changes anything.
"""

import csv
import hashlib
import io
import shlex
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from tweenbatch import frames, prompts
from tweenbatch.errors import ManifestError, Problem, UnreadableFrame
from tweenbatch.formulas import bare
from tweenbatch.models import Endpoint
from tweenbatch.records import Frame, JobSpec, Manifest, Row

ALIASES: Mapping[str, str] = {"start_image_url": "start_image", "end_image_url": "end_image"}
REQUIRED = ("prompt", "start_image", "end_image")
OPTIONAL = ("name", "takes", "priority", "tags")

HEADER_ROWS = 1
MAX_TAKES = 100
PRIORITY_LIMIT = 1_000_000


def read(
    path: Path,
    *,
    endpoint: Endpoint,
    frame_roots: Collection[Path],
    allow_open_ended: bool = False,
) -> Manifest:
    """Return the checked rows of a CSV file, one for each take.

    Local frames must lie in one of ``frame_roots``, which are real paths.
    ``allow_open_ended`` lets rows without an end frame through, where the endpoint knows such.
    Raises ``ManifestError`` with every problem of the file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ManifestError(path, [Problem(message=_unreadable(path, error))]) from error
    table, lines = _table(path, data)
    reader = _RowReader(
        folder=path.parent,
        endpoint=endpoint,
        frame_roots=frame_roots,
        allow_open_ended=allow_open_ended,
    )
    problems = list(reader.column_problems(list(table.columns)))
    rows: list[Row] = []
    if not problems:
        for index, cells in enumerate(table.itertuples(index=False, name=None)):
            values = dict(zip(table.columns, cells, strict=True))
            if any(text.strip() for text in cells):
                rows += reader.rows(values, number=index + 1 + HEADER_ROWS, line=lines[index])
        problems = reader.problems
    if not problems and not rows:
        problems = [Problem(message="there are no rows below the header; add one for each clip")]
    if problems:
        raise ManifestError(path, problems)
    digest = hashlib.sha256(data).hexdigest()
    return Manifest(path=path.absolute(), sha256=digest, rows=tuple(rows))


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if path.is_dir():
        return "this is a folder; name the manifest file in it"
    return f"can't be read ({error.strerror})"


def _table(path: Path, data: bytes) -> tuple[pd.DataFrame, list[int]]:
    """Return the cells as text and, for each row, the line of the file on which it begins."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"byte {error.start + 1} on line {line} is not UTF-8; save the file as 'CSV UTF-8'"
        )
        raise ManifestError(path, [Problem(message=message)]) from error
    if not text.strip():
        raise ManifestError(path, [Problem(message="the file is empty")])
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ManifestError(
            path, [Problem(message=f"there is a NUL byte on line {line}; this is no text file")]
        )
    header = next(csv.reader(io.StringIO(text)))
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            message = f"the columns are separated by {name}; save the file with commas"
            raise ManifestError(path, [Problem(message=message)])
    duplicates = _duplicates(header)
    if duplicates:
        raise ManifestError(
            path,
            [Problem(message="appears twice in the header", column=name) for name in duplicates],
        )
    table = _parse(path, text)
    table = table.rename(columns={name: _column(str(name)) for name in table.columns})
    return table, _first_lines(table)


def _parse(path: Path, text: str) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # A first row that is longer than the header is only warned of, and cut.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text),
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                skip_blank_lines=False,
                index_col=False,
            )
    except pd.errors.ParserWarning as error:
        message = "the rows have more cells than the header; put quotes round texts with commas"
        raise ManifestError(path, [Problem(message=message)]) from error
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        message = f"this is no well-formed CSV: {reason}; put quotes round texts with commas"
        raise ManifestError(path, [Problem(message=message)]) from error


def _duplicates(header: list[str]) -> list[str]:
    names = [_column(name) for name in header]
    return sorted({name for name in names if name and names.count(name) > 1})


def _column(name: str) -> str:
    name = name.strip().lower()
    return ALIASES.get(name, name)


def _first_lines(table: pd.DataFrame) -> list[int]:
    """A quoted cell may hold line breaks, so rows and lines drift apart."""
    breaks = pd.Series(0, index=table.index)
    for name in table.columns:
        breaks += table[name].str.count("\n")
    header_lines = HEADER_ROWS + sum(str(name).count("\n") for name in table.columns)
    before = breaks.cumsum().shift(fill_value=0)
    return [int(drift) + index + 1 + header_lines for index, drift in enumerate(before)]


class _Report(Protocol):
    """Takes a problem of one cell: its column and what is wrong."""

    def __call__(self, column: str, message: str, /) -> None: ...


@dataclass(slots=True)
class _RowReader:
    """Checks rows one by one and gathers what is wrong with them."""

    folder: Path
    endpoint: Endpoint
    frame_roots: Collection[Path]
    allow_open_ended: bool
    problems: list[Problem] = field(default_factory=list)
    _frames: dict[str, Frame | str] = field(default_factory=dict)
    """A frame, or what is wrong with it, by the text that names it: each is looked at once."""

    def column_problems(self, columns: list[str]) -> list[Problem]:
        """Return what is wrong with the header."""
        found = [
            Problem(
                message=f"this column is missing; the header has {', '.join(columns)}",
                column=name,
            )
            for name in REQUIRED
            if name not in columns
        ]
        for name in columns:
            if name in self.endpoint.not_offered:
                reason = self.endpoint.not_offered[name]
                message = f"{self.endpoint.title} would ignore it: {reason}; remove the column"
                found.append(Problem(message=message, column=name))
        return found

    def rows(self, values: Mapping[str, str], *, number: int, line: int) -> list[Row]:
        """Return the row once for each take; none where it has problems."""
        before = len(self.problems)

        def problem(column: str, message: str) -> None:
            self.problems.append(Problem(message=message, row=number, line=line, column=column))

        cells = {name: bare(text.strip()) for name, text in values.items()}
        for wrong in prompts.problems(cells["prompt"], max_chars=self.endpoint.max_prompt_chars):
            problem("prompt", wrong)
        start = self._frame(cells["start_image"], "start_image", problem)
        end = self._end_frame(cells["end_image"], problem)
        parameters = self._parameters(cells, problem)
        takes = _number(cells.get("takes", ""), 1, (1, MAX_TAKES), "takes", problem)
        limits = (-PRIORITY_LIMIT, PRIORITY_LIMIT)
        priority = _number(cells.get("priority", ""), 0, limits, "priority", problem)
        if len(self.problems) > before or start is None:
            return []
        known = {*REQUIRED, *OPTIONAL, *self.endpoint.parameters}
        return [
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
                extra={name: values[name] for name in values if name not in known},
            )
            for take in range(1, takes + 1)
        ]

    def _parameters(self, cells: Mapping[str, str], problem: _Report) -> dict[str, str]:
        chosen = {}
        for name, parameter in self.endpoint.parameters.items():
            text = cells.get(name, "") or parameter.default
            if text not in parameter.allowed:
                allowed = " or ".join(parameter.allowed)
                problem(name, f"is '{text}'; {self.endpoint.title} allows {allowed}")
            chosen[name] = text
        return chosen

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
            return Frame(source=text)
        if "://" in text:
            return f"'{text}' is no https URL; a frame is an https URL or a local file"
        try:
            path = self.folder / Path(text).expanduser()
            real = path.resolve(strict=True)
            # Before a byte of it is read.
            if not any(real.is_relative_to(root) for root in self.frame_roots):
                return f"'{text}' {_outside(real)}"
            facts = frames.inspect(real)
        except FileNotFoundError:
            wrong = [f"is not there (looked for {path})"]
        except OSError as error:
            wrong = [f"can't be read ({error.strerror})"]
        except RuntimeError as error:  # the home of nobody; before 3.13 also links in a circle
            wrong = [f"can't be read ({error})"]
        except UnreadableFrame as error:
            wrong = [str(error)]
        else:
            wrong = frames.problems(facts, self.endpoint.image_limits)
        if wrong:
            return f"'{text}' " + "; ".join(wrong)
        return Frame(source=str(real), sha256=facts.sha256)


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
