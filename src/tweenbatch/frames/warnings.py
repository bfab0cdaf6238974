"""Warnings about frames and pairs of frames, as messages: pure.

It opens no file and does not know the rows that name a frame.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tweenbatch.errors import Problem
from tweenbatch.frames.appearance import TINY, Appearance
from tweenbatch.frames.inspect import FrameFacts, size_text

RATIO_TOLERANCE = 1.02
"""Factor up to which two aspect ratios count as equal."""

SIZES_APART = 4.0
"""Ratio of pixel counts from which a pair is warned of."""

# Measured correlations of edges: at least 0.41 for one place in two seasons, below 0.25 for
# unrelated images.
_LIGHT_ALIKE = 0.2
_EDGES_ALIKE = 0.25
_COLOURS_APART = 40.0
_FLAT = 4.0


class WarningKind(StrEnum):
    """The kinds of warnings."""

    TURNED = "turned"
    TRANSPARENT = "transparent"
    CMYK = "cmyk"
    DEEP = "16-bit"
    ANIMATED = "animated"
    RATIO = "aspect ratio"
    SAME_FRAME = "same frame"
    NEARLY_REPEATED = "nearly repeated"
    ADDRESS_ENDS = "address ends"
    SIZES = "hint: sizes"
    UNLIKE = "hint: unlike"


def is_hint(problem: Problem) -> bool:
    """Return whether a warning is only a hint, about something that is often intended."""
    return problem.kind.startswith("hint: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedFrame:
    """A frame with its facts and the properties of its pixels."""

    text: str
    """The frame as named in the manifest."""
    facts: FrameFacts
    appearance: Appearance

    @property
    def aspect(self) -> float:
        """Width divided by height, as displayed."""
        return self.facts.width / self.facts.height

    @property
    def size(self) -> str:
        """Width and height, as text."""
        return size_text(self.facts.width, self.facts.height)


def of_frame(frame: InspectedFrame) -> Iterator[tuple[WarningKind, str]]:
    """Yield warnings of properties that the model may treat differently from a viewer."""
    appearance, name = frame.appearance, f"'{frame.text}'"
    if appearance.turned:
        yield (
            WarningKind.TURNED,
            (
                f"{name} is rotated by its EXIF data, which the model may ignore;"
                " rotate the pixels, or add --fit"
            ),
        )
    if appearance.transparent:
        yield (
            WarningKind.TRANSPARENT,
            (
                f"{name} has transparent parts, which the model may show in any colour;"
                " flatten it, or add --fit"
            ),
        )
    if appearance.cmyk:
        yield (
            WarningKind.CMYK,
            f"{name} has CMYK colours, which may come out wrong; convert it to sRGB, or add --fit",
        )
    if appearance.deep:
        yield (
            WarningKind.DEEP,
            f"{name} has 16 bits per channel, but models expect 8; convert it, or add --fit",
        )
    if appearance.animated:
        yield (
            WarningKind.ANIMATED,
            f"{name} is animated, but only its first picture is used; save that, or add --fit",
        )


def of_pair(
    start: InspectedFrame, end: InspectedFrame, *, fitted: bool
) -> Iterator[tuple[WarningKind, str]]:
    """Yield warnings of a pair; ``fitted``: fitting makes the aspect ratios equal."""
    if start.facts.sha256 == end.facts.sha256:
        yield same_frame(start.text, end.text)
        return
    both = f"start '{start.text}' is {start.size} and end '{end.text}' is {end.size}"
    if ratios_differ(start.aspect, end.aspect) and not fitted:
        yield (
            WarningKind.RATIO,
            (
                f"{both}: the aspect ratios {start.aspect:.4g} and {end.aspect:.4g} differ, and"
                " the clip gets that of its start; crop one frame, or add --fit"
            ),
        )
    areas = sorted(each.facts.width * each.facts.height for each in (start, end))
    if areas[1] >= areas[0] * SIZES_APART:
        yield WarningKind.SIZES, f"{both}: the smaller one will look soft next to the larger"
    if share_nothing(start.appearance.tiny, end.appearance.tiny):
        yield (
            WarningKind.UNLIKE,
            (
                f"'{start.text}' and '{end.text}' seem to have nothing in common; check that the"
                " row names the right frames"
            ),
        )


def same_frame(start: str, end: str) -> tuple[WarningKind, str]:
    """Return the warning of one image as start and end frame."""
    message = (
        f"'{start}' and '{end}' are the same image, so the clip may stand still;"
        " name another end frame, unless you want a loop"
    )
    return WarningKind.SAME_FRAME, message


# Services whose URLs change with each export, path and host included.
_SIGNED_ELSEWHERE = re.compile(
    r"https://([\w-]+\.)*(airtableusercontent|airtable|notion-static|notion|notionusercontent)"
    r"\.(com|so)/",
    re.IGNORECASE,
)


def may_expire(texts: Sequence[str]) -> bool:
    """Return quickly whether any URL may belong to a service whose URLs expire."""
    joined = "".join(texts).lower()
    return "airtable" in joined or "notion" in joined


def expiring(text: str) -> tuple[WarningKind, str] | None:
    """Return the warning of a URL that expires and changes with each export."""
    if _SIGNED_ELSEWHERE.match(text) is None:
        return None
    host = text.split("/", 3)[2]
    return WarningKind.ADDRESS_ENDS, (
        f"the URL at {host} works only for some hours, and the next export has a different one,"
        " which would be charged as a new clip; download the image and name the file"
    )


def ratios_differ(one: float, other: float) -> bool:
    """Return whether two aspect ratios differ by more than 2 %."""
    return max(one, other) > min(one, other) * RATIO_TOLERANCE


def share_nothing(one: bytes, other: bytes) -> bool:
    """Return whether two thumbnails have neither light, edges nor colours in common.

    False in doubt, such as for plain images.
    """
    import numpy as np

    first, second = (
        np.frombuffer(tiny, np.uint8).reshape(TINY, TINY, 3).astype(float) for tiny in (one, other)
    )
    lights = [picture.mean(axis=2) for picture in (first, second)]
    if min(light.std() for light in lights) < _FLAT:
        return False
    edges = [np.hypot(*np.gradient(light)) for light in lights]
    if min(edge.std() for edge in edges) == 0:
        return False

    def likeness(pair: list[np.ndarray]) -> float:
        return float(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1])

    return bool(
        abs(likeness(lights)) < _LIGHT_ALIKE
        and likeness(edges) < _EDGES_ALIKE
        and np.abs(first - second).mean() > _COLOURS_APART
    )
