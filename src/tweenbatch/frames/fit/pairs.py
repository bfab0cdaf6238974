"""The frames of a row, fitted: each for itself, and the end to the proportions of the start."""

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.fit.copies import MAX_ORIGINAL_BYTES, Copies
from tweenbatch.frames.fit.recipe import Way, recipe
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.frames.look import Look
from tweenbatch.models import ImageLimits
from tweenbatch.records import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    path: Path
    facts: FrameFacts
    looking: Future[Look]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A frame as it is used: a copy or the original, with its facts; or what is wrong."""

    frame: Frame
    facts: FrameFacts | None = None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a person wants frames to be fitted, and where the copies are."""

    way: Way
    folder: Path
    writes: bool
    """Without it, copies are made to be shown and thrown away."""

    def to(self, limits: ImageLimits) -> "Fitting":
        """Begin to fit frames to what an endpoint accepts."""
        copies = Copies(folder=self.folder, writes=self.writes)
        return Fitting(way=self.way, limits=limits, copies=copies)


@dataclass(slots=True, kw_only=True)
class Fitting:
    """Fits the frames of rows, and remembers what was done to which."""

    way: Way
    limits: ImageLimits
    copies: Copies
    done: dict[tuple[str, str], None] = field(default_factory=dict)
    """A frame as the manifest names it, and what was done to it, in the order of the rows."""
    _originals: dict[str, _Original] = field(default_factory=dict)

    @property
    def limits_of_originals(self) -> ImageLimits:
        """What a frame must keep to all the same, since no copy mends it."""
        return replace(
            self.limits, max_bytes=MAX_ORIGINAL_BYTES, min_aspect=0.0, max_aspect=math.inf
        )

    def note(self, text: str, path: Path, facts: FrameFacts, looking: Future[Look]) -> None:
        """Take note of a local frame by the text that names it."""
        self._originals[text] = _Original(path=path, facts=facts, looking=looking)

    def pair(self, named: Sequence[tuple[str, Frame]]) -> list[Fitted]:
        """Return the frames of a row, given with the texts that name them, start first.

        A frame that is damaged is left as it is, since it is told elsewhere.
        """
        fitted: list[Fitted] = []
        aspect = None
        for text, frame in named:
            fitted.append(self._fit(text, frame, aspect))
            if (facts := fitted[-1].facts) is not None:
                aspect = facts.width / facts.height
        return fitted

    def _fit(self, text: str, frame: Frame, aspect: float | None) -> Fitted:
        original = self._originals.get(text)
        if original is None:
            return Fitted(frame=frame)
        facts = original.facts
        try:
            look = original.looking.result()
        except (UnreadableFrame, OSError):
            return Fitted(frame=frame)
        needed = recipe(facts, look, self.limits, self.way, aspect=aspect)
        if not needed.is_needed:
            return Fitted(frame=frame, facts=facts)
        try:
            copy = self.copies.copy(original.path, facts, needed)
        except UnreadableFrame as error:
            return Fitted(frame=frame, wrong=f"'{text}' {error}")
        told = needed.told(facts, copy.facts)
        wrong = frames.problems(copy.facts, self.limits)
        if wrong:
            other = ", or --fit pad" if self.way is Way.CROP else ""
            return Fitted(frame=frame, wrong=f"'{text}', {told}, {'; '.join(wrong)}{other}")
        self.done[text, told] = None
        return Fitted(frame=copy.frame, facts=copy.facts)
