"""Request fal's price list and read prices in US dollars from it.

It keeps fal's own words for the unit; ``models`` decides their meaning for a clip. Source: fal's
platform API, ``/v1/models/pricing``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from tweenbatch.errors import Unintelligible
from tweenbatch.fal.addresses import API
from tweenbatch.fal.errors import clean

URL = f"https://{API}/v1/models/pricing"
HIGHEST_USD = 1_000
"""No unit of any clip costs this much; a higher number isn't a price."""

_KEPT = 40
"""Characters shown of each field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrice:
    """One entry of the list; ``usd`` is None if it has no readable price in US dollars."""

    unit: str
    usd: Decimal | None
    words: str
    """The entry as fal wrote it, such as ``0.112 USD per second``."""


def list_url(endpoints: Collection[str]) -> httpx.URL:
    """Return the URL of the prices of these endpoints."""
    return httpx.URL(URL, params={"endpoint_id": sorted(endpoints)})


def price_list(answer: Any) -> dict[str, ListedPrice]:
    """Return the entry of each endpoint in the list.

    Contradicting entries give no price. Raises ``Unintelligible`` if the answer isn't a price
    list.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("prices"), list):
        raise Unintelligible("fal's price list isn't a list")
    prices: dict[str, ListedPrice] = {}
    for entry in answer["prices"]:
        name = entry.get("endpoint_id") if isinstance(entry, Mapping) else None
        if isinstance(name, str):
            listed = _listed(entry)
            before = prices.get(name, listed)
            prices[name] = listed if before == listed else _contradiction(before, listed)
    return prices


def _listed(entry: Mapping[str, Any]) -> ListedPrice:
    unit, currency, amount = (entry.get(name) for name in ("unit", "currency", "unit_price"))
    words = " ".join(clean(str(part), _KEPT) for part in (amount, currency, "per", unit))
    usd = _usd(amount) if currency == "USD" and isinstance(unit, str) else None
    return ListedPrice(unit=unit if isinstance(unit, str) else "", usd=usd, words=words)


def _usd(amount: Any) -> Decimal | None:
    if isinstance(amount, bool):
        return None
    try:
        # Through its decimal text: 0.112 as a float isn't exactly 0.112.
        price = Decimal(str(amount))
    except InvalidOperation:
        return None
    return price if price.is_finite() and 0 < price < HIGHEST_USD else None


def _contradiction(one: ListedPrice, other: ListedPrice) -> ListedPrice:
    return ListedPrice(unit="", usd=None, words=f"{one.words}; {other.words}")
