"""What is said before a run: what is asked for, what it comes to, and where the videos go."""

from decimal import Decimal

from tweenbatch import paths as places
from tweenbatch.models import ENDPOINTS
from tweenbatch.planning.preview import RunPreview
from tweenbatch.planning.quote import Quote
from tweenbatch.records.plan import Plan
from tweenbatch.report import missing, text
from tweenbatch.report import plan as planned
from tweenbatch.report import status as standing
from tweenbatch.settings import RunSettings


def lines(batch: RunPreview, settings: RunSettings) -> list[str]:
    """Say what a run would do and cost."""
    missed = missing.lines(batch.missing, "this run brings them back")
    return [*_asked_for(batch), *missed, *_comes_to(batch, settings)]


def risen(quote: Quote) -> str:
    """Say why what was agreed to costs more now, or may."""
    doubted = planned.doubted(quote.doubts, ENDPOINTS)
    risen = planned.risen(quote.risen)
    reasons = [reason for reason in (risen, doubted) if reason]
    return "; ".join(reasons) or "fal asks more by now than when these rows were imported"


def too_dear(why: str, *, known: RunPreview, now: RunPreview) -> str:
    """Say that nobody has agreed to the price of today."""
    if now.usd_to_pay == known.usd_to_pay:
        return (
            f"{why}, so that {text.clips(now.to_pay)} may cost more than "
            f"{text.usd(known.usd_to_pay)}; add --accept-price to submit at the price known here, "
            "or name the right one with `tweenbatch models update --price-per-second` (or "
            "--price-per-clip). Nothing was submitted"
        )
    return (
        f"{why}, so that {text.clips(now.to_pay)} would cost {text.usd(now.usd_to_pay)} and "
        f"not {text.usd(known.usd_to_pay)}; add --accept-price to pay that. "
        "Nothing was submitted"
    )


def _asked_for(batch: RunPreview) -> list[str]:
    asked = batch.asked
    if isinstance(asked, Plan):
        return [
            planned.title(asked),
            *planned.column_lines(batch.manifests),
            *planned.fitted_lines(batch.manifests),
            *planned.lines(asked),
            *planned.warning_lines(asked.warnings),
        ]
    return ["resuming all unfinished work", *standing.lines(asked.counts, asked.money, [])]


def _comes_to(batch: RunPreview, settings: RunSettings) -> list[str]:
    if not batch.total:
        resting = _resting(
            failed=batch.failed, cancelled=batch.cancelled, missing=batch.missing.count
        )
        return [f"Nothing to do: {resting or 'everything is already there'}; nothing is spent."]
    said = []
    if batch.in_doubt:
        said.append(
            f"To look up at fal: {batch.in_doubt} of unknown outcome, which are not sent again."
        )
    where = f"Videos go to {places.short(settings.output)}."
    amount = text.usd(batch.usd_to_pay)
    if not batch.to_pay:
        said.append(f"Nothing to submit; {text.clips(batch.to_collect)} to collect. {where}")
    elif settings.rehearse:
        made = f"Rehearsal: {text.clips(batch.to_pay)} to make here, for $0"
        said.append(f"{made}; on fal this would cost {amount}. {where}")
    else:
        amount += _at_most(batch, settings)
        said.append(f"To submit: {text.clips(batch.to_pay)} for {amount}. {where}")
    return said


def most_to_spend(batch: RunPreview, settings: RunSettings) -> Decimal:
    """Return what a run can't spend more than, in US dollars; a day's limit it may meet twice."""
    most = settings.max_cost
    return batch.usd_to_pay if most is None else min(most, batch.usd_to_pay)


def _at_most(batch: RunPreview, settings: RunSettings) -> str:
    """Say how much less than all of it the limits of this run leave."""
    limits = []
    if settings.limit is not None and settings.limit < batch.to_pay:
        limits.append(f"submits {settings.limit}")
    if most_to_spend(batch, settings) < batch.usd_to_pay:
        limits.append(f"spends {text.usd(most_to_spend(batch, settings))}")
    return f"; this run {' and '.join(limits)} at most" if limits else ""


def _resting(**counts: int) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
