"""From a file to its manifest: sheet, header, rows, problems."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from tweenbatch import places
from tweenbatch.errors import ManifestError, Problem
from tweenbatch.fitting import Fit
from tweenbatch.manifest import delimited
from tweenbatch.manifest.columns import Header
from tweenbatch.manifest.names import Naming, refuse_clashes
from tweenbatch.manifest.rows import RowReader
from tweenbatch.manifest.sheet import Sheet
from tweenbatch.manifest.spool import Spool
from tweenbatch.memory import Memory
from tweenbatch.models import DEFAULT, Endpoint
from tweenbatch.preflight import Preflight, is_hint
from tweenbatch.records import Manifest

NAMELESS = "Unnamed: "
"""What pandas calls a column without a name, with its number behind."""

AHEAD = 1_000
"""Of so many rows the frames are recalled at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a person wants manifests to be read."""

    endpoint: Endpoint = DEFAULT
    frames: tuple[Path, ...] = ()
    """Folders, besides those of the batch, whose images may be uploaded."""
    allow_open_ended: bool = False
    """Let rows without an end frame through, where the endpoint knows such."""
    keep: tuple[str, ...] = ()
    """Columns to carry through although their names look like a known one's."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """What stands where a row has an empty cell or none, by column."""
    takes: int = 1
    """For rows that don't say how many."""
    naming: Naming | None = None
    """How clips are to be named; None: by their names or rows."""
    strict: bool = False
    """Refuse what would only be warned of, but for hints."""
    check_urls: bool = False
    """Ask every https address of a frame whether there is an image."""
    fit: Fit | None = None
    """Use prepared copies of frames that are not as they should be."""
    memory: Memory = field(default_factory=Memory)
    """Knows frames that were looked at before, and takes note of those that are looked at now."""


def read_all(paths: Iterable[Path], reading: Reading) -> list[Manifest]:
    """Return the checked manifests of one run, whose clips never ask for one name.

    Raises ``ManifestError`` with every problem of a file.
    """
    manifests = [read(path, reading) for path in paths]
    if reading.naming is not None:
        refuse_clashes(manifests)
    return manifests


def read(path: Path, reading: Reading) -> Manifest:
    """Return the checked rows of a manifest, one for each take.

    Raises ``ManifestError`` with every problem of the file.
    """
    sheet = _named(delimited.load(path))
    header = Header.of(sheet.cells.columns, keep=reading.keep)
    defaults = {header.canonical(name): value for name, value in reading.defaults.items()}
    problems = header.problems(reading.endpoint, defaults=defaults)
    if len(defaults) < len(reading.defaults):
        twice = f"{' and '.join(reading.defaults)} have a default, and two of them mean the same"
        problems.append(Problem(message=f"{twice}; leave one"))
    if reading.naming is not None:
        problems += reading.naming.problems(header, defaults)
    if problems:
        raise ManifestError(path, problems)
    limits = reading.endpoint.image_limits
    with Preflight(
        fitted=reading.fit is not None,
        asks_urls_for_at_most=limits.max_bytes if reading.check_urls else None,
    ) as preflight:
        reader = RowReader(
            folder=path.parent,
            header=header,
            frame_roots=places.frame_roots(path, reading.frames),
            endpoint=reading.endpoint,
            allow_open_ended=reading.allow_open_ended,
            defaults=defaults,
            takes=reading.takes,
            naming=reading.naming,
            preflight=preflight,
            fitting=reading.fit.to(limits) if reading.fit else None,
            memory=reading.memory,
        )
        rows = _rows(sheet, reader)
        problems, warnings = preflight.told()
    problems += reader.problems
    if reading.strict:
        problems += [warning for warning in warnings if not is_hint(warning)]
    if problems:
        raise ManifestError(path, sorted(problems, key=lambda problem: problem.row or 0))
    if not rows:
        nothing = "there are no rows below the header; add one for each clip"
        raise ManifestError(path, [Problem(message=nothing)])
    return Manifest(
        path=path.absolute(),
        sha256=sheet.sha256,
        rows=rows,
        warnings=tuple(warnings),
        fitted=tuple(reader.fitting.done) if reader.fitting else (),
        mapped=header.mapped,
    )


def _rows(sheet: Sheet, reader: RowReader) -> Spool:
    rows = Spool()
    filled = _filled(sheet, reader.header)
    while ahead := list(islice(filled, AHEAD)):
        reader.expect(values for values, _, _ in ahead)
        for values, number, line in ahead:
            for row in reader.rows(values, number=number, line=line):
                rows.add(row)
    return rows


def _filled(sheet: Sheet, header: Header) -> Iterator[tuple[dict[str, str], int, int | None]]:
    lines: Sequence[int | None] = sheet.lines or [None] * len(sheet.numbers)
    table = sheet.cells.itertuples(index=False, name=None)
    for cells, number, line in zip(table, sheet.numbers, lines, strict=True):
        if any(text.strip() for text in cells):
            yield dict(zip(header.names, cells, strict=True)), number, line


def _named(sheet: Sheet) -> Sheet:
    """Leave out empty columns without a name, which spreadsheets put behind the last."""
    empty = [
        name
        for name in sheet.cells.columns
        if str(name).startswith(NAMELESS) and not sheet.cells[name].str.strip().any()
    ]
    return replace(sheet, cells=sheet.cells.drop(columns=empty)) if empty else sheet
