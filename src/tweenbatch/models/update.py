"""Update a model from fal (``tweenbatch models update``) and store it.

Reads fal's public schema and, with a key, its price list; stores nothing if either is unusable. A
price named by the user takes precedence over fal's list.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tweenbatch.errors import Answered, FalError, MissingKey, UsageError
from tweenbatch.fal import Fal, ListedPrice
from tweenbatch.fal.schemas import schema as schema_of
from tweenbatch.models import (
    ENDPOINTS,
    Endpoint,
    Price,
    Unit,
    is_comparable,
    listed_price,
    remember,
)
from tweenbatch.models.data import refuse_unpriceable
from tweenbatch.models.price import length
from tweenbatch.models.schema import UnusableSchema, endpoint_of

_MAY_DECIDE = frozenset(
    {
        *("audio", "generate_audio", "with_audio", "resolution", "quality", "mode", "size"),
        *("num_frames", "frames_per_second", "fps"),
    }
)
"""Inputs that change the price at some of fal's endpoints; fal's list has only one price each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """The user's own facts about a model, which override fal's."""

    start_field: str | None = None
    end_field: str | None = None
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedModel:
    """An updated model, its file, and notices for the user."""

    endpoint: Endpoint
    file: Path
    notices: tuple[str, ...]


async def learn(
    name: str, request: UpdateRequest, *, connect: Callable[[], Fal], connect_to: str | None = None
) -> UpdatedModel:
    """Read an endpoint's schema and price from fal, and store them.

    Raises ``UsageError`` if fal has no such endpoint or it does not take two frames, and
    ``FalError`` if fal can't be reached. Then nothing is stored.
    """
    known = ENDPOINTS.get(name)
    document = await _schema(name, connect_to)
    try:
        made = endpoint_of(
            document,
            name,
            known=known,
            start_field=request.start_field,
            end_field=request.end_field,
        )
    except UnusableSchema as error:
        raise UsageError(f"fal's schema of {name} can't be used: {error}") from error
    entry, notices = await _listed(made, connect)
    if request.price:
        words = entry.words if entry else ""
        made, notices = replace(made, price=request.price, listed_when_named=words), []
    elif entry is not None:
        made, notices = _priced(made, entry)
    made = _with_seconds(made)
    try:
        refuse_unpriceable(made)
    except ValueError as error:
        raise UsageError(f"{name} can't be priced: {error}") from error
    return UpdatedModel(endpoint=made, file=remember(made), notices=tuple(notices))


def _with_seconds(made: Endpoint) -> Endpoint:
    """Remove durations such as ``auto`` from an endpoint priced per second: they have no price."""
    duration = made.parameters.get("duration")
    if made.price is None or made.price.unit is not Unit.SECOND or duration is None:
        return made
    allowed = tuple(text for text in duration.allowed if _is_length(text))
    if not allowed or (allowed == duration.allowed and duration.default):
        return made
    default = duration.default if duration.default in allowed else ""
    seconds = replace(duration, allowed=allowed, default=default, required=not default)
    return replace(made, parameters={**made.parameters, "duration": seconds})


def _is_length(text: str) -> bool:
    try:
        return bool(length(text))
    except ValueError:
        return False


async def _schema(name: str, connect_to: str | None) -> Any:
    try:
        return await schema_of(name, connect_to=connect_to)
    except Answered as error:
        if error.http_status != HTTPStatus.NOT_FOUND:
            raise
        raise UsageError(f"fal has no endpoint '{name}'; check its name on fal.ai") from error


async def _listed(
    made: Endpoint, connect: Callable[[], Fal]
) -> tuple[ListedPrice | None, list[str]]:
    """Return the endpoint's entry in fal's price list, or why there is none."""
    kept = _price_kept(made)
    try:
        async with connect() as fal:
            entry = (await fal.price_list([made.id])).get(made.id)
    except MissingKey:
        return None, [f"the price was not read: there is no key{kept}"]
    except FalError as error:
        return None, [f"the price could not be read ({error}){kept}"]
    return entry, [] if entry else [f"fal's price list does not contain this model{kept}"]


def _price_kept(made: Endpoint) -> str:
    return "" if made.price is None else "; the previous price stays in use"


def _priced(made: Endpoint, entry: ListedPrice) -> tuple[Endpoint, list[str]]:
    """Return the endpoint with the listed price, if that is the price of every row."""
    kept = _price_kept(made)
    if entry.usd is None:
        return made, [
            f"fal's price list has \"{entry.words}\", which isn't a price in US dollars{kept}"
        ]
    price = listed_price(entry.unit, entry.usd)
    if price is None or not is_comparable(made, price):
        return made, [
            f"fal charges ${entry.usd:f} for {entry.unit}, a unit that tweenbatch can't count{kept}"
        ]
    lists = f"fal lists ${price.usd:f} per {price.unit}, but the price"
    known = made.price
    deciding = known and (known.by or (known.longer and known.longer.by))
    if deciding:
        # The list has only one price per endpoint, but this one has several.
        return made, [f"{lists} depends on {deciding}{kept}"]
    if open_to := " or ".join(_deciding(made)):
        if made.listed_when_named is not None:
            return made, [f"{lists} may depend on {open_to}; your own price stays in use"]
        notice = (
            f"{lists} may depend on {open_to}: name the highest price with `tweenbatch models "
            f"update {made.id} --price-per-second USD` or --price-per-clip"
        )
        return replace(made, price=None), [notice]
    return replace(made, price=price, listed_when_named=None), []


def _deciding(made: Endpoint) -> list[str]:
    """Return the inputs that could make a row more expensive."""
    return sorted(
        name
        for name, each in made.parameters.items()
        if name in _MAY_DECIDE and len(each.allowed) != 1
    )
