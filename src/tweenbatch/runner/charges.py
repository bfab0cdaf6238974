"""What fal says it billed for a clip, held against what was reserved for it.

It compares and remembers; whoever asks tells the person and stops the buying.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from tweenbatch.records import Job, Outcome
from tweenbatch.runner.intents import Intents


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """The prices of ``intents`` follow what was billed; it never lowers them."""

    intents: Intents
    agreed: bool = False
    """Somebody agreed to prices that rise during the run."""

    def counted(self, job: Job, outcome: Outcome) -> tuple[Outcome, str | None]:
        """Return the outcome with the dearer price, if fal billed one, and what is new about it.

        Fewer units than were reserved, or none that can be read, change nothing.
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
        return replace(outcome, charged_usd=usd), self._news(job, units, usd, expected)

    def _news(self, job: Job, units: Decimal, usd: Decimal, expected: Decimal) -> str | None:
        if usd <= expected:
            return None
        said = (
            f"{job.output_name}: fal billed {units.normalize():f} units of {job.spec.endpoint}, "
            f"which cost ${usd} and not ${expected}; each such clip counts at that price"
        )
        if self.agreed:
            return said
        return (
            f"{said}. Nobody has agreed to it, so nothing more is submitted; what is paid for is "
            "collected. Compare with https://fal.ai/dashboard/billing, then run again with "
            "--accept-price to pay that"
        )
