"""Clip names from the ``--name`` template, filled in from each row.

Every part of a name is valid on all common file systems. It does not know the names of earlier
runs.
"""

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from tweenbatch.errors import ManifestError, Problem, UsageError
from tweenbatch.files.names import slug
from tweenbatch.manifest import templates
from tweenbatch.manifest.columns import Header
from tweenbatch.records.manifest import Manifest, Row

SUFFIX = ".mp4"
MAX_CHARS = 200
"""Longest name with its folders: Windows allows 260, including the output folder."""

ROW_PLACEHOLDERS = ("row", "take", "start", "end")
"""Placeholders besides the columns; ``start`` and ``end`` are frame names without folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """A template for clip names, relative to the output folder; the last part is the file."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Naming":
        """Return the template of ``--name``; raise ``UsageError``."""
        parts = tuple(part.strip() for part in text.removesuffix(SUFFIX).split("/"))
        for part in parts:
            if not templates.has_braces(part) and not slug(part):
                raise UsageError(
                    f"--name {text!r}: '{part}' can't be a file or folder name; names are relative "
                    "to the output folder, e.g. --name '{name}/{row:04}-t{take}'"
                )
        return cls(parts=parts)

    def problems(self, header: Header, defaults: Collection[str]) -> list[Problem]:
        """Return the problems of the template that do not depend on the rows."""
        values = dict.fromkeys((*ROW_PLACEHOLDERS, *header.names, *defaults), "1")
        _, wrong = self._filled(values, header)
        return [Problem(message=f"--name {each}") for each in wrong]

    def name(self, row: Row, cells: Mapping[str, str], header: Header) -> tuple[str, list[str]]:
        """Return the name of a row's clip, and the problems of that name."""
        facts = {
            "row": str(row.number),
            "take": str(row.take),
            "start": _stem(row.start_image),
            "end": _stem(row.end_image),
        }
        filled, wrong = self._filled({**cells, **facts}, header)
        if wrong:
            return "", wrong
        # Our own files in the output folder have a dot in their names, so no clip folder has one.
        *folders, file = filled
        safe = [slug(slug(folder).replace(".", "-")) for folder in folders]
        safe.append(slug(file))
        for part, kept in zip(filled, safe, strict=True):
            if not kept:
                wrong.append(f"gives '{part}'; a name needs at least one letter a-z or digit")
        name = "/".join(safe)
        if len(name) > MAX_CHARS:
            wrong.append(f"gives {len(name)} characters; at most {MAX_CHARS} are allowed")
        return name, wrong

    def _filled(self, values: Mapping[str, str], header: Header) -> tuple[list[str], list[str]]:
        def named(text: str) -> str:
            placeholder = text.lower()
            return placeholder if placeholder in ROW_PLACEHOLDERS else header.canonical(text)

        filled, wrong = [], []
        for part in self.parts:
            text, problems = templates.fill(part, values, named=named)
            filled.append(text)
            wrong += problems
        return filled, wrong


def refuse_clashes(manifests: Sequence[Manifest]) -> None:
    """Raise ``ManifestError`` if clips of different content have the same name, ignoring case."""
    repeated = _repeated(manifests)
    if not repeated:
        return
    by_name: dict[str, tuple[Manifest, Row]] = {}
    for manifest in manifests:
        problems = []
        for row in manifest.rows:
            if hash(row.output.lower()) not in repeated:
                continue
            first_manifest, first = by_name.setdefault(row.output.lower(), (manifest, row))
            if first is not row and first.key != row.key:
                other, hint = _take_of(first), "{row:04} or {take}"
                if first_manifest is not manifest:
                    other = f"{other} of {first_manifest.path}"
                    hint = "a column whose values differ, or run the files one by one"
                message = (
                    f"{_take_of(row)} and {other} would both be named '{row.output}{SUFFIX}'; "
                    f"make --name differ: add {hint}"
                )
                problems.append(Problem(message=message, row=row.number))
        if problems:
            raise ManifestError(manifest.path, problems, has_columns=True)


def _repeated(manifests: Sequence[Manifest]) -> frozenset[int]:
    """Return the hashes of names that occur more than once; few different names share a hash."""
    hashes = sorted(
        array("q", (hash(row.output.lower()) for each in manifests for row in each.rows))
    )
    return frozenset(one for one, next_one in pairwise(hashes) if one == next_one)


def _take_of(row: Row) -> str:
    return f"take {row.take} of row {row.number}"


def _stem(frame: str) -> str:
    """Return the file name of a frame without folders and suffix: never empty."""
    if not frame:
        return "open"
    path = unquote(urlsplit(frame).path) if "://" in frame else frame
    return PurePosixPath(path.replace("\\", "/")).stem or "frame"
