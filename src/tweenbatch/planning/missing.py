"""Find downloaded clips whose files are missing, empty, truncated or replaced.

``find`` checks the size of each file and the existence of each folder; ``changed`` reads whole
files. Neither changes anything.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tweenbatch.clips.presence import UNREADABLE, content_of, state_of
from tweenbatch.records import KeptClip

MOST_CHECKED = 10_000
"""Limit of the quick check, which takes about 30 ms on a local disk. ``verify`` and ``fetch`` check
all clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingClip:
    """A clip that differs from its record, and the difference."""

    job_id: int
    name: str
    path: Path
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The result of a check."""

    clips: tuple[MissingClip, ...] = ()
    """A run downloads these again."""
    folders: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)
    """Missing folders with the jobs of their clips. Their disk may be unmounted, so only a person
    may download these clips again."""
    checked: int = 0

    @property
    def count(self) -> int:
        """The number of missing clips."""
        return len(self.clips) + sum(map(len, self.folders.values()))

    @property
    def job_ids(self) -> list[int]:
        """The jobs of all missing clips."""
        left = [job_id for ids in self.folders.values() for job_id in ids]
        return [*(each.job_id for each in self.clips), *left]


def find(
    kept: Iterable[KeptClip], *, output: Path | None = None, most: int | None = MOST_CHECKED
) -> Missing:
    """Return the clips whose files are missing or have another size.

    ``output`` is the current output folder. Its clips are downloaded again even if the whole folder
    is missing. A clip that was moved there under its name is found.
    """
    clips: dict[int, MissingClip] = {}
    folders: dict[Path, list[int]] = {}
    exists: dict[str, bool] = {}
    checked = 0
    for each in islice(kept, most):
        checked += 1
        folder = os.path.dirname(each.path)  # noqa: PTH120 - a Path takes ten times as long
        if folder not in exists:
            exists[folder] = os.path.isdir(folder)  # noqa: PTH112
        why = state_of(each.path, each.bytes) if exists[folder] else "is not there"
        if why is None:
            continue
        path = Path(each.path)
        moved_to = _moved_to(each, path, output)
        if moved_to is not None:
            why = f"was moved to {moved_to.parent}"
        reachable = exists[folder] and not why.startswith(UNREADABLE)
        of_output = output is not None and not exists[folder] and path.is_relative_to(output)
        if reachable or of_output or moved_to is not None:
            clips[each.job_id] = MissingClip(job_id=each.job_id, name=each.name, path=path, why=why)
        else:
            folders.setdefault(path.parent, []).append(each.job_id)
    return Missing(
        clips=tuple(clips.values()),
        folders={folder: tuple(ids) for folder, ids in folders.items()},
        checked=checked,
    )


def changed(kept: Iterable[KeptClip]) -> Iterator[MissingClip | None]:
    """Yield the defect of each clip's content, or None; raises ``CheckUnavailable``."""
    from tweenbatch.clips.checker import Checker  # `status` needs no decoder

    with Checker() as checker:
        for each in kept:
            path = Path(each.path)
            why = content_of(path, size=each.bytes, sha256=each.sha256, checker=checker)
            yield (
                MissingClip(job_id=each.job_id, name=each.name, path=path, why=why) if why else None
            )


def _moved_to(each: KeptClip, path: Path, output: Path | None) -> Path | None:
    """Return the path below ``output`` of a clip that was recorded elsewhere."""
    if output is None:
        return None
    moved = (output / each.name).with_name(path.name)
    return moved if moved != path and state_of(moved, each.bytes) is None else None
