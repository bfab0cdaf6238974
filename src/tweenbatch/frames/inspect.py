"""Inspect a frame's header: digest, size, format, and violations of an endpoint's limits.

Only headers are decoded, never pixels: thousands of frames are inspected before anything is paid,
and an image bomb must not expand.
"""

import hashlib
import io
import stat
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from tweenbatch.errors import UnreadableFrame
from tweenbatch.models import ImageLimits

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_BYTES = 30_000_000
MAX_PIXELS = 50_000_000

# MPO is Pillow's name for a JPEG with a second picture after the first, as phones write it.
_CONTENT_TYPES = MappingProxyType(
    {
        "PNG": ("PNG", "image/png"),
        "JPEG": ("JPEG", "image/jpeg"),
        "MPO": ("JPEG", "image/jpeg"),
        "WEBP": ("WEBP", "image/webp"),
    }
)
_ORIENTATION = 0x0112
_SIDEWAYS = frozenset({5, 6, 7, 8})
_UPRIGHT = 1

DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
)
"""Exceptions of Pillow's readers on damaged images."""

# Warning filters belong to the whole process, so only one thread may change them at a time.
_filters = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFacts:
    """Facts of an image; width and height in pixels as displayed, after EXIF rotation."""

    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    content_type: str


def digest(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect(source: bytes | Path, *, max_bytes: int = MAX_BYTES) -> FrameFacts:
    """Return the facts of one image, read once, from its bytes or its file.

    Raises:
        UnreadableFrame: the image can't be used as a frame. The message completes a sentence
            that begins with the frame's name, and does not contain it.
        OSError: the file can't be read.
    """
    data = source if isinstance(source, bytes) else read(source, max_bytes=max_bytes)
    if not data:
        raise UnreadableFrame("is empty (0 bytes); use a PNG, JPEG or WebP image")
    if len(data) > max_bytes:
        raise UnreadableFrame(_too_big(len(data), max_bytes))
    kind, width, height = _read_header(data)
    if width * height > MAX_PIXELS:
        raise UnreadableFrame(_too_many_pixels(size_text(width, height)))
    name, content_type = _CONTENT_TYPES[kind]
    return FrameFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        format=name,
        width=width,
        height=height,
        content_type=content_type,
    )


def problems(facts: FrameFacts, limits: ImageLimits | None) -> list[str]:
    """Return the violated limits: each with the value, the limit and the next step.

    Like the message of ``UnreadableFrame``, each completes a sentence that begins with the
    frame's name. ``limits`` is None if they are unknown.
    """
    if limits is None:
        return []
    messages = []
    size = size_text(facts.width, facts.height)
    if facts.bytes > limits.max_bytes:
        messages.append(
            f"is {facts.bytes} bytes; the endpoint accepts at most {limits.max_bytes}:"
            " save it smaller or with more compression"
        )
    if min(facts.width, facts.height) < limits.min_side:
        messages.append(
            f"is {size}; the endpoint needs at least {limits.min_side} px on each side:"
            " use a larger image"
        )
    aspect = facts.width / facts.height
    if not limits.min_aspect <= aspect <= limits.max_aspect:
        messages.append(
            f"is {size}, an aspect ratio (width / height) of {aspect:.5g}; the endpoint accepts"
            f" {limits.min_aspect:g} to {limits.max_aspect:g}: crop the image"
        )
    return messages


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of an image's file; raise ``UnreadableFrame`` or ``OSError``."""
    # Reading a pipe or a device might never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableFrame("is not a file; name an image file")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnreadableFrame(_too_big(path.stat().st_size, max_bytes))
    return data


@contextmanager
def opened(data: bytes) -> Iterator["Picture"]:
    """Open an image and read its header, one thread at a time; pixels aren't decoded.

    The image outlives the block, so that threads can decode the pixels of several images.
    Raises ``UnreadableFrame``.
    """
    # Imported here because it takes 40 ms, and most commands don't need it.
    from PIL import Image, UnidentifiedImageError

    try:
        with _filters, warnings.catch_warnings():
            # Damaged EXIF data doesn't matter here, and our own limit on pixels is below Pillow's.
            warnings.simplefilter("ignore")
            yield Image.open(io.BytesIO(data), formats=["PNG", "JPEG", "WEBP"])
    except Image.DecompressionBombError as error:
        raise UnreadableFrame(_too_many_pixels("far too large")) from error
    except UnidentifiedImageError as error:
        raise UnreadableFrame(
            "is not a PNG, JPEG or WebP image, or its header is damaged; convert it to one of these"
        ) from error
    except DAMAGED as error:
        raise UnreadableFrame("has a damaged header; export the image again") from error


def orientation(image: "Picture") -> int:
    """Return the image's EXIF orientation, 1 to 8; 1: upright as stored."""
    from PIL.Image import Image

    try:
        # Not image.getexif(): for a PNG without EXIF that decodes every pixel.
        value = Image.getexif(image).get(_ORIENTATION)
    except DAMAGED:
        return _UPRIGHT  # viewers show such an image as it is stored
    return value if isinstance(value, int) and value in range(1, 9) else _UPRIGHT


def size_text(width: int, height: int) -> str:
    """Return ``640×360 px``."""
    return f"{width}\N{MULTIPLICATION SIGN}{height} px"


def _read_header(data: bytes) -> tuple[str, int, int]:
    """Return Pillow's format name, and width and height as displayed."""
    with opened(data) as image:
        kind, (width, height) = image.format, image.size
        sideways = orientation(image) in _SIDEWAYS
    assert kind is not None  # only images made in memory have no format
    return (kind, height, width) if sideways else (kind, width, height)


def _too_big(size: int, most: int) -> str:
    return f"is {size} bytes; at most {most} are allowed: save it smaller"


def _too_many_pixels(size: str) -> str:
    return f"is {size}; at most {MAX_PIXELS} pixels in total are allowed: scale it down"
