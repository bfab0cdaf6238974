"""The endpoints that the emulator offers, as data: fields, limits, prices.

The numbers are the emulator's own, written down a second time on purpose: the product's
prices and limits are checked against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

MAX_PROMPT = 2500
MAX_IMAGE_BYTES = 10_000_000
MIN_IMAGE_SIDE = 300
MIN_ASPECT = 0.40
MAX_ASPECT = 2.50


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint as the emulator sees it."""

    id: str
    title: str
    price_per_second_usd: Decimal
    start_field: str = "start_image_url"
    end_field: str = "end_image_url"
    durations: tuple[str, ...] = ("5", "10")

    @property
    def app(self) -> str:
        """Return owner/app: what the follow-up URLs keep of the endpoint."""
        return "/".join(self.id.split("/")[:2])

    def seconds(self, payload: Mapping[str, Any]) -> int:
        """Return the length of the clip that a valid input asks for."""
        return int(payload.get("duration", self.durations[0]))

    def price_usd(self, payload: Mapping[str, Any]) -> Decimal:
        """Return what a clip costs; an input that will be refused is priced like the default."""
        duration = payload.get("duration")
        known = duration if duration in self.durations else self.durations[0]
        return self.price_per_second_usd * int(known)


ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType(
    {
        endpoint.id: endpoint
        for endpoint in (
            Endpoint(
                id="fal-ai/kling-video/o1/image-to-video",
                title="Kling O1 First Frame Last Frame to Video",
                price_per_second_usd=Decimal("0.112"),
            ),
            Endpoint(
                id="fal-ai/kling-video/o1/standard/image-to-video",
                title="Kling O1 First Frame Last Frame to Video (standard)",
                price_per_second_usd=Decimal("0.084"),
            ),
        )
    }
)

APPS = frozenset(endpoint.app for endpoint in ENDPOINTS.values())


def pricing(endpoint: Endpoint) -> dict[str, Any]:
    """Return one entry of the pricing API."""
    return {
        "endpoint_id": endpoint.id,
        "unit_price": float(endpoint.price_per_second_usd),
        "unit": "second",
        "currency": "USD",
    }
