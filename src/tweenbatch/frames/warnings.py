"""What is to be said of a frame and of a pair, in sentences; pure but for two thumbnails.

It refuses to know where frames are named, and to open any.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tweenbatch.errors import Problem
from tweenbatch.frames.inspect import FrameFacts, size_text
from tweenbatch.frames.look import TINY, Look

RATIO_TOLERANCE = 1.02
"""Up to here two aspect ratios are one."""

SIZES_APART = 4.0
"""From here on the larger frame has much more pixels than the smaller one."""

# Of what was measured, the scene of one place in two seasons had edges of 0.41 and more, images
# of nothing but chance stayed below 0.25.
_LIGHT_ALIKE = 0.2
_EDGES_ALIKE = 0.25
_COLOURS_APART = 40.0
_FLAT = 4.0


class WarningKind(StrEnum):
    """What a warning is about."""

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
    """Tell whether a warning is no more than a hint, which may well be meant."""
    return problem.kind.startswith("hint: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A frame that was looked into."""

    text: str
    """The text that names it."""
    facts: FrameFacts
    look: Look

    @property
    def aspect(self) -> float:
        """Width divided by height, as displayed."""
        return self.facts.width / self.facts.height

    @property
    def size(self) -> str:
        """Its sides, in words."""
        return size_text(self.facts.width, self.facts.height)


def of_frame(seen: Seen) -> Iterator[tuple[WarningKind, str]]:
    """Yield what the model may not take as a viewer does."""
    look, name = seen.look, f"'{seen.text}'"
    if look.turned:
        yield (
            WarningKind.TURNED,
            (
                f"{name} is turned by its EXIF data, which the model may not heed;"
                " turn its pixels, or add --fit"
            ),
        )
    if look.transparent:
        yield (
            WarningKind.TRANSPARENT,
            (
                f"{name} has transparent parts, and nobody says what the model shows there;"
                " flatten it, or add --fit"
            ),
        )
    if look.cmyk:
        yield (
            WarningKind.CMYK,
            f"{name} has CMYK colours, which may come out wrong; convert it to sRGB, or add --fit",
        )
    if look.deep:
        yield (
            WarningKind.DEEP,
            f"{name} has 16 bits for each channel, where models expect 8; convert it, or add --fit",
        )
    if look.animated:
        yield (
            WarningKind.ANIMATED,
            f"{name} is animated, and only its first picture counts; save that alone, or add --fit",
        )


def of_pair(start: Seen, end: Seen, *, fitted: bool) -> Iterator[tuple[WarningKind, str]]:
    """Yield what keeps two frames from making a good clip; ``fitted``: ratios are made one."""
    if start.facts.sha256 == end.facts.sha256:
        yield same_frame(start.text, end.text)
        return
    both = f"start '{start.text}' is {start.size} and end '{end.text}' is {end.size}"
    if apart(start.aspect, end.aspect) and not fitted:
        yield (
            WarningKind.RATIO,
            (
                f"{both}: aspect ratios of {start.aspect:.4g} and {end.aspect:.4g},"
                " where the clip has that of its start; crop one of them, or add --fit"
            ),
        )
    areas = sorted(each.facts.width * each.facts.height for each in (start, end))
    if areas[1] >= areas[0] * SIZES_APART:
        yield WarningKind.SIZES, f"{both}: the smaller one will look soft beside the larger"
    if share_nothing(start.look.tiny, end.look.tiny):
        yield (
            WarningKind.UNLIKE,
            (
                f"'{start.text}' and '{end.text}' seem to share nothing; see whether the row names"
                " the frames that are meant"
            ),
        )


def same_frame(start: str, end: str) -> tuple[WarningKind, str]:
    """Return what is to be said of one image at both ends."""
    message = (
        f"'{start}' and '{end}' are the same image, and the clip may stand still;"
        " name another end frame, unless a loop is meant"
    )
    return WarningKind.SAME_FRAME, message


# Their paths and hosts change with each export: no part of an address stays.
_SIGNED_ELSEWHERE = re.compile(
    r"https://([\w-]+\.)*(airtableusercontent|airtable|notion-static|notion|notionusercontent)"
    r"\.(com|so)/",
    re.IGNORECASE,
)


def may_end(texts: Sequence[str]) -> bool:
    """Tell at a glance whether an address may be one of a service that lets them end."""
    joined = "".join(texts).lower()
    return "airtable" in joined or "notion" in joined


def address_ends(text: str) -> tuple[WarningKind, str] | None:
    """Return what is to be said of an address that is another one in each export."""
    if _SIGNED_ELSEWHERE.match(text) is None:
        return None
    host = text.split("/", 3)[2]
    return WarningKind.ADDRESS_ENDS, (
        f"the address at {host} works for some hours only, and the next export has another one,"
        " which would be paid for as a new clip; download the picture and name the file"
    )


def apart(one: float, other: float) -> bool:
    """Tell whether two aspect ratios differ by more than 2 %."""
    return max(one, other) > min(one, other) * RATIO_TOLERANCE


def share_nothing(one: bytes, other: bytes) -> bool:
    """Tell whether two tiny pictures have neither light, edges nor colours in common.

    In doubt they have: plain images, for one, tell nothing.
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
