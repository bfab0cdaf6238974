"""The emulator's endpoints as data: fields, limits, prices.

These facts repeat the program's own catalogue on purpose: a test compares the two. Unpublished
prices are invented.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any

MAX_PROMPT = 2500
MAX_IMAGE_BYTES = 10_000_000
MIN_IMAGE_SIDE = 300
MIN_ASPECT = 0.40
MAX_ASPECT = 2.50


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """An input besides prompt and frames: one of some values, or a whole number in a range."""

    values: tuple[Any, ...] = ()
    low: int = 0
    high: int = 0
    default: Any

    def takes(self, value: Any) -> bool:
        """Tell whether a value is valid; texts and numbers are not converted."""
        if self.values:
            return any(type(value) is type(each) and value == each for each in self.values)
        return type(value) is int and self.low <= value <= self.high


def one_of(*values: Any, default: Any = None) -> Field:
    """Return a field with these values; the first is the default unless one is given."""
    return Field(values=values, default=values[0] if default is None else default)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEndpoint:
    """One endpoint; ``usd`` is the price of a ``unit``.

    If ``rates`` has an entry for a field's value, that is the price instead.
    """

    id: str
    title: str
    usd: Decimal
    unit: str = "second"
    rates: Mapping[tuple[str, Any], Decimal] = field(default_factory=dict)
    dearer_above: tuple[str, int, Decimal] | None = None
    """A field, a threshold, and the factor of the price above it."""
    start_field: str = "start_image_url"
    end_field: str = "end_image_url"
    end_required: bool = False
    fields: Mapping[str, Field] = field(default_factory=lambda: {"duration": one_of("5", "10")})

    @property
    def app(self) -> str:
        """Return owner/app, the only part of the endpoint in a request's URLs."""
        return "/".join(self.id.split("/")[:2])

    @property
    def required(self) -> tuple[str, ...]:
        """Return the required inputs."""
        ends = (self.end_field,) if self.end_required else ()
        return ("prompt", self.start_field, *ends)

    def seconds(self, payload: Mapping[str, Any]) -> int:
        """Return the clip length of an input, or the default."""
        if "duration" not in self.fields:
            return 5
        return int(str(self._value("duration", payload)).removesuffix("s"))

    def unit_usd(self, payload: Mapping[str, Any]) -> Decimal:
        """Return the price of a unit for this input."""
        for (name, value), usd in self.rates.items():
            if self._value(name, payload) == value:
                return usd
        return self.usd

    def price_usd(self, payload: Mapping[str, Any]) -> Decimal:
        """Return the price of a clip; invalid values are priced like the default."""
        units = Decimal(self.seconds(payload) if self.unit == "second" else 1)
        if self.dearer_above is not None:
            name, above, times = self.dearer_above
            units *= times if self._value(name, payload) > above else 1
        return self.unit_usd(payload) * units

    def _value(self, name: str, payload: Mapping[str, Any]) -> Any:
        declared = self.fields[name]
        value = payload.get(name, declared.default)
        return value if declared.takes(value) else declared.default


def _kling(path: str, usd: str, **facts: Any) -> ServedEndpoint:
    name = f"fal-ai/kling-video/{path}/image-to-video"
    return ServedEndpoint(id=name, title=f"Kling {path}", usd=Decimal(usd), **facts)


_LONG: dict[str, Any] = {"fields": {"duration": one_of(*map(str, range(3, 16)), default="5")}}
_IMAGE = {"start_field": "image_url"}
_SOUND = one_of(True, False)

ENDPOINTS: Mapping[str, ServedEndpoint] = MappingProxyType(
    {
        endpoint.id: endpoint
        for endpoint in (
            _kling("o1", "0.112"),
            _kling("o1/standard", "0.084"),
            _kling("o3/pro", "0.112", **_IMAGE, **_LONG),
            _kling(
                "o3/standard",
                "0.084",
                **_IMAGE,
                rates={("generate_audio", True): Decimal("0.112")},
                fields={**_LONG["fields"], "generate_audio": _SOUND},
            ),
            _kling("v3/pro", "0.140", **_LONG),
            _kling("v3/standard", "0.090", **_LONG),
            _kling(
                "v2.6/pro",
                "0.07",
                rates={("generate_audio", True): Decimal("0.14")},
                fields={"duration": one_of("5", "10"), "generate_audio": _SOUND},
            ),
            _kling("v2.5-turbo/pro", "0.07", **_IMAGE, end_field="tail_image_url"),
            ServedEndpoint(
                id="fal-ai/veo3.1/first-last-frame-to-video",
                title="Veo 3.1",
                usd=Decimal("0.20"),
                rates={("generate_audio", True): Decimal("0.40")},
                start_field="first_frame_url",
                end_field="last_frame_url",
                fields={
                    "duration": one_of("4s", "6s", "8s", default="8s"),
                    "generate_audio": _SOUND,
                },
            ),
            ServedEndpoint(
                id="fal-ai/wan-flf2v",
                title="Wan 2.1 first and last frame",
                usd=Decimal("0.40"),
                unit="video",
                rates={("resolution", "480p"): Decimal("0.20")},
                dearer_above=("num_frames", 81, Decimal("1.25")),
                end_required=True,
                fields={
                    "num_frames": Field(low=81, high=100, default=81),
                    "resolution": one_of("480p", "720p", default="720p"),
                },
            ),
            ServedEndpoint(
                id="fal-ai/pixverse/v5.6/transition",
                title="PixVerse 5.6",
                usd=Decimal("0.30"),
                unit="video",
                start_field="first_image_url",
                fields={
                    "duration": one_of("5", "8"),
                    "resolution": one_of("360p", "540p", "720p", "1080p", default="720p"),
                },
            ),
            ServedEndpoint(
                id="fal-ai/minimax/hailuo-02/standard/image-to-video",
                title="Hailuo 02",
                usd=Decimal("0.045"),
                start_field="image_url",
                fields={"duration": one_of("6", "10")},
            ),
            ServedEndpoint(
                id="fal-ai/bytedance/seedance/v1.5/pro/image-to-video",
                title="Seedance 1.5 Pro",
                usd=Decimal("0.26"),
                unit="1m tokens",
                start_field="image_url",
                fields={"duration": one_of(*map(str, range(4, 13)), default="5")},
            ),
            ServedEndpoint(
                id="fal-ai/luma-dream-machine/ray-2/image-to-video",
                title="Luma Ray 2",
                usd=Decimal("0.10"),
                start_field="image_url",
                rates={
                    ("resolution", "720p"): Decimal("0.20"),
                    ("resolution", "1080p"): Decimal("0.40"),
                },
                fields={
                    "duration": one_of("5s", "9s"),
                    "resolution": one_of("540p", "720p", "1080p"),
                },
            ),
        )
    }
)

APPS = frozenset(endpoint.app for endpoint in ENDPOINTS.values())


def pricing(endpoint: ServedEndpoint) -> dict[str, Any]:
    """Return one entry of the pricing API."""
    return {
        "endpoint_id": endpoint.id,
        "unit_price": float(endpoint.usd),
        "unit": endpoint.unit,
        "currency": "USD",
    }
