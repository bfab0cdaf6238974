"""Build the OpenAPI document of an endpoint as fal publishes it."""

from typing import Any

from tweenbatch.emulator.model import catalog

_FRAME = {
    "type": "string",
    "x-fal": {
        "max_file_size": catalog.MAX_IMAGE_BYTES,
        "min_width": catalog.MIN_IMAGE_SIDE,
        "min_height": catalog.MIN_IMAGE_SIDE,
        "min_aspect_ratio": catalog.MIN_ASPECT,
        "max_aspect_ratio": catalog.MAX_ASPECT,
        "timeout": 20.0,
    },
}

_FILE = {
    "type": "object",
    "required": ["url"],
    "properties": {
        "url": {"type": "string"},
        "content_type": {"type": "string"},
        "file_name": {"type": "string"},
        "file_size": {"type": "integer"},
    },
}


def openapi(endpoint: catalog.ServedEndpoint) -> dict[str, Any]:
    """Return the OpenAPI document of an endpoint."""
    name = "".join(part.title() for part in endpoint.id.split("/")[1:]).replace("-", "")
    output = {
        "type": "object",
        "required": ["video"],
        "properties": {"video": _reference("File")},
    }
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"Queue OpenAPI for {endpoint.id}",
            "version": "1.0.0",
            "x-fal-metadata": {"endpointId": endpoint.id, "category": "image-to-video"},
        },
        "servers": [{"url": "https://queue.fal.run"}],
        "components": {
            "schemas": {
                "File": _FILE,
                f"{name}Input": _input(endpoint),
                f"{name}Output": output,
            }
        },
        "paths": {
            f"/{endpoint.id}": {
                "post": {"requestBody": {"required": True, **_body(f"{name}Input")}}
            },
            f"/{endpoint.id}/requests/{{request_id}}": {
                "get": {"responses": {"200": _body(f"{name}Output")}}
            },
        },
    }


def _input(endpoint: catalog.ServedEndpoint) -> dict[str, Any]:
    names = ["prompt", endpoint.start_field, endpoint.end_field, *endpoint.fields]
    return {
        "type": "object",
        "required": list(endpoint.required),
        "x-fal-order-properties": names,
        "properties": {
            "prompt": {"type": "string", "maxLength": catalog.MAX_PROMPT},
            endpoint.start_field: _FRAME,
            # fal's form of an optional field.
            endpoint.end_field: _FRAME
            if endpoint.end_required
            else {"anyOf": [_FRAME, {"type": "null"}]},
            **{name: _property(each) for name, each in endpoint.fields.items()},
        },
    }


def _property(field: catalog.Field) -> dict[str, Any]:
    if not field.values:
        bounds = {"minimum": field.low, "maximum": field.high}
        return {"type": "integer", **bounds, "default": field.default}
    if isinstance(field.default, bool):
        return {"type": "boolean", "default": field.default}
    return {"type": "string", "enum": list(field.values), "default": field.default}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _reference(name)}}}
