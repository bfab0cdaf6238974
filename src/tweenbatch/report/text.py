"""The lines that commands print: short, and the same words everywhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tweenbatch import places
from tweenbatch.errors import Problem
from tweenbatch.models import Rise
from tweenbatch.pace import Estimate
from tweenbatch.plan import Clips, Group, Plan, PlannedRow, Removed
from tweenbatch.records import Attention, Manifest, Money
from tweenbatch.states import State

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

MESSAGE_WIDTH = 160
SENTENCE_WIDTH = 1000
"""For a sentence of ours, whose end says what to do."""

MOST_REASONS = 20
MOST_OF_A_KIND = 20
MOST_NAMES = 3
SECONDS_TO_TELL = 90
MINUTES_TO_TELL = 100


def usd(amount: Decimal) -> str:
    """Return ``$1.12``, or more decimals where cents would lie."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents}" if cents == amount else f"${amount.normalize():f}"


def clips(count: int) -> str:
    """Return ``1 clip`` or ``3 clips``."""
    return f"{count} clip" if count == 1 else f"{count} clips"


def plain(text: str, *, width: int = MESSAGE_WIDTH) -> str:
    """Return text from outside as one printable line: no control characters, not too long."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= width else line[: width - 1] + "…"


def title(plan: Plan) -> str:
    """Name the manifests of a plan, and how many clips they ask for."""
    names = [str(places.short(path)) for path in plan.manifests]
    if len(names) > MOST_NAMES:
        names = [*names[:MOST_NAMES], f"… ({len(names)} files)"]
    return f"{', '.join(names)}: {clips(plan.count())}"


def risen(rises: Sequence[Rise]) -> str:
    """Say what fal asks more for than was known here."""
    return "; ".join(
        f"fal asks {usd(rise.now_usd)} a second of {rise.endpoint} by now, and not "
        f"{usd(rise.known_usd)}"
        for rise in rises
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


def plan_lines(plan: Plan) -> list[str]:
    """Say what stands where, what it would cost, why rows run again, and how long it takes."""
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
        lines.append(_no_longer(plan.removed))
    if plan.repeated:
        lines.append(f"  {plan.repeated:>6}  repeated (the same content; made once)")
    lines += _reason_lines(plan)
    if plan.estimate is not None:
        lines.append(f"          {time_it_takes(plan.estimate)}")
    return lines


def _counted(counted: Clips, label: str) -> str:
    return f"  {counted.clips:>6}  {label:<28}{usd(counted.usd):>10}"


def _paid_elsewhere(plan: Plan) -> str:
    there = sum(plan.elsewhere.values(), Clips())
    paths = list(dict.fromkeys(str(row.elsewhere) for row in plan.told if row.elsewhere))
    names = ", ".join(paths[:MOST_NAMES]) + (", …" if len(paths) > MOST_NAMES else "")
    return plain(f"{_counted(there, 'paid for another manifest')}  {names}", width=SENTENCE_WIDTH)


def _no_longer(removed: Removed) -> str:
    line = _counted(Clips(clips=removed.rows, usd=removed.usd), "no longer in the manifest")
    waits = f"; a run withdraws {clips(removed.withdrawn)} that waited" if removed.withdrawn else ""
    return f"{line}  spent{waits}"


def _reason_lines(plan: Plan) -> list[str]:
    with_reason = [row for row in plan.told if row.reasons]
    several = len(plan.manifests) > 1
    lines = [
        plain(f"          {_place(row, several=several)}: {row.reason}", width=SENTENCE_WIDTH)
        for row in with_reason[:MOST_REASONS]
    ]
    more = len(with_reason) - MOST_REASONS + plan.untold
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


def span(seconds: float) -> str:
    """Return ``40 s``, ``25 min`` or ``3 h 20 min``: as exact as an estimate can be."""
    if seconds < SECONDS_TO_TELL:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < MINUTES_TO_TELL:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes, -1), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def status_lines(
    counts: Mapping[State, int], money: Money, attention: Sequence[Attention]
) -> list[str]:
    """Say how the jobs stand, where the money is, and what needs a person."""
    lines = [f"  {count:>6}  {state}" for state, count in counts.items() if count]
    if not lines:
        lines.append("  no jobs yet")
    lines.append(
        f"  spent {usd(money.spent)}, reserved {usd(money.reserved)}, "
        f"uncertain {usd(money.uncertain)}"
    )
    return lines + attention_lines(attention)


def paused(since: datetime) -> str:
    """Say that nothing new is submitted, and how that ends."""
    return (
        f"  paused since {since.astimezone():%Y-%m-%d %H:%M}: what is at fal is still collected, "
        "nothing new is submitted; `tweenbatch resume` lifts it"
    )


def attention_lines(attention: Sequence[Attention], *, most: int = 20) -> list[str]:
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
