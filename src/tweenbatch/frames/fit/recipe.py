"""What has to be done to a frame, as data with a name of its own; pure.

The name stands in the file's, so that the same image and recipe always mean the same copy.
"""

from dataclasses import dataclass
from enum import StrEnum

from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.frames.look import Look
from tweenbatch.frames.warnings import apart
from tweenbatch.models import ImageLimits

INSIDE = 0.01
"""How far inside the allowed proportions a frame is brought that lies outside."""

_TIMES = "\N{MULTIPLICATION SIGN}"
_DIGITS = 24


class Way(StrEnum):
    """How a frame gets other proportions."""

    PAD = "pad"
    CROP = "crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sides that a frame is to have, in pixels, and how it gets them."""

    way: Way
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that is done to one frame; every copy is of 8-bit sRGB and has no EXIF data."""

    turned: bool = False
    first: bool = False
    """Of an animation, the first picture."""
    flattened: bool = False
    converted: bool = False
    shape: Shape | None = None
    shrunk: bool = False
    max_bytes: int

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do."""
        steps = (self.turned, self.first, self.flattened, self.converted, self.shrunk)
        return any(steps) or self.shape is not None

    def stem(self, sha256: str) -> str:
        """Return the name of the copy of an image, without what says its format."""
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

    def told(self, before: FrameFacts, after: FrameFacts) -> str:
        """Return in words what was done."""
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
    facts: FrameFacts, look: Look, limits: ImageLimits, way: Way, *, aspect: float | None = None
) -> Recipe:
    """Return what has to be done to a frame.

    With ``aspect`` it gets those proportions, width divided by height; without it keeps its own
    as far as the endpoint allows.
    """
    own = facts.width / facts.height
    wanted = aspect if aspect is not None and apart(own, aspect) else own
    if not limits.min_aspect <= wanted <= limits.max_aspect:
        low, high = limits.min_aspect * (1 + INSIDE), limits.max_aspect * (1 - INSIDE)
        wanted = min(max(wanted, low), high)
    return Recipe(
        turned=look.turned,
        first=look.animated,
        flattened=look.transparent,
        converted=look.cmyk or look.deep,
        shape=None if wanted == own else _shape(facts, way, wanted),
        shrunk=facts.bytes > limits.max_bytes,
        max_bytes=limits.max_bytes,
    )


def _shape(facts: FrameFacts, way: Way, aspect: float) -> Shape:
    width, height = facts.width, facts.height
    # Whatever is too wide becomes less wide by cropping, and higher by padding.
    if (width / height > aspect) == (way is Way.CROP):
        width = max(round(height * aspect), 1)
    else:
        height = max(round(width / aspect), 1)
    return Shape(way=way, width=width, height=height)


def _sides(width: int, height: int) -> str:
    return f"{width}{_TIMES}{height}"


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.1f}"
