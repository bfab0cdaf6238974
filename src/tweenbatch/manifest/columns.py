"""What the columns of a manifest mean: their names, and what an endpoint makes of them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tweenbatch.errors import Problem
from tweenbatch.models import Endpoint

ALIASES: Mapping[str, str] = MappingProxyType(
    {"start_image_url": "start_image", "end_image_url": "end_image"}
)
REQUIRED = ("prompt", "start_image", "end_image")
OPTIONAL = ("name", "takes", "priority", "tags")


def canonical(name: object) -> str:
    """Return the name under which a column is known here."""
    text = str(name).strip().lower()
    return ALIASES.get(text, text)


def duplicates(header: Sequence[object]) -> list[str]:
    """Return the columns that a header has twice, also under two names of one."""
    names = [canonical(name) for name in header]
    return sorted({name for name in names if name and names.count(name) > 1})


def problems(names: Sequence[str], endpoint: Endpoint) -> list[Problem]:
    """Return what is wrong with a header of canonical names."""
    header = ", ".join(names)
    found = [
        Problem(message=f"this column is missing; the header has {header}", column=name)
        for name in REQUIRED
        if name not in names
    ]
    for name in names:
        if name in endpoint.not_offered:
            reason = endpoint.not_offered[name]
            message = f"{endpoint.title} would ignore it: {reason}; remove the column"
            found.append(Problem(message=message, column=name))
    return found
