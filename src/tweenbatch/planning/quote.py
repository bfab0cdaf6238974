"""Ask fal for the current prices, and check the key, before anything is spent."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tweenbatch.errors import Answered, FalError, KeyRefused
from tweenbatch.fal import Fal, ListedPrice
from tweenbatch.http_statuses import REFUSES_KEY
from tweenbatch.models import (
    AS_KNOWN,
    Endpoint,
    Price,
    PriceDoubt,
    Prices,
    Rise,
    find,
    is_comparable,
    listed_price,
    may_be_dearer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The prices of a run."""

    prices: Prices = AS_KNOWN
    risen: tuple[Rise, ...] = ()
    doubts: tuple[PriceDoubt, ...] = ()
    """Entries that can't be compared with the known prices; they may be higher."""
    unread: str | None = None
    """Why fal's price list could not be read; then the known prices apply."""


async def ask(connect: Callable[[], Fal], endpoints: Collection[str]) -> Quote:
    """Return the current prices of these endpoints; raise ``KeyRefused`` for an unknown key.

    An unreadable price list does not stop the run, because fal may not show it to every key. Raises
    ``UsageError`` for an unknown endpoint.
    """
    models = [find(name) for name in sorted(endpoints)]
    async with connect() as fal:
        try:
            entries = await fal.price_list(endpoints)
        except FalError as error:
            if _doubts_key(error) and await fal.refuses_key(min(endpoints)):
                raise KeyRefused(
                    "fal does not know this key (401); check FAL_KEY, or make a new key at "
                    "https://fal.ai/dashboard/keys. Nothing was submitted"
                ) from error
            return Quote(unread=str(error))
    return judged(models, entries)


def judged(models: Collection[Endpoint], entries: Mapping[str, ListedPrice]) -> Quote:
    """Compare the entries of fal's list with the known prices of these endpoints."""
    listed: dict[str, Price] = {}
    doubts = []
    in_other_units = set()
    for model in models:
        entry = entries.get(model.id)
        if entry is None:
            continue
        price = None if entry.usd is None else listed_price(entry.unit, entry.usd)
        if price is not None and is_comparable(model, price):
            listed[model.id] = price
            continue
        in_other_units.add(model.id)
        if entry.words != model.listed_when_named:
            doubts.append(PriceDoubt(endpoint=model.id, words=entry.words))
    risen = tuple(
        Rise(endpoint=model.id, known=model.price, now=listed[model.id])
        for model in models
        if model.id in listed and model.price and may_be_dearer(model, listed[model.id])
    )
    missing = sorted(model.id for model in models if model.id not in entries)
    return Quote(
        prices=Prices(listed=listed, in_other_units=frozenset(in_other_units)),
        risen=risen,
        doubts=tuple(doubts),
        unread=f"it does not list {', '.join(missing)}" if missing else None,
    )


def _doubts_key(error: FalError) -> bool:
    return isinstance(error, Answered) and error.http_status in REFUSES_KEY
