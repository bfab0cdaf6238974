"""The JSON that programs read: stable shapes, amounts in dollars."""

from collections.abc import Mapping, Sequence
from typing import Any

from tweenbatch.plan import Group, Plan
from tweenbatch.records import Attention, Money
from tweenbatch.states import State


def status(
    counts: Mapping[State, int], money: Money, attention: Sequence[Attention]
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


def plan(made: Plan) -> dict[str, Any]:
    """Return the shape of ``plan --json``."""
    return {
        "rows": {str(group): made.count(group) for group in Group},
        "money": {
            **{str(group): float(made.usd(group)) for group in Group},
            "to_pay": float(made.usd_to_pay),
            "currency": "USD",
        },
        "to_submit": made.clips_to_pay,
        "repeated": made.repeated,
        "changed": [
            {"manifest": str(row.manifest), "row": row.row.number, "reason": row.reason}
            for row in made.rows
            if row.group is Group.CHANGED
        ],
        "removed": [
            {"row": row.number, "name": row.name, "take": row.take, "state": str(row.state)}
            for row in made.removed
        ],
    }
