"""What is known of a model is brought up to date from fal, and remembered.

Reads fal's public schema and, with a key, its price list; writes nothing where either makes no
sense. What somebody says of the price counts more than what fal's list says.
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
from tweenbatch.models.schema import SchemaUseless, endpoint_of

_MAY_DECIDE = frozenset(
    {
        *("audio", "generate_audio", "with_audio", "resolution", "quality", "mode", "size"),
        *("num_frames", "frames_per_second", "fps"),
    }
)
"""Inputs that change the price of some endpoint of fal's; its list has one price for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """What a person says of a model that fal does not say, or says otherwise."""

    start_field: str | None = None
    end_field: str | None = None
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A model as it is known now, the file that remembers it, and what somebody should know."""

    endpoint: Endpoint
    file: Path
    notices: tuple[str, ...]


async def learn(
    name: str, wish: UpdateRequest, *, connect: Callable[[], Fal], connect_to: str | None = None
) -> Learned:
    """Read what fal says of an endpoint, and remember it.

    Raises ``UsageError`` where fal has none of that name or describes none that goes from one
    frame to another, and ``FalError`` where it can't be asked. Nothing is remembered then.
    """
    known = ENDPOINTS.get(name)
    document = await _schema(name, connect_to)
    try:
        made = endpoint_of(
            document,
            name,
            known=known,
            start_field=wish.start_field,
            end_field=wish.end_field,
        )
    except SchemaUseless as error:
        raise UsageError(f"fal's schema of {name} can't be used: {error}") from error
    entry, notices = await _listed(made, connect)
    if wish.price:
        words = entry.words if entry else ""
        made, notices = replace(made, price=wish.price, listed_when_named=words), []
    elif entry is not None:
        made, notices = _priced(made, entry)
    made = _with_seconds(made)
    try:
        refuse_unpriceable(made)
    except ValueError as error:
        raise UsageError(f"{name} can't be priced: {error}") from error
    return Learned(endpoint=made, file=remember(made), notices=tuple(notices))


def _with_seconds(made: Endpoint) -> Endpoint:
    """Leave out durations such as ``auto``, which have no price where a second has one."""
    duration = made.parameters.get("duration")
    if made.price is None or made.price.unit is not Unit.SECOND or duration is None:
        return made
    allowed = tuple(text for text in duration.allowed if _is_length(text))
    if not allowed or (allowed == duration.allowed and duration.default):
        return made
    default = duration.default if duration.default in allowed else ""
    told = replace(duration, allowed=allowed, default=default, required=not default)
    return replace(made, parameters={**made.parameters, "duration": told})


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
    kept = "" if made.price is None else "; what was known before stays"
    try:
        async with connect() as fal:
            entry = (await fal.price_list([made.id])).get(made.id)
    except MissingKey:
        return None, [f"the price was not asked for: there is no key{kept}"]
    except FalError as error:
        return None, [f"the price could not be read ({error}){kept}"]
    return entry, [] if entry else [f"fal's price list does not have it{kept}"]


def _priced(made: Endpoint, entry: ListedPrice) -> tuple[Endpoint, list[str]]:
    """Return the endpoint with the price of fal's list, where that is the price of every row."""
    kept = "" if made.price is None else "; what was known before stays"
    if entry.usd is None:
        return made, [
            f'fal\'s price list says "{entry.words}", which is no price in US dollars{kept}'
        ]
    price = listed_price(entry.unit, entry.usd)
    if price is None or not is_comparable(made, price):
        return made, [
            f"fal charges ${entry.usd:f} for {entry.unit}, which no row can be priced by{kept}"
        ]
    lists = f"fal lists ${price.usd:f} a {price.unit}, and what it costs"
    known = made.price
    deciding = known and (known.by or (known.longer and known.longer.by))
    if deciding:
        # The list has one price for each endpoint: of one that has several it says too little.
        return made, [f"{lists} depends on {deciding}{kept}"]
    if open_to := " or ".join(_deciding(made)):
        if made.listed_when_named is not None:
            return made, [f"{lists} may depend on {open_to}; the price that you named stays"]
        notice = (
            f"{lists} may depend on {open_to}: name the dearest price with `tweenbatch models "
            f"update {made.id} --price-per-second USD` or --price-per-clip"
        )
        return replace(made, price=None), [notice]
    return replace(made, price=price, listed_when_named=None), []


def _deciding(made: Endpoint) -> list[str]:
    """Return the inputs by which a row could ask for something dearer."""
    return sorted(
        name
        for name, each in made.parameters.items()
        if name in _MAY_DECIDE and len(each.allowed) != 1
    )
