"""The lines that commands print: short, and the same words everywhere."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from tweenbatch.models import Rise
from tweenbatch.plan import Group, Plan
from tweenbatch.records import Attention, Manifest, Money
from tweenbatch.states import State

_GROUPS = {
    Group.NEW: "new",
    Group.CHANGED: "changed",
    Group.WAITING: "waiting to be submitted",
    Group.AT_FAL: "paid, being made or fetched",
    Group.UNCERTAIN: "uncertain",
    Group.DONE: "already there",
    Group.FAILED: "failed before",
    Group.CANCELLED: "cancelled",
}

MESSAGE_WIDTH = 160
SENTENCE_WIDTH = 1000
"""For a sentence of ours, whose end says what to do."""


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


def risen(rises: Sequence[Rise]) -> str:
    """Say what fal asks more for than was known here."""
    return "; ".join(
        f"fal asks {usd(rise.now_usd)} a second of {rise.endpoint} by now, and not "
        f"{usd(rise.known_usd)}"
        for rise in rises
    )


def mapped_lines(manifests: Sequence[Manifest]) -> list[str]:
    """Say which columns were taken for one of another name."""
    mapped = dict.fromkeys(pair for each in manifests for pair in each.mapped.items())
    if not mapped:
        return []
    return ["  columns: " + ", ".join(f"{spelled} → {name}" for spelled, name in mapped)]


def plan_lines(plan: Plan) -> list[str]:
    """Say what stands where and what it would cost."""
    lines = [
        f"  {plan.count(group):>6}  {label:<28}{usd(plan.usd(group)):>10}"
        for group, label in _GROUPS.items()
        if plan.count(group)
    ]
    if plan.removed:
        lines.append(f"  {len(plan.removed):>6}  no longer in the manifest")
    if plan.repeated:
        lines.append(f"  {plan.repeated:>6}  repeated (the same content; made once)")
    lines += [
        f"          row {row.row.number}: {row.reason}"
        for row in plan.rows
        if row.group is Group.CHANGED
    ][:20]
    return lines


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


def attention_lines(attention: Sequence[Attention], *, most: int = 20) -> list[str]:
    """Name the jobs that need a person, with price and reason."""
    lines = [
        f"  job {a.job_id}  {a.name}  {a.state} ({usd(a.price_usd)}): "
        + plain(f"{a.error_type or ''}: {a.error_message or ''}".strip(": "))
        for a in attention[:most]
    ]
    if len(attention) > most:
        lines.append(f"  … and {len(attention) - most} more: tweenbatch export")
    return lines
