"""A folder into which manifests are dropped: picked up once whole, and put away once done.

A bad one is put away with the list of its problems, and holds up no other.
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
"""What has not changed for so long is whole: whoever still copies would have written."""
LOOK_SECONDS = 0.5

Sight = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Inbox:
    """The folder; a file in it is a manifest by its name, as `sheet.csv`."""

    folder: Path
    moves: bool = True
    """False: all is left where it lies, for a rehearsal or a plan is not the real thing."""

    def arrived(self) -> tuple[list[Path], list[Path]]:
        """Return the manifests that are whole, and those that somebody still writes.

        A fresh one is looked at for a few seconds. Raises ``OSError`` where there is no folder.
        """
        first = self._seen()
        fresh = {path for path, sight in first.items() if _age(sight) < QUIET_SECONDS}
        waited = 0.0
        last = first
        while fresh and waited < QUIET_SECONDS:
            time.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS
            last = self._seen()
        changing = {path for path in fresh if last.get(path) != first[path]}
        whole = [path for path in first if path not in changing and path in last]
        return sorted(whole, key=natural), sorted(changing, key=natural)

    def holds(self, path: Path) -> bool:
        """Tell whether a file lies here."""
        return path.parent.resolve() == self.folder.resolve()

    def reject(self, path: Path) -> Path:
        """Put a bad one away, with the list of its problems, and return where it lies.

        Raises ``OSError``.
        """
        if not self.moves:
            return path
        place = next(free for free in self.places(path, REJECTED) if not os.path.lexists(free))
        listed = problems.file_of(path)
        atomic.move(path, place)
        if problems.is_ours(listed):
            problems.forget([place])
            with suppress(FileExistsError):
                atomic.move(listed, problems.file_of(place))
        return place

    def places(self, path: Path, kind: str) -> Iterator[Path]:
        """Yield where a file may be put away, the plainest name first; the folder is made."""
        folder = atomic.make_folder_of(self.folder, f"{kind}/{path.name}")
        yield folder / path.name
        number = 2
        while True:
            yield folder / f"{path.stem}-{number}{path.suffix}"
            number += 1

    def _seen(self) -> dict[Path, Sight]:
        seen = {}
        for path in self.folder.iterdir():
            is_ours = path.suffix.lower() in SUFFIXES and not path.name.endswith(PROBLEMS)
            if not is_ours or path.name.startswith("."):
                continue
            try:
                facts = path.stat()
            except OSError:  # it is gone, or a link that leads nowhere
                continue
            if path.is_file():
                seen[path] = (facts.st_size, facts.st_mtime_ns)
        return seen


def _age(sight: Sight) -> float:
    return time.time() - sight[1] / 1e9
