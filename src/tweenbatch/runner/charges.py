"""Compares the amount that fal billed for a clip with the price reserved for it.

It does not notify anyone or stop submissions: the caller does.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from tweenbatch.records import Job, Outcome
from tweenbatch.runner.intents import Intents


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """Raises the prices of ``intents`` to the billed amounts; never lowers them."""

    intents: Intents
    agreed: bool = False
    """Whether the user agreed to prices that rise during the run."""

    def apply(self, job: Job, outcome: Outcome) -> tuple[Outcome, str | None]:
        """Return the outcome with the billed amount, and a message if it is above the price.

        A lower or unreadable amount changes no price.
        """
        assert job.request is not None
        units = self.intents.fal.billed_units.pop(job.request.request_id, None)
        if units is None:
            return outcome, None
        spec = job.spec
        usd = self.intents.prices.units_usd(spec.endpoint, spec.parameters, units)
        if usd is None:
            return outcome, None
        expected = self.intents.price_usd(job)
        if usd > expected:
            self.intents.raise_to(usd, of=job)
        return replace(outcome, charged_usd=usd), self._message(job, units, usd, expected)

    def _message(self, job: Job, units: Decimal, usd: Decimal, expected: Decimal) -> str | None:
        if usd <= expected:
            return None
        message = (
            f"{job.output_name}: fal billed {units.normalize():f} units of {job.spec.endpoint}, "
            f"which cost ${usd} instead of ${expected}; clips of this model now count at that price"
        )
        if self.agreed:
            return message
        return (
            f"{message}. Nobody has agreed to this price, so nothing more is submitted; paid clips "
            "are still collected. Compare with https://fal.ai/dashboard/billing, then run again "
            "with --accept-price to pay it"
        )
