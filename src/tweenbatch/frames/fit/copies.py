"""The folder of fitted copies: each is written once, atomically, and then kept.

An existing copy is used unchanged: a job's content must not change because a newer library
encodes images differently.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tweenbatch.errors import OutputUnusable, UnreadableFrame
from tweenbatch.files import atomic
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.fit.pixels import paint
from tweenbatch.frames.fit.recipe import Recipe
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.records import Frame

MAX_ORIGINAL_BYTES = 200_000_000
SUFFIXES = (".png", ".jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A fitted copy; its file may not have been written."""

    frame: Frame
    facts: FrameFacts


@dataclass(slots=True, kw_only=True)
class Copies:
    """The copies in one folder; without ``writes`` they are made but not saved."""

    folder: Path
    writes: bool
    _made: dict[str, Copy] = field(default_factory=dict)

    def copy(self, original: Path, facts: FrameFacts, recipe: Recipe) -> Copy:
        """Return the copy of an image; raises ``UnreadableFrame``, ``OutputUnusable``, OSError."""
        stem = recipe.stem(facts.sha256)
        if stem not in self._made:
            self._made[stem] = self._kept(stem) or self._new(original, stem, recipe)
        return self._made[stem]

    def _kept(self, stem: str) -> Copy | None:
        for suffix in SUFFIXES:
            path = self.folder / (stem + suffix)
            # Never follow a link: the copy is uploaded to a public address.
            with suppress(OSError, UnreadableFrame):
                atomic.require_regular(path)
                facts = frames.inspect(path)
                return Copy(frame=Frame(source=str(path), sha256=facts.sha256), facts=facts)
        return None

    def _new(self, original: Path, stem: str, recipe: Recipe) -> Copy:
        file, suffix = paint(frames.read(original, max_bytes=MAX_ORIGINAL_BYTES), recipe)
        path = self.folder / (stem + suffix)
        if self.writes:
            _write(file, path)
        facts = frames.inspect(file)
        return Copy(frame=Frame(source=str(path), sha256=facts.sha256), facts=facts)


def _write(data: bytes, path: Path) -> None:
    try:
        output = path.parent.parent
        output.mkdir(parents=True, exist_ok=True)
        atomic.make_folder_of(output, f"{path.parent.name}/{path.name}")
        atomic.write(path, data, mode=0o600)
    except OSError as error:
        raise OutputUnusable(
            f"can't write the fitted frame {path} ({error.strerror or error}); free some space, "
            "make the folder writable or choose another with --output; nothing was submitted"
        ) from error
