"""The inbox: a folder for incoming manifests, read once complete and moved away once done.

A manifest with problems is moved away with the list of them; it does not delay the others.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tweenbatch.files import atomic
from tweenbatch.files.names import natural
from tweenbatch.manifest import SUFFIXES
from tweenbatch.manifest import problems_file as problems
from tweenbatch.paths import PROBLEMS

DONE = "done"
REJECTED = "rejected"

QUIET_SECONDS = 5.0
"""A file unchanged for this long is complete: a copy in progress would have written to it."""
CHECK_SECONDS = 0.5

FileVersion = tuple[int, int]
"""Size and modification time in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """The folder; a file in it is a manifest if its suffix is one of a manifest's."""

    folder: Path
    moves: bool = True
    """False in a rehearsal or a plan: files stay where they are."""

    def arrived(self) -> tuple[list[Path], list[Path]]:
        """Return the complete manifests, and those still being written.

        New files are watched for a few seconds. Raises ``OSError`` if the folder does not exist.
        """
        first = self._versions()
        recent = {path for path, version in first.items() if _age(version) < QUIET_SECONDS}
        waited = 0.0
        last = first
        while recent and waited < QUIET_SECONDS:
            time.sleep(CHECK_SECONDS)
            waited += CHECK_SECONDS
            last = self._versions()
        changing = {path for path in recent if last.get(path) != first[path]}
        complete = [path for path in first if path not in changing and path in last]
        return sorted(complete, key=natural), sorted(changing, key=natural)

    def holds(self, path: Path) -> bool:
        """Return whether a file is in this folder."""
        return path.parent.resolve() == self.folder.resolve()

    def reject(self, path: Path) -> Path:
        """Move a rejected manifest and its list of problems away; return the manifest's new path.

        Raises ``OSError``.
        """
        if not self.moves:
            return path
        target = next(
            free for free in self.target_paths(path, REJECTED) if not os.path.lexists(free)
        )
        problem_list = problems.file_of(path)
        atomic.move(path, target)
        if problems.is_ours(problem_list):
            problems.forget([target])
            with suppress(FileExistsError):
                atomic.move(problem_list, problems.file_of(target))
        return target

    def target_paths(self, path: Path, kind: str) -> Iterator[Path]:
        """Yield target paths for a file, the unnumbered name first; create their folder."""
        folder = atomic.make_folder_of(self.folder, f"{kind}/{path.name}")
        yield folder / path.name
        number = 2
        while True:
            yield folder / f"{path.stem}-{number}{path.suffix}"
            number += 1

    def _versions(self) -> dict[Path, FileVersion]:
        versions = {}
        for path in self.folder.iterdir():
            is_ours = path.suffix.lower() in SUFFIXES and not path.name.endswith(PROBLEMS)
            if not is_ours or path.name.startswith("."):
                continue
            try:
                facts = path.stat()
            except OSError:  # removed meanwhile, or a broken link
                continue
            if path.is_file():
                versions[path] = (facts.st_size, facts.st_mtime_ns)
        return versions


def _age(version: FileVersion) -> float:
    return time.time() - version[1] / 1e9
