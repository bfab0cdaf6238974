"""The CSV file beside a manifest that lists all its problems."""

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
    """Return the path of a manifest's list of problems."""
    return manifest.with_name(manifest.name + PROBLEMS)


def write(found: ManifestError) -> None:
    """Write the problems of each manifest to a file beside it, if possible.

    Writes nothing beside a file that has neither the suffix nor a column of a manifest.
    """
    for each in (found, *found.others):
        if not each.path.is_file():
            if len(each.problems) > MOST_OF_A_KIND:
                each.unlisted = "the manifest is not a file; plan --json shows all of them"
            continue
        if not (each.has_columns or each.path.suffix.lower() in SUFFIXES):
            if len(each.problems) > MOST_OF_A_KIND:
                each.unlisted = "the file isn't a manifest; plan --json shows all of them"
            continue
        list_path = file_of(each.path)
        try:
            if atomic.require_regular(list_path) and not is_ours(list_path):
                each.unlisted = f"{list_path.name} exists and is another kind of file; rename it"
                continue
            with atomic.writing_text(
                list_path, encoding="utf-8-sig", errors="backslashreplace"
            ) as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(_cells(each.path, problem) for problem in each.problems)
        except OSError as error:
            each.unlisted = f"{list_path.name} can't be written: {error.strerror or error}"
        else:
            each.listed = list_path


def _cells(path: Path, problem: Problem) -> list[object]:
    kind = problem.kind or problem.column or "file"
    cells = (path.name, problem.row, problem.line, problem.column, kind, problem.message)
    return [guarded(cell) if isinstance(cell, str) else cell for cell in cells]


def forget(manifests: Iterable[Path]) -> None:
    """Remove the lists of manifests that no longer have problems; remove no other file."""
    for each in manifests:
        list_path = file_of(each)
        with suppress(OSError):
            if is_ours(list_path):
                list_path.unlink()


def is_ours(path: Path) -> bool:
    """Return whether the file is a list of problems; a link to one is not."""
    with suppress(OSError), atomic.opened(path) as file:
        first = file.readline(len(BOM_UTF8) + len(_FIRST_LINE) + 2)
        return first.removeprefix(BOM_UTF8).rstrip() == _FIRST_LINE
    return False
