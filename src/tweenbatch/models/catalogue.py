"""All known endpoints: the built-in catalogue, overridden by ``tweenbatch models update``."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from tweenbatch.errors import UsageError
from tweenbatch.models import remembered
from tweenbatch.models.data import endpoint_of
from tweenbatch.models.endpoint import Endpoint
from tweenbatch.suggestions import did_you_mean, similar


@cache
def built_in() -> Mapping[str, Endpoint]:
    """Return the endpoints that come with the program, by id."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    endpoints = map(endpoint_of, tomllib.loads(text)["endpoint"])
    return MappingProxyType({each.id: each for each in endpoints})


class _Catalogue(Mapping[str, Endpoint]):
    """Endpoints by id; the remembered ones are read on first use."""

    def __getitem__(self, name: str) -> Endpoint:
        updated = remembered.endpoints()
        return updated[name] if name in updated else built_in()[name]

    def __iter__(self) -> Iterator[str]:
        yield from built_in()
        yield from sorted(remembered.endpoints().keys() - built_in().keys())

    def __len__(self) -> int:
        return len(remembered.endpoints().keys() | built_in().keys())


ENDPOINTS: Mapping[str, Endpoint] = _Catalogue()

KLING_O1 = built_in()["fal-ai/kling-video/o1/image-to-video"]

DEFAULT = KLING_O1

assert KLING_O1.image_limits is not None
USUAL_LIMITS = KLING_O1.image_limits
"""Limits for fitting frames to an endpoint whose limits are unknown."""


def find(name: str) -> Endpoint:
    """Return the endpoint with this id or short name; raise ``UsageError`` with suggestions."""
    if name in ENDPOINTS:
        return ENDPOINTS[name]
    for endpoint in ENDPOINTS.values():
        if name.lower() in endpoint.short:
            return endpoint
    names = [text for each in ENDPOINTS.values() for text in (*each.short, each.id)]
    suggestion = did_you_mean(similar(name.lower(), names, likeness=0.5)) or ";"
    update = f"; if fal has it, run `tweenbatch models update {name}`" if "/" in name else ""
    raise UsageError(
        f"there is no model '{name}'{suggestion} `tweenbatch models` lists all models{update}"
    )
