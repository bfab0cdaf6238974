"""The file that lists all that is wrong with a manifest, beside it."""

import csv
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tweenbatch.errors import MOST_OF_A_KIND, ManifestError, Problem
from tweenbatch.files.csv_injection import guarded
from tweenbatch.paths import PROBLEMS

COLUMNS = ("file", "row", "line", "column", "kind", "message")


def file_of(manifest: Path) -> Path:
    """Return where the problems of a manifest are listed."""
    return manifest.with_name(manifest.name + PROBLEMS)


def write(found: ManifestError) -> None:
    """List the problems of each manifest beside it, where there is a file and room for another."""
    for each in (found, *found.others):
        if not each.path.is_file():
            if len(each.problems) > MOST_OF_A_KIND:
                each.unlisted = "there is no file beside which to do it; plan --json has them"
            continue
        place = file_of(each.path)
        if place.exists() and not _is_ours(place):
            each.unlisted = f"{place.name} is somebody else's"
            continue
        part = place.with_name(place.name + ".part")
        try:
            with part.open(
                "w", encoding="utf-8-sig", errors="backslashreplace", newline=""
            ) as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(_cells(each.path, problem) for problem in each.problems)
            part.replace(place)
        except OSError as error:
            each.unlisted = f"{place.name} can't be written: {error.strerror or error}"
            with suppress(OSError):
                part.unlink(missing_ok=True)
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
            if _is_ours(place):
                place.unlink()


def _is_ours(place: Path) -> bool:
    with suppress(OSError, UnicodeDecodeError), place.open(encoding="utf-8-sig") as file:
        return file.readline().strip() == ",".join(COLUMNS)
    return False
