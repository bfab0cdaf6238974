"""Names of clips that a person asks for: a template, filled in from each row.

Every part of a name is one that all common file systems take. It knows what the rows of the
manifests ask for, and refuses to know which names earlier runs gave.
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
"""Of a name with its folders: Windows takes 260, the output folder included."""

OF_THE_ROW = ("row", "take", "start", "end")
"""What a name may tell besides the columns: number, take and the frames without their folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """A template for names of clips below the output folder; the last part is the file."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Naming":
        """Return what was typed; raise ``UsageError``."""
        parts = tuple(part.strip() for part in text.removesuffix(SUFFIX).split("/"))
        for part in parts:
            if not templates.has_braces(part) and not slug(part):
                raise UsageError(
                    f"--name {text!r}: '{part}' is no name for a file or folder; names lie below "
                    "the output folder, e.g. --name '{name}/{row:04}-t{take}'"
                )
        return cls(parts=parts)

    def problems(self, header: Header, defaults: Collection[str]) -> list[Problem]:
        """Return what is wrong with the template, whatever the rows hold."""
        values = dict.fromkeys((*OF_THE_ROW, *header.names, *defaults), "1")
        _, wrong = self._filled(values, header)
        return [Problem(message=f"--name {each}") for each in wrong]

    def name(self, row: Row, cells: Mapping[str, str], header: Header) -> tuple[str, list[str]]:
        """Return the name that a row's clip is to have, and what is wrong with it."""
        facts = {
            "row": str(row.number),
            "take": str(row.take),
            "start": _stem(row.start_image),
            "end": _stem(row.end_image),
        }
        filled, wrong = self._filled({**cells, **facts}, header)
        if wrong:
            return "", wrong
        # Whatever is written into the output folder has a dot in its name, so no folder has one.
        *folders, file = filled
        safe = [slug(slug(folder).replace(".", "-")) for folder in folders]
        safe.append(slug(file))
        for part, kept in zip(filled, safe, strict=True):
            if not kept:
                wrong.append(f"gives '{part}', which has no letter a-z and no digit to keep")
        name = "/".join(safe)
        if len(name) > MAX_CHARS:
            wrong.append(f"gives {len(name)} characters; at most {MAX_CHARS} are allowed")
        return name, wrong

    def _filled(self, values: Mapping[str, str], header: Header) -> tuple[list[str], list[str]]:
        def named(text: str) -> str:
            own = text.lower()
            return own if own in OF_THE_ROW else header.canonical(text)

        filled, wrong = [], []
        for part in self.parts:
            text, problems = templates.fill(part, values, named=named)
            filled.append(text)
            wrong += problems
        return filled, wrong


def refuse_clashes(manifests: Sequence[Manifest]) -> None:
    """Raise ``ManifestError`` where two contents ask for one name, whatever its case."""
    repeated = _repeated(manifests)
    if not repeated:
        return
    taken: dict[str, tuple[Manifest, Row]] = {}
    for manifest in manifests:
        problems = []
        for row in manifest.rows:
            if hash(row.output.lower()) not in repeated:
                continue
            there, first = taken.setdefault(row.output.lower(), (manifest, row))
            if first is not row and first.key != row.key:
                other, hint = _called(first), "e.g. with {row:04} or {take}"
                if there is not manifest:
                    other = f"{other} of {there.path}"
                    hint = "by a column in which they differ, or run the files one by one"
                message = (
                    f"{_called(row)} and {other} would both be '{row.output}{SUFFIX}'; tell them "
                    f"apart in --name, {hint}"
                )
                problems.append(Problem(message=message, row=row.number))
        if problems:
            raise ManifestError(manifest.path, problems, has_columns=True)


def _repeated(manifests: Sequence[Manifest]) -> frozenset[int]:
    """Return the hashes of names that are asked for more than once; few names share one."""
    hashes = sorted(
        array("q", (hash(row.output.lower()) for each in manifests for row in each.rows))
    )
    return frozenset(one for one, next_one in pairwise(hashes) if one == next_one)


def _called(row: Row) -> str:
    return f"take {row.take} of row {row.number}"


def _stem(frame: str) -> str:
    """Return the name of a frame without folders and ending: never empty."""
    if not frame:
        return "open"
    path = unquote(urlsplit(frame).path) if "://" in frame else frame
    return PurePosixPath(path.replace("\\", "/")).stem or "frame"
