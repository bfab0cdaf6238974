"""What fal says before anything is spent: whether it knows the key, and what it asks today."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal

from tweenbatch.errors import Answered, FalError, KeyRefused
from tweenbatch.fal import Fal
from tweenbatch.models import AS_KNOWN, Prices, Rise, find


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The prices that hold for a run."""

    prices: Prices = AS_KNOWN
    risen: tuple[Rise, ...] = ()
    unread: str | None = None
    """Why fal's price list is not known; then the prices are those known before."""


async def ask(connect: Callable[[], Fal], endpoints: Collection[str]) -> Quote:
    """Return what these endpoints cost now; raise ``KeyRefused`` where the key is no good.

    A price list that can't be read is no reason to stop: fal may not show it to every key. The
    list has one price for each endpoint, so that of one with several by its parameters, or by
    the clip, is left alone. Raises ``UsageError`` for an endpoint that is not known here.
    """
    models = [find(name) for name in sorted(endpoints)]
    async with connect() as fal:
        try:
            now = await fal.prices(endpoints)
        except FalError as error:
            if _doubts_key(error) and await fal.refuses_key(min(endpoints)):
                raise KeyRefused(
                    "fal does not know this key (401); check FAL_KEY, or make a new key at "
                    "https://fal.ai/dashboard/keys. Nothing was submitted"
                ) from error
            return Quote(unread=str(error))
    risen = tuple(
        Rise(endpoint=model.id, known_usd=known, now_usd=now[model.id])
        for model in models
        if (known := model.price_per_second_usd) is not None
        and now.get(model.id, Decimal(0)) > known
    )
    return Quote(prices=Prices(per_second_usd=now), risen=risen)


def _doubts_key(error: FalError) -> bool:
    return isinstance(error, Answered) and error.http_status in (401, 403)
