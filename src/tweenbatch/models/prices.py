"""The prices that hold for a run: those that are known here, or more where fal asks more by now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from tweenbatch.models.catalogue import ENDPOINTS
from tweenbatch.models.endpoint import Endpoint
from tweenbatch.models.price import Price, Unit, in_micro_dollars


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What clips cost: as was known, or more where fal asks more by now."""

    listed: Mapping[str, Price] = field(default_factory=dict)
    """What fal's list says now, by endpoint: one price for each."""
    in_other_units: frozenset[str] = frozenset()
    """Endpoints that fal's list prices by units which are not counted here, such as tokens."""

    def clip_usd(self, endpoint: str, parameters: Mapping[str, str], *, known: Decimal) -> Decimal:
        """Return the price of a clip that was priced at ``known``; it never falls."""
        listed, model = self.listed.get(endpoint), ENDPOINTS.get(endpoint)
        if listed is None or model is None or not may_be_dearer(model, listed):
            return known
        return max(known, listed.clip_usd(parameters))

    def units_usd(
        self, endpoint: str, parameters: Mapping[str, str], units: Decimal
    ) -> Decimal | None:
        """Return what so many billed units of an endpoint cost; None: its units are not known.

        Unverified: fal may count a dearer resolution as more units instead of dearer ones. The
        higher sum counts.
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
"""The prices that are known here."""


def may_be_dearer(model: Endpoint, listed: Price) -> bool:
    """Tell whether a price of fal's list can be more than what is known of an endpoint.

    The list has one price for each endpoint: of one that has several it tells something only
    where it is above them all.
    """
    known = model.price
    if known is None or listed.usd is None:
        return False
    return listed.unit is not known.unit or listed.usd > known.dearest_usd


def is_comparable(model: Endpoint, listed: Price) -> bool:
    """Tell whether each row of an endpoint has a price by what fal's list says."""
    return listed.unit is Unit.CLIP or "duration" in model.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """An endpoint whose price in fal's list is above the one known here, or by another unit."""

    endpoint: str
    known: Price
    now: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDoubt:
    """An endpoint whose entry in fal's list can't be compared with the price known here."""

    endpoint: str
    words: str
    """The entry in fal's words, such as ``5 EUR per minute``."""
