"""Check a request's input as the model does when its work starts."""

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, UnidentifiedImageError

from tweenbatch.emulator.model import catalog

_FORMATS = {"PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF"}


def problem(loc: list[str | int], kind: str, message: str, **more: Any) -> dict[str, Any]:
    """Return one entry of a model error's ``detail``."""
    return {
        "loc": loc,
        "msg": message,
        "type": kind,
        "url": f"https://docs.fal.ai/errors#{kind}",
        **more,
    }


def check_fields(endpoint: catalog.ServedEndpoint, payload: Any) -> list[dict[str, Any]]:
    """Return the problems of the fields; unknown fields are ignored, as by the models."""
    if not isinstance(payload, Mapping):
        return [problem(["body"], "model_attributes_type", "Input should be a valid dictionary")]
    found = [
        problem(["body", name], "missing", "Field required", input=dict(payload))
        for name in endpoint.required
        if payload.get(name) is None
    ]
    for name in ("prompt", endpoint.start_field, endpoint.end_field):
        value = payload.get(name)
        if value is not None and not isinstance(value, str):
            found.append(
                problem(
                    ["body", name], "string_type", "Input should be a valid string", input=value
                )
            )
    prompt = payload.get("prompt")
    if isinstance(prompt, str) and not 0 < len(prompt) <= catalog.MAX_PROMPT:
        kind = "string_too_long" if prompt else "string_too_short"
        found.append(
            problem(
                ["body", "prompt"],
                kind,
                f"String should have 1 to {catalog.MAX_PROMPT} characters",
                ctx={"min_length": 1, "max_length": catalog.MAX_PROMPT},
                input=prompt,
            )
        )
    found += [
        _invalid_value(name, field, payload[name])
        for name, field in endpoint.fields.items()
        if payload.get(name) is not None and not field.takes(payload[name])
    ]
    return found


def _invalid_value(name: str, field: catalog.Field, value: Any) -> dict[str, Any]:
    if not field.values:
        limits = {"ge": field.low, "le": field.high}
        text = f"Input should be a valid integer from {field.low} to {field.high}"
        return problem(["body", name], "int_type", text, ctx=limits, input=value)
    expected = " or ".join(f"{each!r}" for each in field.values)
    return problem(
        ["body", name],
        "literal_error",
        f"Input should be {expected}",
        ctx={"expected": expected},
        input=value,
    )


def check_image(name: str, url: str, data: bytes) -> dict[str, Any] | None:
    """Return the problem of a frame, or None; reads only its header."""
    loc: list[str | int] = ["body", name]
    if len(data) > catalog.MAX_IMAGE_BYTES:
        return problem(
            loc,
            "file_too_large",
            f"File size exceeds the maximum allowed size of {catalog.MAX_IMAGE_BYTES} bytes.",
            ctx={"max_size": catalog.MAX_IMAGE_BYTES},
            input=url,
        )
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            kind = image.format
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return unreadable(name, url)
    if kind not in _FORMATS:
        return problem(
            loc,
            "unsupported_image_format",
            f"Unsupported image format {kind}.",
            ctx={"supported_formats": sorted(_FORMATS)},
            input=url,
        )
    if min(width, height) < catalog.MIN_IMAGE_SIDE:
        side = catalog.MIN_IMAGE_SIDE
        return problem(
            loc,
            "image_too_small",
            f"Image dimensions are too small. Minimum dimensions are {side}x{side} pixels.",
            ctx={"min_height": side, "min_width": side},
            input=url,
        )
    if not catalog.MIN_ASPECT <= width / height <= catalog.MAX_ASPECT:
        return problem(
            loc,
            "value_error",
            f"Aspect ratio must be from {catalog.MIN_ASPECT:.2f} to {catalog.MAX_ASPECT:.2f}.",
            ctx={"min_aspect": catalog.MIN_ASPECT, "max_aspect": catalog.MAX_ASPECT},
            input=url,
        )
    return None


def unreadable(name: str, url: str) -> dict[str, Any]:
    """Return the error of a frame that isn't an image."""
    return problem(
        ["body", name],
        "image_load_error",
        "Failed to load the image. Please ensure the image file is not corrupted.",
        input=url,
    )


def missing_file(name: str, url: str) -> dict[str, Any]:
    """Return the error of a frame that could not be downloaded."""
    return problem(
        ["body", name],
        "file_download_error",
        "Failed to download the file. Please check if the URL is accessible.",
        input=url,
    )
