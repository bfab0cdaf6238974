"""A plan as lines for a person and as JSON for a program."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tweenbatch import paths
from tweenbatch.errors import MOST_OF_A_KIND, ManifestError, Problem
from tweenbatch.files.space import Room
from tweenbatch.models import Endpoint, PriceDoubt, Rise
from tweenbatch.records.manifest import Manifest
from tweenbatch.records.plan import Clips, Estimate, Group, Plan, PlannedRow, Removed
from tweenbatch.report.models import price
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain, span, usd

_GROUPS = {
    Group.NEW: "new",
    Group.CHANGED: "changed",
    Group.WAITING: "waiting to be submitted",
    Group.AT_FAL: "paid, in progress at fal",
    Group.UNCERTAIN: "uncertain",
    Group.DONE: "already there",
    Group.FAILED: "failed before (needs retry)",
    Group.CANCELLED: "cancelled",
}

MOST_REASONS = 20
MOST_NAMES = 3


def title(plan: Plan) -> str:
    """Return the manifests of a plan and the number of their clips."""
    names = [str(paths.short(path)) for path in plan.manifests]
    if len(names) > MOST_NAMES:
        names = [*names[:MOST_NAMES], f"… ({len(names)} files)"]
    return f"{', '.join(names)}: {clips(plan.count())}"


def risen(rises: Sequence[Rise]) -> str:
    """Return the prices at fal that are higher than the known ones."""
    return "; ".join(
        f"fal now charges {price(rise.now)} for {rise.endpoint} instead of {price(rise.known)}"
        for rise in rises
    )


def doubted(doubts: Sequence[PriceDoubt], models: Mapping[str, Endpoint]) -> str:
    """Return the prices in fal's list that can't be compared with the known ones."""
    return "; ".join(
        f"fal's price list shows \"{doubt.words}\" for {doubt.endpoint}, which can't be compared "
        f"with the known price of {price(models[doubt.endpoint].price)}"
        for doubt in doubts
    )


def column_lines(manifests: Sequence[Manifest]) -> list[str]:
    """Show the columns recognised under another name, and the manifests' own columns."""
    mapped = dict.fromkeys(pair for each in manifests for pair in each.mapped.items())
    lines = []
    if mapped:
        lines.append("  columns: " + ", ".join(f"{spelled} → {name}" for spelled, name in mapped))
    own = dict.fromkeys(name for each in manifests for name in each.own_columns)
    if own:
        names = f"  own columns, kept in the results: {', '.join(own)}"
        lines.append(plain(names, width=SENTENCE_WIDTH))
    return lines


def fitted_lines(manifests: Sequence[Manifest]) -> list[str]:
    """Show the frames replaced by adjusted copies, and the adjustments."""
    fitted = list(dict.fromkeys(pair for each in manifests for pair in each.fitted))
    lines = [
        plain(f"  fitted: {frame}: {done}", width=SENTENCE_WIDTH)
        for frame, done in fitted[:MOST_OF_A_KIND]
    ]
    if len(fitted) > MOST_OF_A_KIND:
        lines.append(f"  … and {len(fitted) - MOST_OF_A_KIND} more fitted: plan --json")
    return lines


def warning_lines(warnings: Sequence[tuple[Path, Problem]]) -> list[str]:
    """Count the warnings, and show the first ones of each kind."""
    if not warnings:
        return []
    several = len({path for path, _ in warnings}) > 1
    kinds: dict[str, list[tuple[Path, Problem]]] = {}
    for path, problem in warnings:
        kinds.setdefault(problem.kind, []).append((path, problem))
    count = len(warnings)
    lines = [f"  {count} warning{'' if count == 1 else 's'}:"]
    for alike in kinds.values():
        lines += [
            plain(f"          {f'{path.name}, ' if several else ''}{problem}", width=SENTENCE_WIDTH)
            for path, problem in alike[:MOST_OF_A_KIND]
        ]
        if len(alike) > MOST_OF_A_KIND:
            more = len(alike) - MOST_OF_A_KIND
            lines.append(f"          … and {more} more of this kind: plan --json")
    return lines


def lines(plan: Plan) -> list[str]:
    """Show the clips in each group, the cost, why rows run again, and the expected duration."""
    lines = [
        _counted(plan.here[group], label) for group, label in _GROUPS.items() if group in plan.here
    ]
    if plan.retakes.clips:
        lines.append(_counted(plan.retakes, "further takes to make"))
    if plan.again.clips:
        lines.append(_counted(plan.again, "of the failed, tried again"))
    if plan.elsewhere:
        lines.append(_paid_elsewhere(plan))
    if plan.removed.rows:
        lines.append(_removed_line(plan.removed))
    if plan.renewed:
        lines.append(
            f"  {plan.renewed:>6}  known (only signatures of addresses or line ends differ)"
        )
    if plan.repeated:
        lines.append(f"  {plan.repeated:>6}  repeated (the same content; made once)")
    lines += _reason_lines(plan)
    if plan.estimate is not None:
        lines.append(f"          {duration(plan.estimate)}")
    return lines


def _counted(counted: Clips, label: str) -> str:
    return f"  {counted.clips:>6}  {label:<28}{usd(counted.usd):>10}"


def _paid_elsewhere(plan: Plan) -> str:
    there = sum(plan.elsewhere.values(), Clips())
    paths = list(dict.fromkeys(str(row.elsewhere) for row in plan.listed if row.elsewhere))
    names = ", ".join(paths[:MOST_NAMES]) + (", …" if len(paths) > MOST_NAMES else "")
    return plain(f"{_counted(there, 'paid for another manifest')}  {names}", width=SENTENCE_WIDTH)


def _removed_line(removed: Removed) -> str:
    line = _counted(Clips(clips=removed.rows, usd=removed.usd), "no longer in the manifest")
    queued = f"; a run cancels {clips(removed.withdrawn)} in the queue" if removed.withdrawn else ""
    return f"{line}  spent{queued}"


def _reason_lines(plan: Plan) -> list[str]:
    with_reason = [row for row in plan.listed if row.reasons]
    several = len(plan.manifests) > 1
    lines = [
        plain(f"          {_row_name(row, several=several)}: {row.reason}", width=SENTENCE_WIDTH)
        for row in with_reason[:MOST_REASONS]
    ]
    more = len(with_reason) - MOST_REASONS + plan.not_listed
    if more > 0:
        lines.append(f"          … and {more} more: plan --json")
    return lines


def _row_name(row: PlannedRow, *, several: bool) -> str:
    file = f"{row.manifest.name}, " if several else ""
    name = f" ({row.row.name})" if row.row.name else ""
    moved = row.was is not None and row.was.number != row.row.number
    before = f", before row {row.was.number}" if row.was is not None and moved else ""
    return f"{file}row {row.row.number}{name}{before}"


def duration(estimate: Estimate) -> str:
    """Return ``about 25 min at 8 at a time (recent clips took 118 s)``.

    If the concurrency is assumed: ``about 25 min if fal runs 8 at a time (…)``.
    """
    at_a_time = f"at {estimate.concurrency} at a time"
    if estimate.assumed:
        at_a_time = f"if fal runs {estimate.concurrency} at a time"
    if estimate.clip_seconds is None:
        low, high = span(estimate.low_seconds), span(estimate.high_seconds)
        return f"about {low} to {high} {at_a_time} (a clip takes 1 to 5 min)"
    recent = f"{estimate.clip_seconds:.0f} s"
    return f"about {span(estimate.low_seconds)} {at_a_time} (recent clips took {recent})"


def shape(made: Plan) -> dict[str, Any]:
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
        "renewed": made.renewed,
        "removed_rows": made.removed.rows,
        "not_listed": made.not_listed,
        "changed": [
            {"manifest": str(row.manifest), "row": row.row.number, "reason": row.reason}
            for row in made.listed
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
                **_place_of(row),
                "group": str(row.group),
                "reasons": list(row.reasons),
                "earlier_row": row.was.number if row.was else None,
                "price": float(row.price_usd),
            }
            for row in made.listed
            if row.reasons
        ],
        "elsewhere": [
            {
                **_place_of(row),
                "group": str(row.group),
                "paid_for": str(row.elsewhere),
                "price": float(row.price_usd),
            }
            for row in made.listed
            if row.elsewhere is not None
        ],
        "estimate": None if made.estimate is None else _estimate(made.estimate),
        "warnings": [_problem(path, problem) for path, problem in made.warnings],
    }


def fitted(manifests: Sequence[Manifest]) -> list[dict[str, str]]:
    """Return the frames replaced by adjusted copies, and the adjustments."""
    return [
        {"file": str(each.path), "frame": frame, "done": done}
        for each in manifests
        for frame, done in each.fitted
    ]


def mapped(manifests: Sequence[Manifest]) -> list[dict[str, Any]]:
    """Return for each manifest the columns recognised under another name, and its own ones."""
    return [
        {
            "file": str(each.path),
            "columns": dict(each.mapped),
            "carried": list(each.own_columns),
        }
        for each in manifests
    ]


def room(found: Room | None) -> dict[str, Any] | None:
    """Return the disk space that the clips of a plan need, and the free space."""
    if found is None:
        return None
    return {
        "folder": str(found.folder),
        "needed_bytes": found.needed_bytes,
        "free_bytes": found.free_bytes,
        "enough": found.shortage is None,
    }


def problems(error: ManifestError) -> dict[str, Any]:
    """Return the shape of ``plan --json`` for manifests with problems."""
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


def _place_of(row: PlannedRow) -> dict[str, Any]:
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
