"""Job counts, money and the jobs that need a person: as lines and as JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tweenbatch.records import JobNeedingAttention, Money
from tweenbatch.report.text import clips, plain, usd
from tweenbatch.states import State


def lines(
    counts: Mapping[State, int], money: Money, attention: Sequence[JobNeedingAttention]
) -> list[str]:
    """Return the job counts, the money, and the jobs that need a person."""
    lines = [f"  {count:>6}  {state}" for state, count in counts.items() if count]
    if not lines:
        lines.append("  no jobs yet")
    lines.append(
        f"  spent {usd(money.spent)}, reserved {usd(money.reserved)}, "
        f"uncertain {usd(money.uncertain)}"
    )
    lines += attention_lines(attention)
    if lost := sum(map(is_lost, attention)):
        lines.append(
            f"  {clips(lost)} paid for and lost: `tweenbatch fetch` asks fal again, at no cost"
        )
    return lines


def paused(since: datetime) -> str:
    """Return a line on a pause: its start, its effect and how to lift it."""
    return (
        f"  paused since {since.astimezone():%Y-%m-%d %H:%M}: nothing new is submitted, clips at "
        "fal are still collected; `tweenbatch resume` lifts the pause"
    )


def attention_lines(attention: Sequence[JobNeedingAttention], *, most: int = 20) -> list[str]:
    """Return the jobs that need a person, with price and reason."""
    lines = [
        f"  job {a.job_id}  {a.name}  {a.state} ({usd(a.price_usd)})"
        + (f": {plain(why)}" if why else "")
        for a in attention[:most]
        for why in [f"{a.error_type or ''}: {a.error_message or ''}".strip(": ")]
    ]
    if len(attention) > most:
        lines.append(f"  … and {len(attention) - most} more: tweenbatch export")
    return lines


def is_lost(attention: JobNeedingAttention) -> bool:
    """Return whether a job failed although its clip was made and paid for."""
    return attention.state is State.FAILED and attention.error_type == "paid_but_lost"


def shape(
    counts: Mapping[State, int], money: Money, attention: Sequence[JobNeedingAttention]
) -> dict[str, Any]:
    """Return the shape of ``status --json``."""
    return {
        "jobs": {str(state): counts[state] for state in State},
        "money": {
            "spent": float(money.spent),
            "reserved": float(money.reserved),
            "uncertain": float(money.uncertain),
            "currency": "USD",
        },
        "attention": [
            {
                "job": a.job_id,
                "name": a.name,
                "state": str(a.state),
                "price": float(a.price_usd),
                "request_id": a.request_id,
                "error_type": a.error_type,
                "error_message": a.error_message,
                "since": a.since.isoformat(),
            }
            for a in attention
        ],
    }
