"""The prices of a run: the known ones, or fal's listed ones where those are higher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tweenbatch.models.catalogue import ENDPOINTS
from tweenbatch.models.endpoint import Endpoint
from tweenbatch.models.price import Price, Unit, in_micro_dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of clips: the known ones, or fal's listed ones where those are higher."""

    listed: Mapping[str, Price] = field(default_factory=dict)
    """The current prices of fal's list, one per endpoint."""
    in_other_units: frozenset[str] = frozenset()
    """Endpoints that fal's list prices in units that aren't counted here, such as tokens."""

    def clip_usd(self, endpoint: str, parameters: Mapping[str, str], *, known: Decimal) -> Decimal:
        """Return the price of a clip, never less than the ``known`` price."""
        listed, model = self.listed.get(endpoint), ENDPOINTS.get(endpoint)
        if listed is None or model is None or not may_be_dearer(model, listed):
            return known
        return max(known, listed.clip_usd(parameters))

    def units_usd(
        self, endpoint: str, parameters: Mapping[str, str], units: Decimal
    ) -> Decimal | None:
        """Return the price of ``units`` billed units of an endpoint; None: its units are unknown.

        Unverified: fal may bill a higher resolution as more units instead of a higher price. The
        higher amount counts.
        """
        model = ENDPOINTS.get(endpoint)
        if model is None or model.price is None or endpoint in self.in_other_units:
            return None
        known = model.price
        listed = self.listed.get(endpoint, known)
        if listed.unit is not known.unit:
            return None
        price = listed if may_be_dearer(model, listed) else known
        return in_micro_dollars(round(units, 6) * price.unit_usd(parameters))


AS_KNOWN = Prices()
"""The known prices, without fal's list."""


def may_be_dearer(model: Endpoint, listed: Price) -> bool:
    """Return whether a listed price may be higher than the known price of an endpoint.

    The list has only one price per endpoint. If the endpoint has several, the listed price only
    counts when it is higher than all of them.
    """
    known = model.price
    if known is None or listed.usd is None:
        return False
    return listed.unit is not known.unit or listed.usd > known.dearest_usd


def is_comparable(model: Endpoint, listed: Price) -> bool:
    """Return whether every row of an endpoint can be priced with a listed price."""
    return listed.unit is Unit.CLIP or "duration" in model.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """An endpoint whose listed price is higher than the known price, or in another unit."""

    endpoint: str
    known: Price
    now: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDoubt:
    """An endpoint whose entry in fal's list can't be compared with the known price."""

    endpoint: str
    words: str
    """The entry in fal's words, such as ``5 EUR per minute``."""
