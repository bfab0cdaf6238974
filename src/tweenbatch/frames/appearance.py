"""Decode an image's pixels to find damage, transparency, rotation and unusual colours.

Every pixel is decoded, as fal's own reader does, so that a truncated image is found at no cost.
It does not know rows or endpoints.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

AT_ONCE = min(4, os.cpu_count() or 1)

LARGE_PIXELS = 12_000_000
"""Images of this size and above are decoded one at a time: each takes up to 200 MB."""

TINY = 16
"""Side of the thumbnail, in pixels."""

_DRAFT = 8
_PNG_BIT_DEPTH = 24
_DEEP_BITS = 16
_OPAQUE = 255

_large = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """Properties of an image's pixels.

    ``tiny`` is the image at 16×16 pixels: red, green and blue of each pixel in turn.
    """

    turned: bool
    """EXIF data rotates or mirrors the image."""
    transparent: bool
    """At least one pixel is not opaque."""
    cmyk: bool
    deep: bool
    """The image has 16 bits per channel."""
    animated: bool
    tiny: bytes


def appearance_of(source: Path, *, max_bytes: int = frames.MAX_BYTES) -> Appearance:
    """Decode an image whose header is valid; safe to call from several threads.

    Raises:
        UnreadableFrame: its pixels are damaged or truncated. The message completes a sentence
            that begins with the frame's name.
        OSError: the file can't be read.
    """
    data = frames.read(source, max_bytes=max_bytes)
    with frames.opened(data) as image:
        kind, pixels = image.format, image.width * image.height
        turned = frames.orientation(image) != 1
        cmyk = image.mode == "CMYK"
        # Pillow reduces 16 bits to 8 while reading, and reports 16 only for grey images.
        deep = kind == "PNG" and data[_PNG_BIT_DEPTH] == _DEEP_BITS
        # A phone's JPEG may have a second picture after the first, but isn't an animation.
        animated = kind != "MPO" and getattr(image, "n_frames", 1) > 1
    with image, _bounded(pixels):
        try:
            # This still reads a JPEG to its end, but decodes it at an eighth of the size.
            image.draft("RGB", (image.width // _DRAFT, image.height // _DRAFT))
            image.load()
            transparent = _is_transparent(image)
            tiny = _tiny(image)
        except frames.DAMAGED as error:
            raise UnreadableFrame(
                "is damaged: its pixels can't be decoded to the end; export the image again"
            ) from error
    return Appearance(
        turned=turned, transparent=transparent, cmyk=cmyk, deep=deep, animated=animated, tiny=tiny
    )


@contextmanager
def _bounded(pixels: int) -> Iterator[None]:
    if pixels < LARGE_PIXELS:
        yield
        return
    with _large:
        yield


def _is_transparent(image: "Picture") -> bool:
    """Return whether any pixel is not opaque; many alpha channels are opaque everywhere."""
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return isinstance(lowest, int | float) and lowest < _OPAQUE


def _tiny(image: "Picture") -> bytes:
    from PIL.Image import Resampling

    plain = image
    if image.mode.startswith("I"):
        plain = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode == "P":
        plain = image.convert("RGBA")
    small = plain.resize((TINY, TINY), Resampling.BOX, reducing_gap=2.0)
    return small.convert("RGB").tobytes()
