"""Apply a recipe to an image's pixels and encode the result as PNG or JPEG, in memory."""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tweenbatch.errors import UnreadableFrame
from tweenbatch.frames import inspect as frames
from tweenbatch.frames.fit.recipe import Recipe, Shape, Way

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

QUALITIES = (95, 90, 85)
STEP = 0.85
"""Factor by which the sides are scaled down repeatedly until the file is small enough."""

SMALLEST = 300
"""Shortest side after scaling; files are small enough long before."""

_PLAIN = 12.0
"""Standard deviation up to which an edge counts as a single colour."""


def paint(data: bytes, recipe: Recipe) -> tuple[bytes, str]:
    """Return the encoded image and its suffix.

    A PNG stays a PNG if it is small enough; everything else becomes a JPEG of high quality.
    Raises ``UnreadableFrame``.
    """
    from PIL import ImageOps

    with frames.opened(data) as image:
        lossless = image.format == "PNG"
    try:
        with image:
            image.load()
            picture = _plain(ImageOps.exif_transpose(image) if recipe.turned else image)
    except frames.DAMAGED as error:
        raise UnreadableFrame("can't be fitted: it is damaged; export it again") from error
    if recipe.shape is not None:
        picture = _shaped(picture, recipe.shape)
    for file, suffix in _smaller_and_smaller(picture, lossless=lossless):
        if len(file) <= recipe.max_bytes:
            return file, suffix
    raise UnreadableFrame("can't be fitted: no copy is small enough; save it smaller")


def _plain(image: "Picture") -> "Picture":
    """Return the image in 8-bit sRGB, transparent parts on white."""
    import numpy as np
    from PIL import Image

    profile, alpha = image.info.get("icc_profile"), None
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
    if image.mode.startswith("I"):
        # Pillow would clip values above 255.
        image = Image.fromarray((np.asarray(image).astype("uint32") >> 8).astype("uint8"))
    elif image.mode in ("P", "PA", "1"):
        image = image.convert("RGB" if image.mode == "1" else "RGBA").convert("RGB")
    elif image.mode in ("RGBA", "LA", "La", "RGBa"):
        image = image.convert("RGB" if image.mode.startswith("RGB") else "L")
    plain = _to_srgb(image, profile)
    if alpha is None:
        return plain
    white = Image.new("RGB", plain.size, "white")
    white.paste(plain, mask=alpha)
    return white


def _to_srgb(image: "Picture", profile: bytes | None) -> "Picture":
    from PIL import ImageCms

    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile that doesn't match its image: viewers ignore it too
        else:
            assert converted is not None
            return converted
    return image.convert("RGB")


def _shaped(image: "Picture", shape: Shape) -> "Picture":
    from PIL import Image

    left, top = (shape.width - image.width) // 2, (shape.height - image.height) // 2
    if shape.way is Way.CROP:
        return image.crop((-left, -top, shape.width - left, shape.height - top))
    padded = Image.new("RGB", (shape.width, shape.height), _edge_colour(image, sideways=left > 0))
    padded.paste(image, (left, top))
    return padded


def _edge_colour(image: "Picture", *, sideways: bool) -> tuple[int, int, int]:
    """Return the colour of the edges next to the bars, or black if they have several colours."""
    import numpy as np

    pixels = np.asarray(image)
    edges = (pixels[:, 0], pixels[:, -1]) if sideways else (pixels[0], pixels[-1])
    both = np.concatenate(edges).astype(float)
    if both.std(axis=0).max() > _PLAIN:
        return (0, 0, 0)
    red, green, blue = (round(value) for value in both.mean(axis=0))
    return red, green, blue


def _smaller_and_smaller(image: "Picture", *, lossless: bool) -> Iterator[tuple[bytes, str]]:
    from PIL.Image import Resampling

    image = image.copy()
    image.info = {}  # such as a profile that no longer applies
    too_many = image.width * image.height / frames.MAX_PIXELS
    if too_many > 1:
        image = image.resize(_scaled(image, too_many**-0.5), Resampling.LANCZOS)
    if lossless:
        yield _saved(image, "PNG"), ".png"
    for quality in QUALITIES:
        yield _saved(image, "JPEG", quality=quality, subsampling=0), ".jpg"
    while min(_scaled(image, STEP)) >= SMALLEST:
        image = image.resize(_scaled(image, STEP), Resampling.LANCZOS)
        yield _saved(image, "JPEG", quality=QUALITIES[-1], subsampling=0), ".jpg"


def _scaled(image: "Picture", factor: float) -> tuple[int, int]:
    return int(image.width * factor), int(image.height * factor)


def _saved(image: "Picture", kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=b"", **options)
    return buffer.getvalue()
