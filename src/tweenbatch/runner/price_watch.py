"""Reads fal's price list during a run, and stops submissions if a price rises.

It does not know jobs in progress: submitted clips are still collected.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from tweenbatch.errors import FalError
from tweenbatch.models import Price, find, may_be_dearer
from tweenbatch.planning.quote import Quote, judged
from tweenbatch.runner.intents import Intents
from tweenbatch.runner.state import RunState

log = logging.getLogger(__name__)

REREAD_SECONDS = 900.0
"""How often the list is read: one request each time, however large the run is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAgreement:
    """The prices that the user agreed to before a run, and whether they may rise during it."""

    quote: Quote = field(default_factory=Quote)
    rises: bool = False
    described: Callable[[Quote], str] = lambda _: "fal's prices have risen"
    """Describes the prices that have risen or can no longer be read."""


AS_KNOWN = PriceAgreement()


@dataclass(slots=True, kw_only=True)
class PriceWatch:
    """Reads the list repeatedly while any job is still to be paid for."""

    state: RunState
    intents: Intents
    agreement: PriceAgreement
    manifests: Collection[int] | None = None

    async def run(self) -> None:
        """Watch the prices until cancelled, or until a rise stops the submissions."""
        agreed = self.agreement.quote
        while True:
            await self.state.clock.sleep(REREAD_SECONDS)
            now = await self._quote()
            if now is None or not (changes := _not_agreed(agreed, now)):
                continue
            described = self.agreement.described(changes)
            if not self.agreement.rises:
                self.state.refuse_to_submit(
                    f"{described}; you have not agreed to this: "
                    "run again to see the price and agree"
                )
                return
            agreed = now
            self.intents.prices = now.prices
            self.state.watcher.notice(f"{described}; the new prices apply from now on")

    async def _quote(self) -> Quote | None:
        state = self.state
        unpaid = await state.table(state.store.views.pending, self.manifests)
        endpoints = {each.endpoint for each in unpaid}
        if not endpoints:
            return None
        try:
            entries = await state.fal.price_list(endpoints)
        except FalError as error:
            log.warning("price list not read again: %s", error)
            return None
        return judged([find(name) for name in sorted(endpoints)], entries)


def _not_agreed(agreed: Quote, now: Quote) -> Quote | None:
    """Return the dearer prices and new doubts that nobody agreed to; None: there are none."""
    risen = tuple(
        rise
        for rise in now.risen
        if _is_dearer(rise.now, than=agreed.prices.listed.get(rise.endpoint), of=rise.endpoint)
    )
    doubts = tuple(doubt for doubt in now.doubts if doubt not in agreed.doubts)
    return replace(now, risen=risen, doubts=doubts) if risen or doubts else None


def _is_dearer(now: Price, *, than: Price | None, of: str) -> bool:
    if than is None or than.unit is not now.unit:
        return may_be_dearer(find(of), now)
    return now.dearest_usd > than.dearest_usd
