"""What is known of a model is brought up to date from fal, and remembered.

Reads fal's public schema and, with a key, its price list; writes nothing where either makes no
sense. What somebody says of the price counts more than what fal's list says.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tweenbatch.errors import Answered, FalError, MissingKey, UsageError
from tweenbatch.fal import Fal
from tweenbatch.fal.schemas import schema as schema_of
from tweenbatch.models import ENDPOINTS, Endpoint, Price, Unit, remember
from tweenbatch.models.data import refuse_unpriceable
from tweenbatch.models.price import length
from tweenbatch.models.schema import SchemaUseless, endpoint_of

_UNITS = {
    **dict.fromkeys(("second", "seconds"), Unit.SECOND),
    **dict.fromkeys(("clip", "clips", "video", "videos", "generation", "request"), Unit.CLIP),
}
"""fal's words for what it charges for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
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
    name: str, wish: Wish, *, connect: Callable[[], Fal], connect_to: str | None = None
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
    price, notices = (wish.price, []) if wish.price else await _price(made, connect)
    made = _with_seconds(replace(made, price=price))
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


async def _price(made: Endpoint, connect: Callable[[], Fal]) -> tuple[Price | None, list[str]]:
    """Return today's price, or what was known before with the reason."""
    kept = "" if made.price is None else "; what was known before stays"
    try:
        async with connect() as fal:
            listed = (await fal.unit_prices([made.id])).get(made.id)
    except MissingKey:
        return made.price, [f"the price was not asked for: there is no key{kept}"]
    except FalError as error:
        return made.price, [f"the price could not be read ({error}){kept}"]
    if listed is None:
        return made.price, [f"fal's price list does not have it in US dollars{kept}"]
    unit_name, usd = listed
    unit = _UNITS.get(unit_name)
    if unit is None:
        return made.price, [
            f"fal charges ${usd:f} for {unit_name}, which no row can be priced by{kept}"
        ]
    if made.price is not None and made.price.by:
        # The list has one price for each endpoint: of one that has several it says too little.
        depends = f"and what it costs depends on {made.price.by}"
        return made.price, [f"fal lists ${usd:f} a {unit}, {depends}{kept}"]
    return Price(unit=unit, usd=Decimal(usd)), []
