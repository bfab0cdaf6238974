"""fal's endpoints as data: how a transition is asked for, what is allowed, what it costs.

Facts are from the model's own page and fal's published schemas; prices in US dollars as
listed in 2026. Nothing here talks to fal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an endpoint accepts as a frame; aspect is width divided by height."""

    max_bytes: int
    min_side: int
    min_aspect: float
    max_aspect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An input field of an endpoint besides prompt and frames."""

    allowed: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint: field names, allowed values, limits, price."""

    id: str
    title: str
    start_field: str
    end_field: str
    end_required: bool
    parameters: Mapping[str, Parameter]
    not_offered: Mapping[str, str] = field(default_factory=dict)
    """Inputs that other endpoints know and this one ignores, with the reason to tell."""
    image_limits: ImageLimits
    max_prompt_chars: int
    """In code points, as fal counts."""
    price_per_second_usd: Decimal

    def seconds(self, parameters: Mapping[str, str]) -> int:
        """Return the length of the clip that these parameters ask for, in seconds."""
        return int(parameters["duration"])

    def price_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what fal charges for one clip with these parameters, in US dollars."""
        return self.price_per_second_usd * self.seconds(parameters)

    def arguments(
        self,
        *,
        prompt: str,
        start_url: str,
        end_url: str | None,
        parameters: Mapping[str, str],
    ) -> dict[str, str]:
        """Return the body of the submission."""
        frames = {self.start_field: start_url}
        if end_url is not None:
            frames[self.end_field] = end_url
        return {"prompt": prompt, **frames, **parameters}


_KLING_LIMITS = ImageLimits(max_bytes=10_000_000, min_side=300, min_aspect=0.40, max_aspect=2.50)
_KLING_O1_PARAMETERS = MappingProxyType({"duration": Parameter(allowed=("5", "10"), default="5")})
_KLING_O1_NOT_OFFERED = MappingProxyType(
    {
        "seed": "it has no seed; ask for another take instead",
        "negative_prompt": "it has no negative prompt; say what you want in the prompt",
        "aspect_ratio": "it takes the aspect ratio from the start frame",
        "cfg_scale": "it has no guidance scale",
    }
)

KLING_O1 = Endpoint(
    id="fal-ai/kling-video/o1/image-to-video",
    title="Kling O1",
    start_field="start_image_url",
    end_field="end_image_url",
    end_required=False,
    parameters=_KLING_O1_PARAMETERS,
    not_offered=_KLING_O1_NOT_OFFERED,
    image_limits=_KLING_LIMITS,
    max_prompt_chars=2500,
    price_per_second_usd=Decimal("0.112"),
)

ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({KLING_O1.id: KLING_O1})

DEFAULT = KLING_O1


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
        dearer = replace(ENDPOINTS[endpoint], price_per_second_usd=now)
        # A table keeps a millionth of a dollar, and no less than fal takes.
        price = dearer.price_usd(parameters).quantize(Decimal("0.000001"), ROUND_CEILING)
        return max(known, price)


AS_KNOWN = Prices()
"""The prices that are built in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """An endpoint that has become dearer; US dollars for each second of video."""

    endpoint: str
    known_usd: Decimal
    now_usd: Decimal
