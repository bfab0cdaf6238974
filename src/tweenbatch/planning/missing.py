"""Clips that came home once and do not lie where the table says: gone, emptied, cut or replaced.

``look`` takes one look at each file's size, and one at each folder; ``changed`` reads all of each
file. Neither changes anything.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tweenbatch.clips.checker import Checker
from tweenbatch.clips.presence import UNREADABLE, content_of, state_of
from tweenbatch.records import KeptClip

CHECKED = 10_000
"""So many clips are looked at where many others wait for the answer: 30 ms on a disk of this
machine. ``verify`` and ``fetch`` look at all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingClip:
    """A clip that is not as it was recorded, and what is wrong with it."""

    job_id: int
    name: str
    path: Path
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a look found."""

    clips: tuple[MissingClip, ...] = ()
    """A run brings these back."""
    folders: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)
    """Folders that are not there, with the jobs whose clips they held: perhaps on a disk that is
    not there either. Only a person has those fetched again."""
    checked: int = 0

    @property
    def count(self) -> int:
        """How many clips are not where they were."""
        return len(self.clips) + sum(map(len, self.folders.values()))

    @property
    def job_ids(self) -> list[int]:
        """The jobs of all of them."""
        left = [job_id for ids in self.folders.values() for job_id in ids]
        return [*(each.job_id for each in self.clips), *left]


def find(
    kept: Iterable[KeptClip], *, output: Path | None = None, most: int | None = CHECKED
) -> Missing:
    """Return which of these clips are not where they were.

    ``output`` is the folder into which clips come now: what lay below it is brought back even
    where it is gone whole, and what lies there under its name is found.
    """
    clips: dict[int, MissingClip] = {}
    folders: dict[Path, list[int]] = {}
    there: dict[str, bool] = {}
    checked = 0
    for each in islice(kept, most):
        checked += 1
        folder = os.path.dirname(each.path)  # noqa: PTH120 - of thousands; a Path takes ten times as long
        if folder not in there:
            there[folder] = os.path.isdir(folder)  # noqa: PTH112
        why = state_of(each.path, each.bytes) if there[folder] else "is not there"
        if why is None:
            continue
        path = Path(each.path)
        moved_to = _moved_to(each, path, output)
        if moved_to is not None:
            why = f"lies in {moved_to.parent} now"
        reached = there[folder] and not why.startswith(UNREADABLE)
        of_output = output is not None and not there[folder] and path.is_relative_to(output)
        if reached or of_output or moved_to is not None:
            clips[each.job_id] = MissingClip(job_id=each.job_id, name=each.name, path=path, why=why)
        else:
            folders.setdefault(path.parent, []).append(each.job_id)
    return Missing(
        clips=tuple(clips.values()),
        folders={folder: tuple(ids) for folder, ids in folders.items()},
        checked=checked,
    )


def changed(kept: Iterable[KeptClip]) -> Iterator[MissingClip | None]:
    """Yield for each clip what is wrong with its content, or None; raises ``CheckUnavailable``."""
    with Checker() as checker:
        for each in kept:
            path = Path(each.path)
            why = content_of(path, size=each.bytes, sha256=each.sha256, checker=checker)
            yield (
                MissingClip(job_id=each.job_id, name=each.name, path=path, why=why) if why else None
            )


def _moved_to(each: KeptClip, path: Path, output: Path | None) -> Path | None:
    """Return where a clip lies below the output that was recorded elsewhere."""
    if output is None:
        return None
    place = (output / each.name).with_name(path.name)
    return place if place != path and state_of(place, each.bytes) is None else None
