"""Fit the frames of a row: each to the model's limits, the end to the start's aspect ratio."""

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.appearance import Appearance
from tweenbatch.frames.fit.copies import MAX_ORIGINAL_BYTES, Copies
from tweenbatch.frames.fit.recipe import Way, recipe
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.models import ImageLimits
from tweenbatch.records import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    path: Path
    facts: FrameFacts
    decoding: Future[Appearance]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A copy or the original frame, with its facts; or its problem."""

    frame: Frame
    facts: FrameFacts | None = None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The options of ``--fit``, and the folder of the copies."""

    way: Way
    folder: Path
    writes: bool
    """Whether copies are saved; a plan only makes them to show the result."""

    def to(self, limits: ImageLimits) -> "Fitting":
        """Return a fitting to an endpoint's limits."""
        copies = Copies(folder=self.folder, writes=self.writes)
        return Fitting(way=self.way, limits=limits, copies=copies)


@dataclass(slots=True, kw_only=True)
class Fitting:
    """Fits the frames of rows, and records the changes of each frame."""

    way: Way
    limits: ImageLimits
    copies: Copies
    done: dict[tuple[str, str], None] = field(default_factory=dict)
    """Frames as named in the manifest, with their changes, in row order."""
    _originals: dict[str, _Original] = field(default_factory=dict)

    @property
    def limits_of_originals(self) -> ImageLimits:
        """Limits on originals: fitting corrects everything else."""
        return replace(
            self.limits, max_bytes=MAX_ORIGINAL_BYTES, min_aspect=0.0, max_aspect=math.inf
        )

    def note(self, text: str, path: Path, facts: FrameFacts, decoding: Future[Appearance]) -> None:
        """Record a local frame, by the text of its cell."""
        self._originals[text] = _Original(path=path, facts=facts, decoding=decoding)

    def pair(self, named: Sequence[tuple[str, Frame]]) -> list[Fitted]:
        """Return the fitted frames of a row, given as cell texts with their frames, start first.

        A damaged frame stays unchanged, because it is reported elsewhere.
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
            appearance = original.decoding.result()
        except (UnreadableFrame, OSError):
            return Fitted(frame=frame)
        needed = recipe(facts, appearance, self.limits, self.way, aspect=aspect)
        if not needed.is_needed:
            return Fitted(frame=frame, facts=facts)
        try:
            copy = self.copies.copy(original.path, facts, needed)
        except UnreadableFrame as error:
            return Fitted(frame=frame, wrong=f"'{text}' {error}")
        changes = needed.changes(facts, copy.facts)
        wrong = frames.problems(copy.facts, self.limits)
        if wrong:
            other = ", or --fit pad" if self.way is Way.CROP else ""
            return Fitted(frame=frame, wrong=f"'{text}', {changes}, {'; '.join(wrong)}{other}")
        self.done[text, changes] = None
        return Fitted(frame=copy.frame, facts=copy.facts)
