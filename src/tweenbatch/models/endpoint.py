"""An endpoint of fal: field names, parameters, limits and price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tweenbatch.errors import UsageError
from tweenbatch.models.parameter import Parameter
from tweenbatch.models.price import Price, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """An endpoint's limits on frames; aspect is width divided by height."""

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
    """Short names for the command line."""
    start_field: str
    end_field: str
    end_required: bool
    parameters: Mapping[str, Parameter]
    not_offered: Mapping[str, str] = field(default_factory=dict)
    """Inputs of other endpoints that this one ignores, each with a message that explains it."""
    image_limits: ImageLimits | None
    """None: unknown, and not checked."""
    max_prompt_chars: int | None
    """In code points, as fal counts; None: unknown, and not checked."""
    price: Price | None
    """None: unknown; then nothing can be planned with this endpoint."""
    listed_when_named: str | None = None
    """fal's price entry, in its words, at the time when a user named the price; "" if there was
    none. None: no user has named the price."""
    names_images: bool = False
    """Whether prompts may use @Image1 and @Image2."""
    note: str = ""
    """A sentence for users, such as about the price."""

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
        """Return the length of a clip with these parameters, in seconds."""
        return seconds(parameters)

    def price_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return the price of one clip with these parameters, in US dollars.

        Raises ``UsageError`` if the price is unknown.
        """
        if self.price is None:
            raise UsageError(self.unknown_price)
        return self.price.clip_usd(parameters)

    @property
    def unknown_price(self) -> str:
        """The message for an unknown price, with the next step."""
        return (
            f"the price of {self.title} is unknown; `tweenbatch models update {self.id}` "
            "reads it from fal; or name it with --price-per-second or --price-per-clip"
        )

    def values(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return parameters as JSON values for fal."""
        return {
            name: self.parameters[name].value(text) if name in self.parameters else text
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
