"""What a plan says: in lines, and as the JSON that programs read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tweenbatch import paths as places
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
    Group.AT_FAL: "paid, being made or fetched",
    Group.UNCERTAIN: "uncertain",
    Group.DONE: "already there",
    Group.FAILED: "failed before (needs retry)",
    Group.CANCELLED: "cancelled",
}

MOST_REASONS = 20
MOST_NAMES = 3


def title(plan: Plan) -> str:
    """Name the manifests of a plan, and how many clips they ask for."""
    names = [str(places.short(path)) for path in plan.manifests]
    if len(names) > MOST_NAMES:
        names = [*names[:MOST_NAMES], f"… ({len(names)} files)"]
    return f"{', '.join(names)}: {clips(plan.count())}"


def risen(rises: Sequence[Rise]) -> str:
    """Say what fal asks more for than was known here."""
    return "; ".join(
        f"fal asks {price(rise.now)} of {rise.endpoint} by now, and not {price(rise.known)}"
        for rise in rises
    )


def doubted(doubts: Sequence[PriceDoubt], models: Mapping[str, Endpoint]) -> str:
    """Say which prices of fal's list can't be compared with those known here."""
    return "; ".join(
        f"fal's price list says \"{doubt.words}\" of {doubt.endpoint}, which can't be compared "
        f"with the {price(models[doubt.endpoint].price)} known here"
        for doubt in doubts
    )


def column_lines(manifests: Sequence[Manifest]) -> list[str]:
    """Say which columns were taken for one of another name, and which for a person's own."""
    mapped = dict.fromkeys(pair for each in manifests for pair in each.mapped.items())
    lines = []
    if mapped:
        lines.append("  columns: " + ", ".join(f"{spelled} → {name}" for spelled, name in mapped))
    own = dict.fromkeys(name for each in manifests for name in each.own_columns)
    if own:
        names = f"  carried through to the results: {', '.join(own)}"
        lines.append(plain(names, width=SENTENCE_WIDTH))
    return lines


def fitted_lines(manifests: Sequence[Manifest]) -> list[str]:
    """Say for which frames prepared copies are used, and what was done to them."""
    fitted = list(dict.fromkeys(pair for each in manifests for pair in each.fitted))
    lines = [
        plain(f"  fitted: {frame}: {done}", width=SENTENCE_WIDTH)
        for frame, done in fitted[:MOST_OF_A_KIND]
    ]
    if len(fitted) > MOST_OF_A_KIND:
        lines.append(f"  … and {len(fitted) - MOST_OF_A_KIND} more fitted: plan --json")
    return lines


def warning_lines(warnings: Sequence[tuple[Path, Problem]]) -> list[str]:
    """Count what was warned of, and show the first of each kind."""
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
    """Say what stands where, what it would cost, why rows run again, and how long it takes."""
    said = [
        _counted(plan.here[group], label) for group, label in _GROUPS.items() if group in plan.here
    ]
    if plan.retakes.clips:
        said.append(_counted(plan.retakes, "further takes to make"))
    if plan.again.clips:
        said.append(_counted(plan.again, "of the failed, tried again"))
    if plan.elsewhere:
        said.append(_paid_elsewhere(plan))
    if plan.removed.rows:
        said.append(_no_longer(plan.removed))
    if plan.renewed:
        said.append(
            f"  {plan.renewed:>6}  of these rows ask for a known clip; only signatures of addresses"
            " or line ends differ"
        )
    if plan.repeated:
        said.append(f"  {plan.repeated:>6}  repeated (the same content; made once)")
    said += _reason_lines(plan)
    if plan.estimate is not None:
        said.append(f"          {time_it_takes(plan.estimate)}")
    return said


def _counted(counted: Clips, label: str) -> str:
    return f"  {counted.clips:>6}  {label:<28}{usd(counted.usd):>10}"


def _paid_elsewhere(plan: Plan) -> str:
    there = sum(plan.elsewhere.values(), Clips())
    paths = list(dict.fromkeys(str(row.elsewhere) for row in plan.listed if row.elsewhere))
    names = ", ".join(paths[:MOST_NAMES]) + (", …" if len(paths) > MOST_NAMES else "")
    return plain(f"{_counted(there, 'paid for another manifest')}  {names}", width=SENTENCE_WIDTH)


def _no_longer(removed: Removed) -> str:
    line = _counted(Clips(clips=removed.rows, usd=removed.usd), "no longer in the manifest")
    waits = f"; a run withdraws {clips(removed.withdrawn)} that waited" if removed.withdrawn else ""
    return f"{line}  spent{waits}"


def _reason_lines(plan: Plan) -> list[str]:
    with_reason = [row for row in plan.listed if row.reasons]
    several = len(plan.manifests) > 1
    lines = [
        plain(f"          {_place(row, several=several)}: {row.reason}", width=SENTENCE_WIDTH)
        for row in with_reason[:MOST_REASONS]
    ]
    more = len(with_reason) - MOST_REASONS + plan.not_listed
    if more > 0:
        lines.append(f"          … and {more} more: plan --json")
    return lines


def _place(row: PlannedRow, *, several: bool) -> str:
    file = f"{row.manifest.name}, " if several else ""
    name = f" ({row.row.name})" if row.row.name else ""
    moved = row.was is not None and row.was.number != row.row.number
    before = f", before row {row.was.number}" if row.was is not None and moved else ""
    return f"{file}row {row.row.number}{name}{before}"


def time_it_takes(estimate: Estimate) -> str:
    """Return ``about 25 min at 8 at a time (clips took 118 s lately)``.

    Where the number is not given but found: ``about 25 min if fal runs 8 at a time (…)``.
    """
    at_a_time = f"at {estimate.concurrency} at a time"
    if estimate.assumed:
        at_a_time = f"if fal runs {estimate.concurrency} at a time"
    if estimate.clip_seconds is None:
        low, high = span(estimate.low_seconds), span(estimate.high_seconds)
        return f"about {low} to {high} {at_a_time} (a clip takes 1 to 5 min)"
    lately = f"{estimate.clip_seconds:.0f} s"
    return f"about {span(estimate.low_seconds)} {at_a_time} (clips took {lately} lately)"


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
