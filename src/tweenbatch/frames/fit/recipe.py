"""The changes that a frame needs, as data: pure.

The name of a recipe is part of its copy's file name, so the same image and recipe always have the
same copy.
"""

from dataclasses import dataclass
from enum import StrEnum

from tweenbatch.frames.appearance import Appearance
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.frames.warnings import ratios_differ
from tweenbatch.models import ImageLimits

INSIDE = 0.01
"""Margin by which a frame is brought inside the allowed aspect ratios."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_DIGITS = 24


class Way(StrEnum):
    """How to change the aspect ratio of a frame."""

    PAD = "pad"
    CROP = "crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The new width and height of a frame in pixels, and the way to change them."""

    way: Way
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All changes of one frame; every copy is 8-bit sRGB without EXIF data."""

    turned: bool = False
    first: bool = False
    """Keep only the first picture of an animation."""
    flattened: bool = False
    converted: bool = False
    shape: Shape | None = None
    shrunk: bool = False
    max_bytes: int

    @property
    def is_needed(self) -> bool:
        """Whether the frame needs any change."""
        steps = (self.turned, self.first, self.flattened, self.converted, self.shrunk)
        return any(steps) or self.shape is not None

    def stem(self, sha256: str) -> str:
        """Return the file name of an image's copy, without suffix."""
        names = {
            "turned": self.turned,
            "first": self.first,
            "flattened": self.flattened,
            "converted": self.converted,
        }
        steps = [name for name, done in names.items() if done]
        if self.shape is not None:
            steps.append(f"{self.shape.way}-{self.shape.width}x{self.shape.height}")
        return "-".join([sha256[:_DIGITS], *steps, f"{self.max_bytes}b"])

    def changes(self, before: FrameFacts, after: FrameFacts) -> str:
        """Return the changes in words."""
        words = {
            "turned": self.turned,
            "first picture of an animation": self.first,
            "flattened on white": self.flattened,
            "converted to 8-bit sRGB": self.converted,
        }
        steps = [word for word, done in words.items() if done]
        width, height = before.width, before.height
        if self.shape is not None:
            verb = "padded" if self.shape.way is Way.PAD else "cropped"
            width, height = self.shape.width, self.shape.height
            steps.append(f"{verb} {_sides(before.width, before.height)} → {_sides(width, height)}")
        if (after.width, after.height) != (width, height):
            scaled = f"{_sides(width, height)} → {_sides(after.width, after.height)}"
            steps.append(f"scaled down {scaled}")
        if self.shrunk:
            steps.append(f"{_mb(before.bytes)} → {_mb(after.bytes)} MB")
        return ", ".join(steps)


def recipe(
    facts: FrameFacts,
    appearance: Appearance,
    limits: ImageLimits,
    way: Way,
    *,
    aspect: float | None = None,
) -> Recipe:
    """Return the changes that a frame needs.

    ``aspect`` is the target aspect ratio, width divided by height; without it the frame keeps its
    own if the endpoint allows it.
    """
    own = facts.width / facts.height
    target = aspect if aspect is not None and ratios_differ(own, aspect) else own
    if not limits.min_aspect <= target <= limits.max_aspect:
        low, high = limits.min_aspect * (1 + INSIDE), limits.max_aspect * (1 - INSIDE)
        target = min(max(target, low), high)
    return Recipe(
        turned=appearance.turned,
        first=appearance.animated,
        flattened=appearance.transparent,
        converted=appearance.cmyk or appearance.deep,
        shape=None if target == own else _shape(facts, way, target),
        shrunk=facts.bytes > limits.max_bytes,
        max_bytes=limits.max_bytes,
    )


def _shape(facts: FrameFacts, way: Way, aspect: float) -> Shape:
    width, height = facts.width, facts.height
    # A frame that is too wide becomes narrower by cropping, and higher by padding.
    if (width / height > aspect) == (way is Way.CROP):
        width = max(round(height * aspect), 1)
    else:
        height = max(round(width / aspect), 1)
    return Shape(way=way, width=width, height=height)


def _sides(width: int, height: int) -> str:
    return f"{width}{_TIMES}{height}"


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.1f}"
