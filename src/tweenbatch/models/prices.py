"""The prices that hold for a run: those that are known here, or more where fal asks more by now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from tweenbatch.models.catalogue import ENDPOINTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What clips cost: as was known, or more where fal asks more by now."""

    per_second_usd: Mapping[str, Decimal] = field(default_factory=dict)
    """What fal says now, by endpoint."""

    def clip_usd(self, endpoint: str, parameters: Mapping[str, str], *, known: Decimal) -> Decimal:
        """Return the price of a clip that was priced at ``known``; it never falls."""
        now = self.per_second_usd.get(endpoint)
        if now is None:
            return known
        model = ENDPOINTS.get(endpoint)
        # fal's list has one price for each endpoint: of one that has several it says too little.
        if model is None or model.price_per_second_usd is None:
            return known
        # A table keeps a millionth of a dollar, and no less than fal takes.
        price = (now * model.seconds(parameters)).quantize(Decimal("0.000001"), ROUND_CEILING)
        return max(known, price)


AS_KNOWN = Prices()
"""The prices that are known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """An endpoint that has become dearer; US dollars for each second of video."""

    endpoint: str
    known_usd: Decimal
    now_usd: Decimal
