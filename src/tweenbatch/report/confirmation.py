"""Show a run's work, its cost and the output folder before it starts."""

from decimal import Decimal

from tweenbatch import paths
from tweenbatch.models import ENDPOINTS
from tweenbatch.planning.preview import RunPreview
from tweenbatch.planning.quote import Quote
from tweenbatch.records.plan import Plan
from tweenbatch.report import missing, plan, status, text
from tweenbatch.settings import RunSettings


def lines(batch: RunPreview, settings: RunSettings) -> list[str]:
    """Return the lines that show a run's work and its cost."""
    missing_clips = missing.lines(batch.missing, "this run downloads them again")
    return [*_work(batch), *missing_clips, *_cost(batch, settings)]


def risen(quote: Quote) -> str:
    """Explain why the agreed work costs more now, or may cost more."""
    doubted = plan.doubted(quote.doubts, ENDPOINTS)
    risen = plan.risen(quote.risen)
    reasons = [reason for reason in (risen, doubted) if reason]
    return "; ".join(reasons) or "fal's price has risen since these rows were imported"


def too_dear(why: str, *, known: RunPreview, now: RunPreview) -> str:
    """Return the message of a run that stops because today's price was not agreed to."""
    if now.usd_to_pay == known.usd_to_pay:
        return (
            f"{why}, so {text.clips(now.to_pay)} may cost more than "
            f"{text.usd(known.usd_to_pay)}; add --accept-price to submit at the known price, or "
            "set the right price with `tweenbatch models update --price-per-second` (or "
            "--price-per-clip). Nothing was submitted"
        )
    return (
        f"{why}, so {text.clips(now.to_pay)} would cost {text.usd(now.usd_to_pay)} instead of "
        f"{text.usd(known.usd_to_pay)}; add --accept-price to pay that. "
        "Nothing was submitted"
    )


def _work(batch: RunPreview) -> list[str]:
    basis = batch.basis
    if isinstance(basis, Plan):
        return [
            plan.title(basis),
            *plan.column_lines(batch.manifests),
            *plan.fitted_lines(batch.manifests),
            *plan.lines(basis),
            *plan.warning_lines(basis.warnings),
        ]
    return ["resuming all unfinished work", *status.lines(basis.counts, basis.money, [])]


def _cost(batch: RunPreview, settings: RunSettings) -> list[str]:
    if not batch.total:
        unfinished = _unfinished(
            failed=batch.failed, cancelled=batch.cancelled, missing=batch.missing.count
        )
        return [f"Nothing to do ({unfinished or 'every clip is already there'}). No charge."]
    lines = []
    if batch.in_doubt:
        lines.append(
            f"To look up at fal: {text.clips(batch.in_doubt)} of unknown outcome, not submitted "
            "again."
        )
    output = f"Output folder: {paths.short(settings.output)}"
    amount = text.usd(batch.usd_to_pay)
    if not batch.to_pay:
        lines.append(f"Nothing to submit; {text.clips(batch.to_collect)} to collect. {output}")
    elif settings.rehearse:
        free = f"Rehearsal: {text.clips(batch.to_pay)} to make here, for $0"
        lines.append(f"{free}; on fal this would cost {amount}. {output}")
    else:
        amount += _at_most(batch, settings)
        lines.append(f"To submit: {text.clips(batch.to_pay)} for {amount}. {output}")
    return lines


def most_to_spend(batch: RunPreview, settings: RunSettings) -> Decimal:
    """Return the most that a run can spend, in US dollars.

    Limits for a day do not count: a run past midnight may spend two of them.
    """
    most = settings.max_cost
    return batch.usd_to_pay if most is None else min(most, batch.usd_to_pay)


def _at_most(batch: RunPreview, settings: RunSettings) -> str:
    """Return how the limits of this run reduce the work, or ""."""
    limits = []
    if settings.limit is not None and settings.limit < batch.to_pay:
        limits.append(f"submits {settings.limit}")
    if most_to_spend(batch, settings) < batch.usd_to_pay:
        limits.append(f"spends {text.usd(most_to_spend(batch, settings))}")
    return f"; this run {' and '.join(limits)} at most" if limits else ""


def _unfinished(**counts: int) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
