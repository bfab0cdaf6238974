"""Read a manifest: open the file, check the header and the rows, collect the problems."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tweenbatch.errors import ManifestError, Problem, TweenbatchError
from tweenbatch.frames.cache import FrameCache
from tweenbatch.frames.fit import Fit, Fitting
from tweenbatch.frames.warnings import is_hint
from tweenbatch.manifest import patterns, shape
from tweenbatch.manifest.choices import Choices
from tweenbatch.manifest.clip_names import Naming, refuse_clashes
from tweenbatch.manifest.columns import MODEL, REQUIRED, Header
from tweenbatch.manifest.formats import delimited, foreign, json_rows, source, typed_tables
from tweenbatch.manifest.formats.bounds import Problems
from tweenbatch.manifest.formats.sheet import Sheet
from tweenbatch.manifest.formats.source import Format, Source
from tweenbatch.manifest.frame_lookup import FrameLookup
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.manifest.rows import RowReader
from tweenbatch.manifest.spool import Spool
from tweenbatch.models import DEFAULT, ENDPOINTS, USUAL_LIMITS, Endpoint
from tweenbatch.paths import frame_roots
from tweenbatch.records.manifest import LastImport, Manifest
from tweenbatch.version import __version__

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NOTHING = "there are no rows below the header; add one for each clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Options for reading manifests."""

    endpoint: Endpoint = DEFAULT
    """The endpoint of rows that name none."""
    frames: tuple[Path, ...] = ()
    """Further folders whose images may be uploaded."""
    allow_open_ended: bool = False
    """Accept rows without an end frame, if the endpoint does."""
    keep: tuple[str, ...] = ()
    """Columns to carry through although their names resemble a known one."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Values for empty and missing cells, by column."""
    takes: int = 1
    """Takes of rows that have no number of their own."""
    naming: Naming | None = None
    """The template of clip names; None: the row's name or number."""
    strict: bool = False
    """Turn warnings into problems, except hints."""
    check_urls: bool = False
    """Check that every https URL of a frame serves an image."""
    fit: Fit | None = None
    """Use prepared copies of frames that don't fit the model."""
    memory: FrameCache = field(default_factory=FrameCache)
    """Facts about frames inspected before; also collects new ones."""
    latest: LastImport | None = None
    """The last import of the job table: the same file is not read again."""

    @property
    def digest(self) -> str | None:
        """Digest of all options that affect rows; None if rows also depend on other files."""
        if self.fit is not None or self.check_urls:
            return None
        options = (
            *(__version__, list(ENDPOINTS.values()), self.endpoint),
            *(self.allow_open_ended, self.keep, dict(self.defaults), self.takes, self.naming),
        )
        return hashlib.sha256(repr(options).encode()).hexdigest()


def read_all(paths: Iterable[Path], reading: Reading) -> list[Manifest]:
    """Return the checked manifests of one run; no two clips have the same name.

    ``paths`` are files, patterns, or ``-`` for standard input. Raises ``ManifestError`` with
    every problem of every file.
    """
    manifests, wrong = [], []
    files = patterns.expand(paths)
    if len(files) > 1:
        # An import of several files doesn't record which rows came from which.
        reading = replace(reading, latest=None)
    for path in files:
        try:
            manifests.append(read(path, reading))
        except ManifestError as error:
            wrong.append(error)
        except (TweenbatchError, OSError, MemoryError):
            raise  # a failure of the job table, the disk or the machine, not of this file
        except Exception as error:  # a process boundary: a bug must not block the other files
            log.exception("manifest not read path=%s", path)
            message = (
                f"can't be read because of a bug in tweenbatch ({type(error).__name__}); "
                "please report it"
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
    """Return the checked rows of a pandas DataFrame, as if read from the file ``path``.

    The job table identifies the batch by that path, and relative frame paths start at its folder.
    The first row is row 2, below the header. Raises ``ManifestError`` with every problem.
    """
    return _checked(typed_tables.of_dataframe(frame, path), reading)


_LOADERS: Mapping[Format, Callable[[Source], Sheet]] = MappingProxyType(
    {
        Format.DELIMITED: delimited.load,
        Format.JSON_LINES: json_rows.load,
        Format.JSON: json_rows.load,
        Format.PARQUET: typed_tables.load,
        Format.XLSX: typed_tables.load,
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
        max_url_bytes=limits.max_bytes if reading.check_urls else None,
    ) as preflight:
        reader = _reader(sheet.path, header, reading, preflight, fitting)
        rows = Spool()
        for block in shape.blocks(sheet):
            rows.extend(reader.rows(block))
        problems, preflight_warnings = preflight.findings()
    warnings = [*sheet.warnings, *preflight_warnings]
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
        # Local frames are checked, and warnings shown, every time.
        reading=None if warnings or reader.frames.any_local else digest,
        warnings=tuple(warnings),
        fitted=tuple(fitting.done) if fitting else (),
        mapped=header.mapped,
        own_columns=header.own(reading.endpoint),
    )


def _understood(sheet: Sheet, reading: Reading) -> Header:
    """Return the columns of the header; raise ``ManifestError`` if it is unusable."""
    if twice := shape.named_twice(sheet.header):
        raise ManifestError(sheet.path, twice)
    if not sheet.header:
        raise ManifestError(sheet.path, sheet.problems or [Problem(message=NOTHING)])
    header = Header.of(shape.named(sheet.header), keep=reading.keep)
    defaults = _defaults(header, reading)
    problems = header.gaps(defaults=defaults)
    if reading.endpoint.price is None and MODEL not in header.names:
        problems.append(Problem(message=reading.endpoint.unknown_price))
    if len(defaults) < len(reading.defaults):
        names = " and ".join(reading.defaults)
        message = f"the defaults of {names} (--set) name one column twice; remove one"
        problems.append(Problem(message=message))
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
        frames=FrameLookup(
            folder=path.parent,
            roots=frame_roots(path, reading.frames),
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
