"""The JSON that programs read: stable shapes, amounts in dollars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tweenbatch.disk import Room
from tweenbatch.errors import ManifestError, Problem
from tweenbatch.pace import Estimate
from tweenbatch.plan import Group, Plan, PlannedRow
from tweenbatch.records import Attention, Manifest, Money
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
            "removed": float(made.removed.usd),
            "currency": "USD",
        },
        "to_submit": made.clips_to_pay,
        "retakes": made.retakes.clips,
        "again": made.again.clips,
        "repeated": made.repeated,
        "removed_rows": made.removed.rows,
        "not_listed": made.untold,
        "changed": [
            {"manifest": str(row.manifest), "row": row.row.number, "reason": row.reason}
            for row in made.told
            if row.group is Group.CHANGED
        ],
        "removed": [
            {
                "row": row.earlier.number,
                "name": row.earlier.name,
                "take": row.earlier.take,
                "state": str(row.earlier.state),
                "manifest": str(row.manifest),
                "cost": float(row.cost_usd),
                "withdrawn": row.withdrawn,
            }
            for row in made.removed.listed
        ],
        "reasons": [
            {
                **_place(row),
                "group": str(row.group),
                "reasons": list(row.reasons),
                "earlier_row": row.was.number if row.was else None,
                "price": float(row.price_usd),
            }
            for row in made.told
            if row.reasons
        ],
        "elsewhere": [
            {
                **_place(row),
                "group": str(row.group),
                "paid_for": str(row.elsewhere),
                "price": float(row.price_usd),
            }
            for row in made.told
            if row.elsewhere is not None
        ],
        "estimate": None if made.estimate is None else _estimate(made.estimate),
        "warnings": [_problem(path, problem) for path, problem in made.warnings],
    }


def fitted(manifests: Sequence[Manifest]) -> list[dict[str, str]]:
    """Return which frames prepared copies are used for, and what was done to them."""
    return [
        {"file": str(each.path), "frame": frame, "done": done}
        for each in manifests
        for frame, done in each.fitted
    ]


def mapped(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Return for each manifest which columns were taken for one of another name, or for none."""
    return [
        {
            "file": str(each.path),
            "columns": dict(each.mapped),
            "carried": list(each.own_columns),
        }
        for each in manifests
    ]


def room(found: Room | None) -> dict[str, Any] | None:
    """Return what the clips of a plan take on the disk and what is free there."""
    if found is None:
        return None
    return {
        "folder": str(found.folder),
        "needed_bytes": found.needed_bytes,
        "free_bytes": found.free_bytes,
        "enough": found.shortage is None,
    }


def problems(error: ManifestError) -> dict[str, Any]:
    """Return the shape of ``plan --json`` where manifests have problems."""
    return {
        "problems": [
            _problem(each.path, problem)
            for each in (error, *error.others)
            for problem in each.problems
        ]
    }


def _problem(path: Path, problem: Problem) -> dict[str, Any]:
    return {
        "file": str(path),
        "row": problem.row,
        "line": problem.line,
        "column": problem.column,
        "kind": problem.kind,
        "message": problem.message,
    }


def _place(row: PlannedRow) -> dict[str, Any]:
    return {
        "manifest": str(row.manifest),
        "row": row.row.number,
        "name": row.row.name,
        "take": row.row.take,
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "low_seconds": round(estimate.low_seconds),
        "high_seconds": round(estimate.high_seconds),
        "clip_seconds": estimate.clip_seconds,
        "clips_seen": estimate.clips_seen,
        "concurrency": estimate.concurrency,
        "concurrency_assumed": estimate.assumed,
    }
