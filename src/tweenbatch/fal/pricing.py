"""fal's price list: how it is asked, and what of its answer is believed.

Source: fal's platform API, ``/v1/models/pricing``.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from tweenbatch.errors import Unintelligible
from tweenbatch.fal.addresses import API

URL = f"https://{API}/v1/models/pricing"
HIGHEST_USD = 1_000
"""More than a second of any clip costs: what says so is no price."""

_SECOND = frozenset({"second", "seconds"})


def list_url(endpoints: Collection[str]) -> httpx.URL:
    """Return the address of the prices of these endpoints."""
    return httpx.URL(URL, params={"endpoint_id": sorted(endpoints)})


def seconds_priced(answer: Any) -> dict[str, Decimal]:
    """Return what a second of video costs in US dollars, by endpoint.

    A price in another currency or for another unit is left out. Raises ``Unintelligible`` for
    an answer that is no price list.
    """
    return {name: usd for name, (unit, usd) in unit_prices(answer).items() if unit in _SECOND}


def unit_prices(answer: Any) -> dict[str, tuple[str, Decimal]]:
    """Return by endpoint what is charged for, in fal's words, and the US dollars for each.

    A price in another currency is left out. Raises ``Unintelligible`` like ``seconds_priced``.
    """
    if not isinstance(answer, dict) or not isinstance(answer.get("prices"), list):
        raise Unintelligible("a price list that is none")
    return dict(found for entry in answer["prices"] if (found := _price(entry)) is not None)


def _price(entry: Any) -> tuple[str, tuple[str, Decimal]] | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("endpoint_id"), str):
        return None
    unit, currency, amount = (entry.get(name) for name in ("unit", "currency", "unit_price"))
    if not isinstance(unit, str) or currency != "USD" or isinstance(amount, bool):
        return None
    try:
        # By way of its digits: a float's own value is not the price that was meant.
        price = Decimal(str(amount))
    except InvalidOperation:
        return None
    if not price.is_finite() or not 0 < price < HIGHEST_USD:
        return None
    return entry["endpoint_id"], (unit, price)
