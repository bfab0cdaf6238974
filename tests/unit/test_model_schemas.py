"""What fal's own description of an endpoint is taken for, and what of it is refused."""

from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tweenbatch.emulator.api.openapi import openapi
from tweenbatch.emulator.model import catalog
from tweenbatch.manifest import columns
from tweenbatch.models import ENDPOINTS, KLING_O1
from tweenbatch.models.parameter import ParameterKind
from tweenbatch.models.schema import OWN_COLUMNS, UnusableSchema, endpoint_of

NEW = "fal-ai/new-model/transition"


def document(
    properties: dict[str, Any] | None = None, *, required: tuple[str, ...] = ("prompt",)
) -> dict[str, Any]:
    """A document as fal writes it, of an endpoint that nobody knows."""
    fields = {
        "prompt": {"type": "string", "maxLength": 500},
        "first_frame_url": {"type": "string"},
        "last_frame_url": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    schema = {
        "type": "object",
        "required": list(required),
        "properties": fields | (properties or {}),
    }
    return {
        "components": {
            "schemas": {"Input": schema, "Size": {"type": "string", "enum": ["s", "m"]}}
        },
        "paths": {
            f"/{NEW}": {
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Input"}}
                        }
                    }
                }
            }
        },
    }


@pytest.mark.parametrize("name", catalog.ENDPOINTS)
def test_every_endpoint_is_what_the_catalogue_says_it_is(name: str) -> None:
    known = ENDPOINTS[name]
    read = endpoint_of(openapi(catalog.ENDPOINTS[name]), name, known=known)
    assert (read.start_field, read.end_field) == (known.start_field, known.end_field)
    assert read.end_required == known.end_required
    assert {each: read.parameters[each].kind for each in read.parameters} == {
        each: known.parameters[each].kind for each in known.parameters
    }
    for each, parameter in known.parameters.items():
        assert set(parameter.allowed) == set(read.parameters[each].allowed)
        assert parameter.default == read.parameters[each].default


def test_an_endpoint_that_nobody_knew_is_read_with_all_that_it_takes() -> None:
    read = endpoint_of(
        document(
            {
                "size": {"allOf": [{"$ref": "#/components/schemas/Size"}], "default": "m"},
                "frames": {"anyOf": [{"type": "integer", "minimum": 8}, {"type": "null"}]},
                "strength": {"type": "number", "minimum": 0, "maximum": 1.5},
                "sound": {"type": "boolean", "default": True},
                "style": {"type": "string", "maxLength": 20},
                "masks": {"type": "array"},
            },
            required=("prompt", "last_frame_url", "frames"),
        ),
        NEW,
    )
    assert (read.start_field, read.end_field) == ("first_frame_url", "last_frame_url")
    assert (read.end_required, read.max_prompt_chars, read.price) == (True, 500, None)
    assert set(read.parameters) == {"size", "frames", "strength", "sound", "style"}
    size, frames, strength = (read.parameters[name] for name in ("size", "frames", "strength"))
    assert (size.allowed, size.default, size.required) == (("s", "m"), "m", False)
    assert (frames.kind, frames.minimum, frames.required) == (ParameterKind.WHOLE, Decimal(8), True)
    assert (strength.minimum, strength.maximum) == (Decimal(0), Decimal("1.5"))
    assert read.parameters["sound"].default == "true"
    assert read.parameters["style"].max_chars == 20


def test_an_update_adds_durations_and_changes_no_default_that_makes_a_clip() -> None:
    offered = replace(
        catalog.ENDPOINTS[KLING_O1.id],
        fields={
            "duration": catalog.one_of("3", "4", "5", "10", default="3"),
            "mode": catalog.one_of("pro", "std"),
        },
    )
    read = endpoint_of(openapi(offered), KLING_O1.id, known=KLING_O1)
    assert read.parameters["duration"].allowed == ("3", "4", "5", "10")
    assert read.parameters["duration"].default == "5"
    # What a cell does not say is left to fal, as it was before.
    assert read.parameters["mode"].default == ""
    assert (read.title, read.price, read.not_offered) == (
        KLING_O1.title,
        KLING_O1.price,
        KLING_O1.not_offered,
    )


def test_a_field_that_was_not_offered_and_is_now_is_a_column() -> None:
    offered = replace(
        catalog.ENDPOINTS[KLING_O1.id],
        fields={"duration": catalog.one_of("5"), "seed": catalog.Field(low=0, high=9, default=0)},
    )
    read = endpoint_of(openapi(offered), KLING_O1.id, known=KLING_O1)
    assert "seed" in read.parameters
    assert "seed" not in read.not_offered


def test_frames_may_be_named_by_hand() -> None:
    fields = {"a": {"type": "string"}, "b": {"type": "string"}}
    read = endpoint_of(document(fields), NEW, start_field="a", end_field="b")
    assert (read.start_field, read.end_field) == ("a", "b")


def without(name: str) -> dict[str, Any]:
    made = deepcopy(document())
    del made["components"]["schemas"]["Input"]["properties"][name]
    return made


LOOP = {"size": {"$ref": "#/components/schemas/Size"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "it isn't an OpenAPI document"),
        ({}, "no inputs"),
        ({"paths": {f"/{NEW}": {"post": 3}}}, "no inputs"),
        (without("prompt"), "no input 'prompt'"),
        (
            without("last_frame_url"),
            "no known input for the end frame; its inputs are prompt, first",
        ),
        (without("first_frame_url"), "name one with --start-field"),
        (
            document({"masks": {"type": "array"}}, required=("prompt", "masks")),
            "input 'masks' is required, but isn't text",
        ),
    ],
)
def test_what_describes_no_way_between_frames_is_refused(given: Any, words: str) -> None:
    with pytest.raises(UnusableSchema, match=words):
        endpoint_of(given, NEW)


def test_references_in_a_circle_come_to_an_end() -> None:
    made = document(LOOP)
    made["components"]["schemas"]["Size"] = {"$ref": "#/components/schemas/Size"}
    assert "size" not in endpoint_of(made, NEW).parameters


def test_a_field_that_is_not_there_can_not_be_a_frame() -> None:
    with pytest.raises(UnusableSchema, match="no input 'x'; its inputs are prompt"):
        endpoint_of(document(), NEW, start_field="x")


def test_inputs_that_are_called_like_our_own_columns_stay_as_fal_has_them() -> None:
    assert set(columns.OPTIONAL) <= OWN_COLUMNS
    made = endpoint_of(document({"model": {"type": "string", "default": "fast"}}), NEW)
    assert "model" not in made.parameters
    needed = document({"name": {"type": "string"}}, required=("prompt", "name"))
    with pytest.raises(UnusableSchema, match="requires 'name', which has another meaning"):
        endpoint_of(needed, NEW)


def test_schemas_are_read_in_all_their_spellings() -> None:
    made = endpoint_of(
        document(
            {
                "speed": {"type": "number", "enum": [0.5, 1.0], "default": 1.0},
                "style": {"enum": ["a", "b"]},
                "frames": {"type": ["integer", "null"], "minimum": 1},
                "fixed": {"const": "x"},
            }
        ),
        NEW,
    )
    speed = made.parameters["speed"]
    assert (speed.allowed, speed.default, speed.spelled("1.0", of="it")) == (("0.5", "1"), "1", "1")
    assert made.parameters["style"].allowed == ("a", "b")
    assert made.parameters["frames"].kind is ParameterKind.WHOLE
    assert made.parameters["fixed"].allowed == ("x",)


def test_inputs_that_several_schemas_describe_together_are_all_known() -> None:
    made = document()
    schemas = made["components"]["schemas"]
    more = {"type": "object", "properties": {"seed": {"type": "integer"}}, "required": ["seed"]}
    schemas["Whole"] = {"allOf": [{"$ref": "#/components/schemas/Input"}, more]}
    body = made["paths"][f"/{NEW}"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {"$ref": "#/components/schemas/Whole"}
    assert endpoint_of(made, NEW).parameters["seed"].required


def test_a_list_of_addresses_is_no_frame() -> None:
    other = {"start_image_url": {"type": "array"}}
    assert endpoint_of(document(other), NEW).start_field == "first_frame_url"
    listed = {"image_urls": {"type": "array"}}
    with pytest.raises(UnusableSchema, match="'image_urls' isn't text"):
        endpoint_of(document(listed), NEW, start_field="image_urls")
