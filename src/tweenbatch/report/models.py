"""Show models as text and as JSON: their columns, limits and prices."""

from collections.abc import Iterable, Sequence
from typing import Any

from tweenbatch.models import Endpoint, Price, Unit
from tweenbatch.models.data import data_of
from tweenbatch.report.text import usd

UNKNOWN = "unknown; `tweenbatch models update` reads it from fal; --price-per-clip sets it by hand"


def price(known: Price | None) -> str:
    """Return ``$0.112 a second``, or the price for each value of the parameter that decides it."""
    if known is None:
        return "?"
    unit = "a second" if known.unit is Unit.SECOND else "a clip"
    if known.usd is not None:
        amount = usd(known.usd)
    else:
        amount = ", ".join(
            f"{usd(rate)} ({known.by} {value})" for value, rate in known.rates.items()
        )
    if known.longer is None:
        return f"{amount} {unit}"
    longer = known.longer
    return f"{amount} {unit}, × {longer.times} if {longer.by} is above {longer.above} or not given"


def table(endpoints: Iterable[Endpoint], default: Endpoint) -> list[str]:
    """Return a line for each endpoint under a header."""
    rows: list[Sequence[str]] = [("name", "endpoint", "start → end", "duration", "price")]
    for each in endpoints:
        duration = each.parameters.get("duration")
        marked = " (default)" if each.id == default.id else ""
        rows.append(
            (
                (each.short[0] if each.short else "–") + marked,
                each.id,
                f"{each.start_field} → {each.end_field}",
                _few(duration.allowed) if duration else "–",
                price(each.price),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _few(values: Sequence[str]) -> str:
    most = 4
    return ", ".join(values) if len(values) <= most else f"{values[0]} … {values[-1]}"


def lines(endpoint: Endpoint) -> list[str]:
    """Return everything about one endpoint."""
    limits = endpoint.image_limits
    ends = "required" if endpoint.end_required else "may be left out with --allow-open-ended"
    lines = [
        f"{endpoint.title}  {endpoint.id}",
        *([f"  short names   {', '.join(endpoint.short)}"] if endpoint.short else []),
        f"  price         {price(endpoint.price) if endpoint.price else UNKNOWN}",
        f"  start_image   is sent as {endpoint.start_field}",
        f"  end_image     is sent as {endpoint.end_field}; {ends}",
        f"  prompt        {_at_most(endpoint.max_prompt_chars)}",
        "  frames        "
        + (
            f"at most {limits.max_bytes / 1e6:g} MB, at least {limits.min_side} px a side, "
            f"width to height {limits.min_aspect:g} to {limits.max_aspect:g}"
            if limits
            else "limits not known, not checked"
        ),
    ]
    lines += [
        f"  column {name:<14} {each.described()}"
        + (f" (default {each.default})" if each.default else "")
        + (" (required)" if each.required else "")
        for name, each in endpoint.parameters.items()
    ]
    lines += [f"  no {name:<18} {reason}" for name, reason in endpoint.not_offered.items()]
    if endpoint.note:
        lines.append(f"  {endpoint.note}")
    return [*lines, *(f"  {name:<13} {link}" for name, link in endpoint.links.items())]


def _at_most(chars: int | None) -> str:
    return "any length" if chars is None else f"at most {chars} characters"


def shape(endpoint: Endpoint) -> dict[str, Any]:
    """Return the shape of ``models --json``."""
    return {**data_of(endpoint), "links": dict(endpoint.links)}
