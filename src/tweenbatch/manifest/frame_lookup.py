"""The frames that rows name: found, looked at once each, and fitted where somebody asked for it.

It knows texts, files and what an endpoint accepts; it refuses to know anything else of a row.
"""

import shlex
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.cache import FrameCache
from tweenbatch.frames.fit import MAX_ORIGINAL_BYTES, Fitting
from tweenbatch.frames.look import Look
from tweenbatch.manifest.preflight import Preflight
from tweenbatch.models import ImageLimits
from tweenbatch.records import Frame


@dataclass(slots=True, kw_only=True)
class Pictures:
    """The frames of one file's rows."""

    folder: Path
    """Where frames without a folder lie."""
    roots: Collection[Path]
    """The real folders whose images may be uploaded."""
    preflight: Preflight
    """Takes note of every frame."""
    fitting: Fitting | None = None
    """Prepares copies of frames that are not as they should be."""
    memory: FrameCache = field(default_factory=FrameCache)
    """Knows frames that were looked at before."""
    _looked_at: dict[tuple[str, ImageLimits | None], Frame | str] = field(default_factory=dict)
    """A local frame, or what is wrong with it, by the text that names it and what is allowed."""

    def expect(self, texts: Iterable[str]) -> None:
        """Recall what is known of the local frames that these texts name, all at once."""
        paths = []
        for text in {text for text in texts if text and "://" not in text}:
            with suppress(OSError, RuntimeError, ValueError):  # told where the row is read
                paths.append(self._real(text))
        self.memory.expect(paths)

    def find(self, text: str, limits: ImageLimits | None) -> Frame | str:
        """Return the frame that a text names, or what is wrong with it in one sentence."""
        if not text:
            return "is empty; name an image file or an https URL"
        # Addresses are not kept: there may be a million.
        if text[:8].lower() == "https://":
            self.preflight.note_urls([text])
            return Frame(source=text)
        if "://" in text:
            return f"'{text}' is no https URL; a frame is an https URL or a local file"
        found = self._looked_at.get((text, limits))
        if found is None:
            found = self._looked_at[text, limits] = self._look_at(text, limits)
        return found

    @property
    def any_local(self) -> bool:
        """Whether a row named a file of this machine."""
        return bool(self._looked_at)

    def take_addresses(self, *columns: Sequence[str]) -> bool:
        """Tell whether all texts are addresses, so that each is its frame; take note of them."""
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
        """Return the frames of a row as they are to be used, and what is wrong, by their place."""
        if self.fitting is None:
            return [frame for _, frame in named], []
        fitted = self.fitting.pair(list(named))
        wrong = [(place, each.wrong) for place, each in enumerate(fitted) if each.wrong is not None]
        return [each.frame for each in fitted], wrong

    def _look_at(self, text: str, limits: ImageLimits | None) -> Frame | str:
        if self.fitting is not None:
            limits = self.fitting.limits_of_originals
        try:
            real = self._real(text)
            # Before a byte of it is read.
            if not any(real.is_relative_to(root) for root in self.roots):
                return f"'{text}' {_outside(real)}"
            known = self.memory.known(real, max_bytes=self._most_bytes)
            facts = known.facts if known else frames.inspect(real, max_bytes=self._most_bytes)
        except FileNotFoundError:
            wrong = [f"is not there (looked for {self._path(text)})"]
        except OSError as error:
            wrong = [f"can't be read ({error.strerror})"]
        except RuntimeError as error:  # the home of nobody; before 3.13 also links in a circle
            wrong = [f"can't be read ({error})"]
        except UnreadableFrame as error:
            wrong = [str(error)]
        except ValueError:  # a NUL
            wrong = ["can't be the path of a file"]
        else:
            wrong = frames.problems(facts, limits)
        if wrong:
            return f"'{text}' " + "; ".join(wrong)
        self._note(text, real, facts, known.look if known else None)
        return Frame(source=str(real), sha256=facts.sha256)

    def _note(self, text: str, real: Path, facts: frames.FrameFacts, known: Look | None) -> None:
        looking = self.preflight.look_into(
            text, real, facts, max_bytes=self._most_bytes, known=known
        )
        if known is None:
            self.memory.note(real, facts, looking)
        if self.fitting is not None:
            self.fitting.note(text, real, facts, looking)

    @property
    def _most_bytes(self) -> int:
        return MAX_ORIGINAL_BYTES if self.fitting else frames.MAX_BYTES

    def _path(self, text: str) -> Path:
        return self.folder / Path(text).expanduser()

    def _real(self, text: str) -> Path:
        return self._path(text).resolve(strict=True)


def _outside(real: Path) -> str:
    return (
        f"lies at {real}, outside the folders of this batch, and frames are uploaded to public"
        " addresses; copy it beside the manifest or, if all the world may see it, add"
        f" --frames {shlex.quote(str(real.parent))}"
    )
