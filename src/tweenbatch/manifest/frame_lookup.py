"""Find the frames that rows name, inspect each once, and fit them if ``--fit`` is set.

It knows frame cells, files and the endpoint's limits, and nothing else of a row.
"""

import shlex
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.appearance import Appearance
from tweenbatch.frames.cache import FrameCache
from tweenbatch.frames.fit import MAX_ORIGINAL_BYTES, Fitting
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.models import ImageLimits
from tweenbatch.records import Frame


@dataclass(slots=True, kw_only=True)
class FrameLookup:
    """The frames of one manifest's rows."""

    folder: Path
    """The base of relative paths."""
    roots: Collection[Path]
    """Folders, links resolved, whose images may be uploaded."""
    preflight: Preflight
    """Records every frame for later warnings."""
    fitting: Fitting | None = None
    """Prepares copies of frames that don't fit the model."""
    memory: FrameCache = field(default_factory=FrameCache)
    """Facts about frames that were inspected before."""
    _inspected: dict[tuple[str, ImageLimits | None], Frame | str] = field(default_factory=dict)
    """A local frame, or its problem, by cell text and limits."""

    def expect(self, texts: Iterable[str]) -> None:
        """Load the cached facts of the local frames that these cells name, all at once."""
        paths = []
        for text in {text for text in texts if text and "://" not in text}:
            with suppress(OSError, RuntimeError, ValueError):  # reported when the row is read
                paths.append(self._real(text))
        self.memory.expect(paths)

    def find(self, text: str, limits: ImageLimits | None) -> Frame | str:
        """Return the frame that a cell names, or its problem as one sentence."""
        if not text:
            return "is empty; name an image file or an https URL"
        # Addresses are not kept: there may be a million.
        if text[:8].lower() == "https://":
            self.preflight.note_urls([text])
            return Frame(source=text)
        if "://" in text:
            return f"'{text}' isn't an https URL; a frame is an https URL or a local file"
        frame = self._inspected.get((text, limits))
        if frame is None:
            frame = self._inspected[text, limits] = self._inspect(text, limits)
        return frame

    @property
    def any_local(self) -> bool:
        """Whether a row names a local file."""
        return bool(self._inspected)

    def take_addresses(self, *columns: Sequence[str]) -> bool:
        """Return whether all cells are URLs, so that each is its frame; record them if so."""
        if self.fitting is not None:
            return False
        if not all(text.startswith("https://") for texts in columns for text in texts):
            return False
        for texts in columns:
            self.preflight.note_urls(texts)
        return True

    def fitted(
        self, named: Sequence[tuple[str, Frame]]
    ) -> tuple[list[Frame], list[tuple[int, str]]]:
        """Return the frames of a row, fitted if needed, and problems by frame index."""
        if self.fitting is None:
            return [frame for _, frame in named], []
        fitted = self.fitting.pair(list(named))
        wrong = [(index, each.wrong) for index, each in enumerate(fitted) if each.wrong is not None]
        return [each.frame for each in fitted], wrong

    def _inspect(self, text: str, limits: ImageLimits | None) -> Frame | str:
        if self.fitting is not None:
            limits = self.fitting.limits_of_originals
        try:
            real = self._real(text)
            # Checked before any byte is read.
            if not any(real.is_relative_to(root) for root in self.roots):
                return f"'{text}' {_outside(real)}"
            cached = self.memory.get(real, max_bytes=self._most_bytes)
            facts = cached.facts if cached else frames.inspect(real, max_bytes=self._most_bytes)
        except FileNotFoundError:
            wrong = [f"does not exist (looked for {self._path(text)})"]
        except OSError as error:
            wrong = [f"can't be read ({error.strerror})"]
        except RuntimeError as error:  # an unknown user's home; before 3.13 also a loop of links
            wrong = [f"can't be read ({error})"]
        except UnreadableFrame as error:
            wrong = [str(error)]
        except ValueError:  # a NUL
            wrong = ["isn't a valid file path"]
        else:
            wrong = frames.problems(facts, limits)
        if wrong:
            return f"'{text}' " + "; ".join(wrong)
        self._note(text, real, facts, cached.appearance if cached else None)
        return Frame(source=str(real), sha256=facts.sha256)

    def _note(
        self, text: str, real: Path, facts: frames.FrameFacts, cached: Appearance | None
    ) -> None:
        decoding = self.preflight.decode(
            text, real, facts, max_bytes=self._most_bytes, known=cached
        )
        if cached is None:
            self.memory.note(real, facts, decoding)
        if self.fitting is not None:
            self.fitting.note(text, real, facts, decoding)

    @property
    def _most_bytes(self) -> int:
        return MAX_ORIGINAL_BYTES if self.fitting else frames.MAX_BYTES

    def _path(self, text: str) -> Path:
        return self.folder / Path(text).expanduser()

    def _real(self, text: str) -> Path:
        return self._path(text).resolve(strict=True)


def _outside(real: Path) -> str:
    return (
        f"is at {real}, outside the folders of this batch, and frames are uploaded to public"
        " addresses; copy it beside the manifest or, if anyone may see it, add"
        f" --frames {shlex.quote(str(real.parent))}"
    )
