"""A look into one image: all of its pixels once, and what its header says of them.

Every pixel is decoded, as the model's own reader will do it, so that a picture that breaks off
is found out for nothing. It refuses to know rows and endpoints.
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
"""From here on images are decoded one after the other: each takes up to 200 MB."""

TINY = 16
"""Sides of the tiny picture, in pixels."""

_DRAFT = 8
_PNG_BIT_DEPTH = 24
_DEEP_BITS = 16
_OPAQUE = 255

_large = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What an image holds besides its size.

    ``tiny`` is the image at 16×16 pixels, red, green and blue of each in turn.
    """

    turned: bool
    """EXIF data would have it turned or mirrored."""
    transparent: bool
    """At least one pixel is not opaque."""
    cmyk: bool
    deep: bool
    """It has 16 bits for each channel."""
    animated: bool
    tiny: bytes


def look_into(source: Path, *, max_bytes: int = frames.MAX_BYTES) -> Look:
    """Decode an image whose header is known to be good; safe to call from several threads.

    Raises:
        UnreadableFrame: its body is damaged or breaks off. The message completes a sentence
            that begins with the frame's name.
        OSError: the file can't be read.
    """
    data = frames.read(source, max_bytes=max_bytes)
    with frames.opened(data) as image:
        kind, pixels = image.format, image.width * image.height
        turned = frames.orientation(image) != 1
        cmyk = image.mode == "CMYK"
        # Pillow makes 8 bits of 16 while it reads, and tells only for grey ones.
        deep = kind == "PNG" and data[_PNG_BIT_DEPTH] == _DEEP_BITS
        # A phone's JPEG may have another picture behind the first, which is no animation.
        animated = kind != "MPO" and getattr(image, "n_frames", 1) > 1
    with image, _bounded(pixels):
        try:
            # A JPEG is read to its end all the same, but at an eighth of the size.
            image.draft("RGB", (image.width // _DRAFT, image.height // _DRAFT))
            image.load()
            transparent = _is_transparent(image)
            tiny = _tiny(image)
        except frames.DAMAGED as error:
            raise UnreadableFrame(
                "is damaged: its picture can't be decoded to the end; export the image again"
            ) from error
    return Look(
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
    """Tell whether any pixel is not opaque; many images have an alpha channel for nothing."""
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
