"""The types that an endpoint is described in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tweenbatch.errors import UsageError
from tweenbatch.models.parameter import Parameter
from tweenbatch.models.price import Price, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an endpoint accepts as a frame; aspect is width divided by height."""

    max_bytes: int
    min_side: int
    min_aspect: float
    max_aspect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint: field names, allowed values, limits, price."""

    id: str
    title: str
    short: tuple[str, ...] = ()
    """Names that are quicker to type."""
    start_field: str
    end_field: str
    end_required: bool
    parameters: Mapping[str, Parameter]
    not_offered: Mapping[str, str] = field(default_factory=dict)
    """Inputs that other endpoints know and this one ignores, with the reason to tell."""
    image_limits: ImageLimits | None
    """None: not known, and not checked."""
    max_prompt_chars: int | None
    """In code points, as fal counts; None: not known, and not checked."""
    price: Price | None
    """None: not known; then nothing can be planned with this endpoint."""
    listed_when_named: str | None = None
    """What fal's price list said, in its words, when a person named the price; "" where it had no
    entry. None: no person named the price."""
    names_images: bool = False
    """Whether prompts may say @Image1 and @Image2."""
    note: str = ""
    """What else somebody should know, as a sentence."""

    @property
    def links(self) -> Mapping[str, str]:
        """The endpoint's pages at fal."""
        page = f"https://fal.ai/models/{self.id}"
        return {
            "page": page,
            "api": f"{page}/api",
            "playground": f"{page}/playground",
            "schema": f"https://fal.ai/api/openapi/queue/openapi.json?endpoint_id={self.id}",
        }

    def seconds(self, parameters: Mapping[str, str]) -> int:
        """Return the length of the clip that these parameters ask for, in seconds."""
        return seconds(parameters)

    def price_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return what fal charges for one clip with these parameters, in US dollars.

        Raises ``UsageError`` where that is not known.
        """
        if self.price is None:
            raise UsageError(self.price_wanted)
        return self.price.clip_usd(parameters)

    @property
    def price_wanted(self) -> str:
        """Say that the price is not known, and what to do."""
        return (
            f"what {self.title} costs is not known here; `tweenbatch models update {self.id}` "
            "reads it from fal, or takes it from you with --price-per-second or --price-per-clip"
        )

    def values(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return parameters as the JSON values that are sent."""
        known = self.parameters
        return {
            name: known[name].value(text) if name in known else text
            for name, text in parameters.items()
        }

    def arguments(
        self,
        *,
        prompt: str,
        start_url: str,
        end_url: str | None,
        parameters: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the body of the submission."""
        frames = {self.start_field: start_url}
        if end_url is not None:
            frames[self.end_field] = end_url
        return {"prompt": prompt, **frames, **self.values(parameters)}
