"""fal's price list: how it is asked, and what of its answer is a number of US dollars.

What fal charges for is left in its words: what they mean for a clip is judged by the models.
Source: fal's platform API, ``/v1/models/pricing``.
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
"""More than a unit of any clip costs: what says so is no price."""

_KEPT = 40
"""Characters of one of fal's words that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrice:
    """One entry of the list; ``usd`` is None where no price in US dollars can be read in it."""

    unit: str
    usd: Decimal | None
    words: str
    """The entry as fal wrote it, such as ``0.112 USD per second``."""


def list_url(endpoints: Collection[str]) -> httpx.URL:
    """Return the address of the prices of these endpoints."""
    return httpx.URL(URL, params={"endpoint_id": sorted(endpoints)})


def price_list(answer: Any) -> dict[str, ListedPrice]:
    """Return what the list says of each endpoint that it names.

    Of entries that contradict each other none is a price. Raises ``Unintelligible`` for an
    answer that is no price list.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("prices"), list):
        raise Unintelligible("a price list that is none")
    found: dict[str, ListedPrice] = {}
    for entry in answer["prices"]:
        name = entry.get("endpoint_id") if isinstance(entry, Mapping) else None
        if isinstance(name, str):
            listed = _listed(entry)
            before = found.get(name, listed)
            found[name] = listed if before == listed else _contradiction(before, listed)
    return found


def _listed(entry: Mapping[str, Any]) -> ListedPrice:
    unit, currency, amount = (entry.get(name) for name in ("unit", "currency", "unit_price"))
    words = " ".join(clean(str(part), _KEPT) for part in (amount, currency, "per", unit))
    usd = _usd(amount) if currency == "USD" and isinstance(unit, str) else None
    return ListedPrice(unit=unit if isinstance(unit, str) else "", usd=usd, words=words)


def _usd(amount: Any) -> Decimal | None:
    if isinstance(amount, bool):
        return None
    try:
        # By way of its digits: a float's own value is not the price that was meant.
        price = Decimal(str(amount))
    except InvalidOperation:
        return None
    return price if price.is_finite() and 0 < price < HIGHEST_USD else None


def _contradiction(one: ListedPrice, other: ListedPrice) -> ListedPrice:
    return ListedPrice(unit="", usd=None, words=f"{one.words}; {other.words}")
