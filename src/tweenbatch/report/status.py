"""How the jobs stand: in the lines of ``status``, and as the JSON that programs read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tweenbatch.records import JobNeedingAttention, Money
from tweenbatch.report.text import clips, plain, usd
from tweenbatch.states import State


def lines(
    counts: Mapping[State, int], money: Money, attention: Sequence[JobNeedingAttention]
) -> list[str]:
    """Say how the jobs stand, where the money is, and what needs a person."""
    said = [f"  {count:>6}  {state}" for state, count in counts.items() if count]
    if not said:
        said.append("  no jobs yet")
    said.append(
        f"  spent {usd(money.spent)}, reserved {usd(money.reserved)}, "
        f"uncertain {usd(money.uncertain)}"
    )
    said += attention_lines(attention)
    if lost := sum(map(is_lost, attention)):
        said.append(
            f"  {clips(lost)} paid for and lost: `tweenbatch fetch` asks fal once more, for nothing"
        )
    return said


def paused(since: datetime) -> str:
    """Say that nothing new is submitted, and how that ends."""
    return (
        f"  paused since {since.astimezone():%Y-%m-%d %H:%M}: what is at fal is still collected, "
        "nothing new is submitted; `tweenbatch resume` lifts it"
    )


def attention_lines(attention: Sequence[JobNeedingAttention], *, most: int = 20) -> list[str]:
    """Name the jobs that need a person, with price and reason."""
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
    """Tell whether a job failed although its clip was made and paid for."""
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
