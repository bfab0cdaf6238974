"""Convert fal's OpenAPI document of an endpoint to an ``Endpoint``.

Fields come from the document. Title, short names, reasons and price, which it lacks, stay as
known. It does not know the source of the document.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from tweenbatch.models.endpoint import Endpoint, ImageLimits
from tweenbatch.models.parameter import Parameter, ParameterKind

START_FIELDS = (
    *("start_image_url", "first_frame_url", "first_image_url", "start_frame_url"),
    *("image_url", "first_frame_image_url"),
)
END_FIELDS = (
    *("end_image_url", "last_frame_url", "tail_image_url", "last_image_url"),
    *("end_frame_url", "last_frame_image_url"),
)
"""Names of the two frames at fal's endpoints, the most certain first."""

OWN_COLUMNS = frozenset(
    {"name", "takes", "take", "priority", "tags", "model", "sequence", "order", "row"}
)
"""Columns with another meaning in a manifest: inputs of these names keep fal's default."""

MOST_FIELDS = 100
MOST_STEPS = 20
"""Length of a chain of references."""


class UnusableSchema(ValueError):
    """The document lacks something that a transition needs; the message says what."""


def endpoint_of(
    document: Any,
    name: str,
    *,
    known: Endpoint | None = None,
    start_field: str | None = None,
    end_field: str | None = None,
) -> Endpoint:
    """Return the endpoint ``name`` of a document; raise ``UnusableSchema``.

    ``known`` is the endpoint as known before. The fields of the frames are found by their usual
    names unless they are given.
    """
    if not isinstance(document, Mapping):
        raise UnusableSchema("it isn't an OpenAPI document")
    fields, required = _input(document, name)
    if own := sorted(OWN_COLUMNS & required):
        raise UnusableSchema(f"it requires '{own[0]}', which has another meaning in a manifest")
    before = (known.start_field, known.end_field) if known else (None, None)
    start = _frame_field("start", start_field, START_FIELDS, before[0], fields)
    end = _frame_field("end", end_field, END_FIELDS, before[1], fields)
    if start == end:
        raise UnusableSchema(f"start and end frame can't both be '{start}'")
    if "prompt" not in fields:
        raise UnusableSchema("it has no input 'prompt'")
    parameters = {
        field: made
        for field, described in fields.items()
        if field not in {"prompt", start, end, *OWN_COLUMNS}
        and (made := _parameter(field, described, required=field in required)) is not None
    }
    if known is not None:
        parameters = _defaults_kept(parameters, known)
    return Endpoint(
        id=name,
        title=known.title if known else name,
        short=known.short if known else (),
        start_field=start,
        end_field=end,
        end_required=end in required,
        parameters=MappingProxyType(parameters),
        not_offered={
            each: reason
            for each, reason in (known.not_offered if known else {}).items()
            if each not in fields
        },
        image_limits=_limits(fields[start]) or (known.image_limits if known else None),
        max_prompt_chars=_count(fields["prompt"].get("maxLength"))
        or (known.max_prompt_chars if known else None),
        price=known.price if known else None,
        listed_when_named=known.listed_when_named if known else None,
        names_images=known.names_images if known else False,
        note=known.note if known else "",
    )


def _defaults_kept(parameters: Mapping[str, Parameter], known: Endpoint) -> dict[str, Parameter]:
    """Keep the defaults sent so far, because a default is part of a clip's identity."""
    kept = {}
    for name, parameter in parameters.items():
        before = known.parameters.get(name)
        allowed = before is not None and (
            not parameter.allowed or before.default in parameter.allowed
        )
        # A field that is new at fal is sent only if a cell is filled in.
        default = before.default if before is not None and allowed else ""
        kept[name] = replace(parameter, default=default if before else "")
    return kept


def _input(
    document: Mapping[str, Any], name: str
) -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
    """Return the inputs of the endpoint's POST, and the names of the required ones."""
    post = _dig(document, "paths", f"/{name}", "post")
    body = _dig(post, "requestBody", "content", "application/json", "schema")
    schema = _resolved(document, body)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties or len(properties) > MOST_FIELDS:
        raise UnusableSchema(f"it describes no inputs of {name}")
    required = schema.get("required", [])
    names = [each for each in required if isinstance(each, str)] if required else []
    fields = {str(field): _resolved(document, each) for field, each in properties.items()}
    return fields, frozenset(names)


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _resolved(document: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """Follow references, and unwrap a schema: allOf, and anyOf with null."""
    for _ in range(MOST_STEPS):
        if not isinstance(schema, Mapping):
            return {}
        inner = _wrapped(document, schema)
        if isinstance(schema.get("$ref"), str):
            inner = _dig(document, *schema["$ref"].removeprefix("#/").split("/"))
        if inner is None:
            return {} if "$ref" in schema else schema
        # Keys beside a reference count too: usually a default.
        around = {key: each for key, each in schema.items() if key not in _UNWRAPPED}
        schema = {**inner, **around} if isinstance(inner, Mapping) else {}
    return {}


_WRAPPERS = ("allOf", "anyOf", "oneOf")
_UNWRAPPED = ("$ref", *_WRAPPERS)


def _joined(document: Mapping[str, Any], parts: list[Any]) -> Mapping[str, Any]:
    """Return the union of several schemas."""
    whole: dict[str, Any] = {}
    for part in parts:
        schema = _resolved(document, part)
        properties = {**whole.get("properties", {}), **schema.get("properties", {})}
        required = [*whole.get("required", []), *schema.get("required", [])]
        whole |= {**schema, "required": required}
        if properties:
            whole["properties"] = properties
    return whole


def _wrapped(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for wrapper in _WRAPPERS:
        parts = schema.get(wrapper)
        if wrapper == "allOf" and isinstance(parts, list) and len(parts) > 1:
            return _joined(document, parts)
        if isinstance(parts, list):
            real = [
                part for part in parts if isinstance(part, Mapping) and part.get("type") != "null"
            ]
            if len(real) == 1:
                return real[0]
    return None


def _frame_field(
    which: str,
    given: str | None,
    usual: tuple[str, ...],
    known: str | None,
    fields: Mapping[str, Any],
) -> str:
    if given is not None:
        if given not in fields:
            raise UnusableSchema(f"it has no input '{given}'; its inputs are {', '.join(fields)}")
        if _type(fields[given]) != "string":
            raise UnusableSchema(
                f"its input '{given}' isn't text, so it can't be the URL of a frame"
            )
        return given
    for name in (known, *usual):
        if name is not None and name in fields and _type(fields[name]) == "string":
            return name
    raise UnusableSchema(
        f"it has no known input for the {which} frame; its inputs are {', '.join(fields)}: name "
        f"one with --{which}-field"
    )


_KINDS = {
    "string": ParameterKind.TEXT,
    "integer": ParameterKind.WHOLE,
    "number": ParameterKind.NUMBER,
    "boolean": ParameterKind.YES_NO,
}


def _parameter(name: str, described: Mapping[str, Any], *, required: bool) -> Parameter | None:
    """Return a parameter; None for an optional one that a cell can't hold."""
    kind = _KINDS.get(_type(described))
    if kind is None:
        if required:
            raise UnusableSchema(
                f"its input '{name}' is required, but isn't text, a number or a boolean"
            )
        return None
    listed = described.get("enum", [described["const"]] if "const" in described else None)
    allowed = tuple(map(_text, listed)) if isinstance(listed, list) else ()
    default = described.get("default")
    return Parameter(
        kind=kind,
        allowed=allowed,
        default="" if default is None else _text(default),
        required=required and default is None,
        minimum=_number(described.get("minimum")),
        maximum=_number(described.get("maximum")),
        max_chars=_count(described.get("maxLength")),
    )


def _type(described: Mapping[str, Any]) -> str:
    """Return the JSON type, ignoring null."""
    named = described.get("type")
    if isinstance(named, list):
        named = next((each for each in named if each != "null"), None)
    if named is None and ("enum" in described or "const" in described):
        return "string"
    return str(named)


def _text(value: Any) -> str:
    """Return a value as ``Parameter.spelled`` would."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{Decimal(str(value)).normalize():f}" if isinstance(value, float) else str(value)


def _number(value: Any) -> Decimal | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if is_number else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _limits(described: Mapping[str, Any]) -> ImageLimits | None:
    """Return fal's limits on a frame, if the document has all of them."""
    limits = described.get("x-fal")
    if not isinstance(limits, Mapping):
        return None
    size, side = _count(limits.get("max_file_size")), _count(limits.get("min_width"))
    low, high = _number(limits.get("min_aspect_ratio")), _number(limits.get("max_aspect_ratio"))
    if size is None or side is None or low is None or high is None:
        return None
    return ImageLimits(max_bytes=size, min_side=side, min_aspect=float(low), max_aspect=float(high))
