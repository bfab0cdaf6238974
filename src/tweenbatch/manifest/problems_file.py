"""The file that lists all that is wrong with a manifest, beside it."""

import csv
from codecs import BOM_UTF8
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tweenbatch.errors import MOST_OF_A_KIND, ManifestError, Problem
from tweenbatch.files import atomic
from tweenbatch.files.csv_injection import guarded
from tweenbatch.manifest.formats.source import SUFFIXES
from tweenbatch.paths import PROBLEMS

COLUMNS = ("file", "row", "line", "column", "kind", "message")
_FIRST_LINE = ",".join(COLUMNS).encode()


def file_of(manifest: Path) -> Path:
    """Return where the problems of a manifest are listed."""
    return manifest.with_name(manifest.name + PROBLEMS)


def write(found: ManifestError) -> None:
    """List the problems of each manifest beside it, where there is a file and room for another.

    Nothing is written beside a file that neither is called like a manifest nor has a column of one.
    """
    for each in (found, *found.others):
        if not each.path.is_file():
            if len(each.problems) > MOST_OF_A_KIND:
                each.unlisted = "there is no file beside which to do it; plan --json has them"
            continue
        if not (each.has_columns or each.path.suffix.lower() in SUFFIXES):
            if len(each.problems) > MOST_OF_A_KIND:
                each.unlisted = "the file is no manifest; plan --json has them"
            continue
        place = file_of(each.path)
        try:
            if atomic.require_regular(place) and not is_ours(place):
                each.unlisted = f"{place.name} is somebody else's"
                continue
            with atomic.writing_text(
                place, encoding="utf-8-sig", errors="backslashreplace"
            ) as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(_cells(each.path, problem) for problem in each.problems)
        except OSError as error:
            each.unlisted = f"{place.name} can't be written: {error.strerror or error}"
        else:
            each.listed = place


def _cells(path: Path, problem: Problem) -> list[object]:
    kind = problem.kind or problem.column or "file"
    cells = (path.name, problem.row, problem.line, problem.column, kind, problem.message)
    return [guarded(cell) if isinstance(cell, str) else cell for cell in cells]


def forget(manifests: Iterable[Path]) -> None:
    """Remove the lists of manifests that have no problems any more; only ours."""
    for each in manifests:
        place = file_of(each)
        with suppress(OSError):
            if is_ours(place):
                place.unlink()


def is_ours(place: Path) -> bool:
    """Tell whether the file is such a list; a link to one is not."""
    with suppress(OSError), atomic.opened(place) as file:
        first = file.readline(len(BOM_UTF8) + len(_FIRST_LINE) + 2)
        return first.removeprefix(BOM_UTF8).rstrip() == _FIRST_LINE
    return False
