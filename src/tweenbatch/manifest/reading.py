"""From a file to its manifest: sheet, header, rows, problems."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tweenbatch import paths as places
from tweenbatch.errors import ManifestError, Problem, TweenbatchError
from tweenbatch.frames.cache import FrameCache
from tweenbatch.frames.fit import Fit, Fitting
from tweenbatch.frames.warnings import is_hint
from tweenbatch.manifest import files as finding
from tweenbatch.manifest import shape
from tweenbatch.manifest.choices import Choices
from tweenbatch.manifest.clip_names import Naming, refuse_clashes
from tweenbatch.manifest.columns import MODEL, REQUIRED, Header
from tweenbatch.manifest.formats import delimited, foreign, source
from tweenbatch.manifest.formats import json_rows as documents
from tweenbatch.manifest.formats import typed_tables as tables
from tweenbatch.manifest.formats.bounds import Problems
from tweenbatch.manifest.formats.sheet import Sheet
from tweenbatch.manifest.formats.source import Format, Source
from tweenbatch.manifest.frame_lookup import Pictures
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.manifest.rows import RowReader
from tweenbatch.manifest.spool import Spool
from tweenbatch.models import DEFAULT, ENDPOINTS, USUAL_LIMITS, Endpoint
from tweenbatch.records.manifest import LastImport, Manifest
from tweenbatch.version import __version__

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NOTHING = "there are no rows below the header; add one for each clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a person wants manifests to be read."""

    endpoint: Endpoint = DEFAULT
    """That of the rows which name none themselves."""
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
    memory: FrameCache = field(default_factory=FrameCache)
    """Knows frames that were looked at before, and takes note of those that are looked at now."""
    latest: LastImport | None = None
    """The last import of the table: a file that made it is not read again."""

    @property
    def digest(self) -> str | None:
        """Stand for all that makes rows of the bytes of a file; None: what lies outside counts."""
        if self.fit is not None or self.check_urls:
            return None
        told = (
            *(__version__, list(ENDPOINTS.values()), self.endpoint),
            *(self.allow_open_ended, self.keep, dict(self.defaults), self.takes, self.naming),
        )
        return hashlib.sha256(repr(told).encode()).hexdigest()


def read_all(paths: Iterable[Path], reading: Reading) -> list[Manifest]:
    """Return the checked manifests of one run, whose clips never ask for one name.

    ``paths`` are files, patterns that name some, or ``-`` for the standard input. Raises
    ``ManifestError`` with every problem of every file.
    """
    manifests, wrong = [], []
    files = list(finding.files(paths))
    if len(files) > 1:
        # The rows of one import can't be told from those of several.
        reading = replace(reading, latest=None)
    for path in files:
        try:
            manifests.append(read(path, reading))
        except ManifestError as error:
            wrong.append(error)
        except (TweenbatchError, OSError, MemoryError):
            raise  # of the table, the disk or the machine, not of this file
        except Exception as error:  # a process boundary: a fault of ours holds up no other file
            log.exception("manifest not read path=%s", path)
            message = (
                f"can't be read ({type(error).__name__}: a fault of tweenbatch; please report it)"
            )
            wrong.append(ManifestError(source.named(path), [Problem(message=message)]))
    if wrong:
        first, *others = wrong
        raise ManifestError(first.path, first.problems, others, has_columns=first.has_columns)
    if reading.naming is not None:
        refuse_clashes(manifests)
    return manifests


def read(path: Path, reading: Reading) -> Manifest:
    """Return the checked rows of a manifest, one for each take.

    Raises ``ManifestError`` with every problem of the file.
    """
    with source.opened(path) as opened:
        return _checked(foreign.load(_LOADERS[opened.format], opened), reading)


def from_dataframe(frame: "pd.DataFrame", path: Path, reading: Reading) -> Manifest:
    """Return the checked rows of a pandas DataFrame, as those of a file called ``path``.

    The table knows the batch by that path, and frames without a folder lie beside it. The first
    row counts as row 2, below the header. Raises ``ManifestError`` with every problem.
    """
    return _checked(tables.of_dataframe(frame, path), reading)


_LOADERS: Mapping[Format, Callable[[Source], Sheet]] = MappingProxyType(
    {
        Format.DELIMITED: delimited.load,
        Format.JSON_LINES: documents.load,
        Format.JSON: documents.load,
        Format.PARQUET: tables.load,
        Format.XLSX: tables.load,
    }
)


def _checked(sheet: Sheet, reading: Reading) -> Manifest:
    sheet = replace(sheet, header=shape.trimmed(sheet.header))
    header = _understood(sheet, reading)
    strays = list(header.strays(reading.endpoint, defaults=_defaults(header, reading)))
    path, digest, latest = sheet.path.absolute(), reading.digest, reading.latest
    same = latest and (latest.path, latest.sha256, latest.reading) == (path, sheet.sha256, digest)
    if same:
        return Manifest(
            path=path,
            sha256=sheet.sha256,
            rows=Spool(),
            reading=digest,
            same_as=latest,
            mapped=header.mapped,
            own_columns=header.own(reading.endpoint),
        )
    limits = reading.endpoint.image_limits or USUAL_LIMITS
    fitting = reading.fit.to(limits) if reading.fit else None
    with Preflight(
        fitted=fitting is not None,
        asks_urls_for_at_most=limits.max_bytes if reading.check_urls else None,
    ) as preflight:
        reader = _reader(sheet.path, header, reading, preflight, fitting)
        rows = Spool()
        for block in shape.blocks(sheet):
            rows.extend(reader.rows(block))
        problems, noticed = preflight.told()
    warnings = [*sheet.warnings, *noticed]
    problems += [*strays, *sheet.problems, *reader.problems]
    if reading.strict:
        problems += [warning for warning in warnings if not is_hint(warning)]
    if problems:
        problems.sort(key=lambda problem: problem.row or 0)
        raise ManifestError(sheet.path, problems, has_columns=True)
    if not rows:
        raise ManifestError(sheet.path, [Problem(message=NOTHING)])
    return Manifest(
        path=path,
        sha256=sheet.sha256,
        rows=rows,
        # Local frames are looked at, and warnings told, anew each time.
        reading=None if warnings or reader.pictures.any_local else digest,
        warnings=tuple(warnings),
        fitted=tuple(fitting.done) if fitting else (),
        mapped=header.mapped,
        own_columns=header.own(reading.endpoint),
    )


def _understood(sheet: Sheet, reading: Reading) -> Header:
    """Return what the header means; raise ``ManifestError`` where it can't be worked with."""
    if twice := shape.named_twice(sheet.header):
        raise ManifestError(sheet.path, twice)
    if not sheet.header:
        raise ManifestError(sheet.path, sheet.problems or [Problem(message=NOTHING)])
    header = Header.of(shape.named(sheet.header), keep=reading.keep)
    defaults = _defaults(header, reading)
    problems = header.gaps(defaults=defaults)
    if reading.endpoint.price is None and MODEL not in header.names:
        problems.append(Problem(message=reading.endpoint.price_wanted))
    if len(defaults) < len(reading.defaults):
        message = f"{' and '.join(reading.defaults)} have a default, and two of them mean the same"
        problems.append(Problem(message=f"{message}; leave one"))
    if reading.naming is not None:
        problems += reading.naming.problems(header, defaults)
    if problems:
        strays = header.strays(reading.endpoint, defaults=defaults)
        raise ManifestError(
            sheet.path,
            [*sheet.problems, *problems, *strays],
            has_columns=any(name in header.names for name in REQUIRED),
        )
    return header


def _reader(
    path: Path, header: Header, reading: Reading, preflight: Preflight, fitting: Fitting | None
) -> RowReader:
    defaults = _defaults(header, reading)
    return RowReader(
        header=header,
        choices=Choices(reading.endpoint, {*header.names, *defaults} - header.keep),
        pictures=Pictures(
            folder=path.parent,
            roots=places.frame_roots(path, reading.frames),
            preflight=preflight,
            fitting=fitting,
            memory=reading.memory,
        ),
        preflight=preflight,
        carried=tuple(header.carried(reading.endpoint)),
        allow_open_ended=reading.allow_open_ended,
        problems=Problems(path),
        defaults=defaults,
        takes=reading.takes,
        naming=reading.naming,
    )


def _defaults(header: Header, reading: Reading) -> dict[str, str]:
    return {header.canonical(name): value for name, value in reading.defaults.items()}
