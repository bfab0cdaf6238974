"""Start and end frames: an image's digest, size and format, and what an endpoint minds in it.

Only headers are read, never pixels: thousands of frames are looked at before anything is
spent, and an image bomb must stay closed. It refuses to know which endpoint is asked, where
a frame is uploaded and what a manifest is.
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

# MPO is what Pillow calls a JPEG with a second picture behind the first, as phones write it.
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
"""What Pillow's readers let through on damaged images."""

# Warning filters belong to the whole process, so our threads change them one after another.
_filters = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFacts:
    """What an image is; width and height in pixels as displayed, turned as its EXIF says."""

    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    content_type: str


def digest(path: Path) -> str:
    """Return the sha256 of the file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inspect(source: bytes | Path, *, max_bytes: int = MAX_BYTES) -> FrameFacts:
    """Return the facts of one image, given as its bytes or its file; all are of the same bytes.

    Raises:
        UnreadableFrame: it is no image that can be used as a frame. The message completes
            a sentence that begins with the frame's name, and does not contain it.
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
    """Return what the endpoint would refuse, each as what was found, what is allowed, what to do.

    Like the message of ``UnreadableFrame``, each completes a sentence that begins with the
    frame's name. None stands for limits that nobody knows.
    """
    if limits is None:
        return []
    found = []
    size = size_text(facts.width, facts.height)
    if facts.bytes > limits.max_bytes:
        found.append(
            f"is {facts.bytes} bytes; the endpoint takes at most {limits.max_bytes}:"
            " save it smaller or with more compression"
        )
    if min(facts.width, facts.height) < limits.min_side:
        found.append(
            f"is {size}; the endpoint needs at least {limits.min_side} px on each side:"
            " use a larger image"
        )
    aspect = facts.width / facts.height
    if not limits.min_aspect <= aspect <= limits.max_aspect:
        found.append(
            f"is {size}, an aspect ratio (width / height) of {aspect:.5g}; the endpoint takes"
            f" {limits.min_aspect:g} to {limits.max_aspect:g}: crop the image"
        )
    return found


def read(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of an image's file; raise ``UnreadableFrame`` or ``OSError``."""
    # A pipe or a device would keep us reading for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableFrame("is not a file; give the path of an image")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise UnreadableFrame(_too_big(path.stat().st_size, max_bytes))
    return data


@contextmanager
def opened(data: bytes) -> Iterator["Picture"]:
    """Open an image for a look at its header, one thread at a time; pixels stay untouched.

    The image outlives the block, so that its pixels can be decoded beside those of others.
    Raises ``UnreadableFrame``.
    """
    # Imported here: it costs 40 ms that most commands do not need.
    from PIL import Image, UnidentifiedImageError

    try:
        with _filters, warnings.catch_warnings():
            # Damaged EXIF is no concern here, and our own bound on pixels is below Pillow's.
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
    """Return how the EXIF data would have the image turned, 1 to 8; 1: as it is stored."""
    from PIL.Image import Image

    try:
        # Not image.getexif(): for a PNG without EXIF that decodes every pixel.
        found = Image.getexif(image).get(_ORIENTATION)
    except DAMAGED:
        return _UPRIGHT  # viewers show such an image as it is stored
    return found if isinstance(found, int) and found in range(1, 9) else _UPRIGHT


def size_text(width: int, height: int) -> str:
    """Return ``640×360 px``."""
    return f"{width}\N{MULTIPLICATION SIGN}{height} px"


def _read_header(data: bytes) -> tuple[str, int, int]:
    """Return Pillow's name of the format, and width and height as displayed."""
    with opened(data) as image:
        kind, (width, height) = image.format, image.size
        sideways = orientation(image) in _SIDEWAYS
    assert kind is not None  # only images made in memory have no format
    return (kind, height, width) if sideways else (kind, width, height)


def _too_big(size: int, most: int) -> str:
    return f"is {size} bytes; at most {most} are read: save it smaller"


def _too_many_pixels(found: str) -> str:
    return f"is {found}; at most {MAX_PIXELS} pixels in all are allowed: scale it down"
