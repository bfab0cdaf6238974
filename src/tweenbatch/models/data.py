"""Convert endpoints to and from plain data, for the catalogue's TOML and the remembered JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from tweenbatch.models.endpoint import Endpoint, ImageLimits
from tweenbatch.models.parameter import Parameter, ParameterKind
from tweenbatch.models.price import Longer, Price, Unit, length

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, InvalidOperation)


def endpoint_of(data: Any) -> Endpoint:
    """Return the endpoint of this data; raise ``ValueError`` if the data is invalid."""
    try:
        endpoint = _endpoint(data)
        refuse_unpriceable(endpoint)
    except _MALFORMED as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return endpoint


def data_of(endpoint: Endpoint) -> dict[str, Any]:
    """Return the data of an endpoint, as JSON values; the inverse of ``endpoint_of``."""
    price, limits = endpoint.price, endpoint.image_limits
    return {
        "id": endpoint.id,
        "title": endpoint.title,
        "short": list(endpoint.short),
        "start_field": endpoint.start_field,
        "end_field": endpoint.end_field,
        "end_required": endpoint.end_required,
        "max_prompt_chars": endpoint.max_prompt_chars,
        "image_limits": None if limits is None else asdict(limits),
        "names_images": endpoint.names_images,
        "note": endpoint.note,
        "price": None
        if price is None
        else {
            "unit": str(price.unit),
            "usd": _text(price.usd),
            "by": price.by,
            "rates": {value: str(usd) for value, usd in price.rates.items()},
            "longer": None
            if price.longer is None
            else {
                "by": price.longer.by,
                "above": str(price.longer.above),
                "times": str(price.longer.times),
            },
        },
        "listed_when_named": endpoint.listed_when_named,
        "parameters": {
            name: {
                "kind": str(each.kind),
                "allowed": list(each.allowed),
                "default": each.default,
                "required": each.required,
                "minimum": _text(each.minimum),
                "maximum": _text(each.maximum),
                "max_chars": each.max_chars,
            }
            for name, each in endpoint.parameters.items()
        },
        "not_offered": dict(endpoint.not_offered),
    }


def _endpoint(data: Mapping[str, Any]) -> Endpoint:
    limits = data.get("image_limits")
    parameters = {name: _parameter(each) for name, each in data.get("parameters", {}).items()}
    return Endpoint(
        id=_string(data["id"]),
        title=_string(data["title"]),
        short=tuple(map(_string, data.get("short", ()))),
        start_field=_string(data["start_field"]),
        end_field=_string(data["end_field"]),
        end_required=data.get("end_required", False) is True,
        parameters=MappingProxyType(parameters),
        not_offered=MappingProxyType(dict(data.get("not_offered", {}))),
        image_limits=None if limits is None else ImageLimits(**limits),
        max_prompt_chars=_count(data.get("max_prompt_chars")),
        price=None if data.get("price") is None else _price(data["price"]),
        listed_when_named=_optional(data.get("listed_when_named")),
        names_images=data.get("names_images", False) is True,
        note=_string(data.get("note", "")),
    )


def _parameter(data: Mapping[str, Any]) -> Parameter:
    return Parameter(
        kind=ParameterKind(data.get("kind", ParameterKind.TEXT)),
        allowed=tuple(map(_string, data.get("allowed", ()))),
        default=_string(data.get("default", "")),
        required=data.get("required", False) is True,
        minimum=_decimal(data.get("minimum")),
        maximum=_decimal(data.get("maximum")),
        max_chars=_count(data.get("max_chars")),
    )


def _price(data: Mapping[str, Any]) -> Price:
    rates = {value: Decimal(usd) for value, usd in data.get("rates", {}).items()}
    price = Price(
        unit=Unit(data["unit"]),
        usd=_decimal(data.get("usd")),
        by=_string(data.get("by", "")),
        rates=MappingProxyType(rates),
        longer=None if data.get("longer") is None else _longer(data["longer"]),
    )
    amounts = [*rates.values(), *([] if price.usd is None else [price.usd])]
    if not amounts or not all(usd.is_finite() and usd > 0 for usd in amounts):
        raise ValueError("a price isn't a positive amount")
    return price


def _longer(data: Mapping[str, Any]) -> Longer:
    longer = Longer(
        by=_string(data["by"]), above=Decimal(data["above"]), times=Decimal(data["times"])
    )
    if not (longer.above.is_finite() and longer.times.is_finite() and longer.times > 1):
        raise ValueError("a price isn't a positive amount")
    return longer


def refuse_unpriceable(endpoint: Endpoint) -> None:
    """Raise ``ValueError`` if a valid row could have no price.

    Every allowed value of the deciding parameter must have a price.
    """
    price = endpoint.price
    if price is None:
        return
    if price.usd is None:
        _refuse_unrated(endpoint, price)
    if price.longer is not None:
        counted = endpoint.parameters.get(price.longer.by)
        if counted is None or counted.kind not in (ParameterKind.WHOLE, ParameterKind.NUMBER):
            raise ValueError(f"its price depends on {price.longer.by}, which isn't a number")
    if price.unit is Unit.SECOND:
        _refuse_unmeasured(endpoint)


def _refuse_unrated(endpoint: Endpoint, price: Price) -> None:
    parameter = endpoint.parameters.get(price.by)
    if parameter is None:
        raise ValueError(f"its price depends on {price.by}, which isn't one of its inputs")
    if not set(parameter.allowed or ("true", "false")) <= set(price.rates):
        raise ValueError(f"some values of {price.by} have no price")


def _refuse_unmeasured(endpoint: Endpoint) -> None:
    duration = endpoint.parameters.get("duration")
    if duration is None:
        raise ValueError("it is charged by the second but has no input 'duration'")
    for text in (*duration.allowed, *([] if duration.required else [duration.default])):
        length(text)
    if not duration.allowed and duration.kind is not ParameterKind.WHOLE:
        raise ValueError("its duration may be any text, so it can't be priced")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} isn't text")
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else _string(value)


def _count(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r} isn't a whole number")
    return value


def _decimal(text: Any) -> Decimal | None:
    return None if text is None else Decimal(_string(text))


def _text(number: Decimal | None) -> str | None:
    return None if number is None else str(number)
