"""The options of ``tweenbatch run``: limits, confirmation, notification and logs."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import click

from tweenbatch import logs
from tweenbatch.cli.options import LocalPath, Parsed, concurrency_option
from tweenbatch.nights.notify import Target
from tweenbatch.settings import (
    DEFAULT_GRACE,
    DEFAULT_IN_FLIGHT,
    DEFAULT_SAME_FAILURES,
    DEFAULT_SETTLE,
    duration,
    duration_or_zero,
    next_time,
)

F = TypeVar("F", bound=Callable[..., Any])


def _dollars(value: str) -> Decimal:
    try:
        amount = Decimal(value.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise ValueError("expected an amount in US dollars such as 5 or 5.00")
    return amount


def _next_time(text: str) -> datetime:
    return next_time(text, now=datetime.now(UTC))


_OPTIONS = (
    concurrency_option(
        "Clips at fal at one time. auto measures how many your account runs at once and keeps a "
        "short queue."
    ),
    click.option(
        "--max-in-flight",
        metavar="N",
        type=int,
        default=DEFAULT_IN_FLIGHT,
        show_default=True,
        help="With --concurrency auto: the most clips at fal at one time, running or queued. It "
        "also limits how many submissions one lost connection can leave uncertain.",
    ),
    click.option(
        "--max-cost",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before this run spends more than this amount.",
    ),
    click.option(
        "--max-cost-per-day",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before all runs together spend more than this amount today.",
    ),
    click.option(
        "--max-cost-per-month",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before all runs together spend more than this amount this month.",
    ),
    click.option("--limit", metavar="N", type=int, help="Submit at most N clips in this run."),
    click.option(
        "--canary",
        metavar="N",
        type=int,
        help="First make N clips, of the first row, the last and rows in between. Pay for the rest "
        "only if all N succeed and you agree (--yes agrees).",
    ),
    click.option(
        "--max-duration",
        metavar="TIME",
        type=Parsed("time", duration),
        help="Stop submitting after e.g. 90s, 45m, 2h30m; clips already at fal are collected.",
    ),
    click.option(
        "--not-before",
        metavar="TIME",
        type=Parsed("time", _next_time),
        help="Submit nothing before e.g. 22:00 (local) or an ISO instant.",
    ),
    click.option(
        "--stop-at",
        metavar="TIME",
        type=Parsed("time", _next_time),
        help="Stop submitting at e.g. 06:30 (local) or an ISO instant.",
    ),
    click.option(
        "--grace",
        metavar="TIME",
        type=Parsed("time", duration_or_zero),
        default=DEFAULT_GRACE,
        show_default="30m",
        help="How long to wait for clips at fal after --max-duration or --stop-at; the next run "
        "collects the rest.",
    ),
    click.option(
        "--settle",
        metavar="TIME",
        type=Parsed("time", duration_or_zero),
        default=DEFAULT_SETTLE,
        show_default="5m",
        help="How long to wait, once all other work is done, for uncertain submissions and for "
        "paid clips that are not available yet.",
    ),
    click.option(
        "--absent-after",
        metavar="TIME",
        type=Parsed("time", duration),
        help="How old an uncertain submission must be before it may count as never accepted, "
        "instead of 15h. Risk: a request that is still running then is paid for twice.",
    ),
    click.option(
        "--same-failures",
        metavar="N",
        type=int,
        default=DEFAULT_SAME_FAILURES,
        show_default=True,
        help="Stop submitting after N consecutive rows fail with the same error.",
    ),
    click.option(
        "--keep-going",
        is_flag=True,
        help="Continue however many consecutive rows fail with the same error.",
    ),
    click.option("--yes", is_flag=True, help="Don't ask before spending."),
    click.option(
        "--accept-price",
        is_flag=True,
        help="With --yes: pay even if fal's price is higher than the known one or can't be "
        "compared with it.",
    ),
    click.option(
        "--trust-table",
        is_flag=True,
        help="Continue with a job table that was restored from a copy or newly created: first "
        "adopt the paid requests in fal's list.",
    ),
    click.option(
        "--new-table",
        is_flag=True,
        help="Create a new job table although another one has paid for the same rows: they are "
        "paid for again.",
    ),
    click.option(
        "--pay-again",
        is_flag=True,
        help="Pay again for clips that fal's list shows as already paid for, by another table or "
        "by hand.",
    ),
    click.option(
        "--digests",
        metavar="DIR",
        type=LocalPath(path_type=Path, file_okay=False),
        help="Write the run's results to DIR/DATE.json.",
    ),
    click.option(
        "--notify",
        metavar="URL",
        multiple=True,
        type=Parsed("url", Target.parse),
        envvar="TWEENBATCH_NOTIFY",
        show_envvar=True,
        help="Send the run's results, good or bad: as JSON to an https address, otherwise through "
        "apprise. $NAME takes the address from that environment variable. May be repeated.",
    ),
    click.option(
        "--log-file",
        metavar="FILE",
        type=LocalPath(path_type=Path, dir_okay=False),
        help="Write a log of the run to FILE; a new file starts at 10 MB, and five old ones are "
        "kept.",
    ),
    click.option(
        "--log-format",
        type=click.Choice([form.value for form in logs.Form]),
        default=logs.Form.TEXT.value,
        show_default=True,
        help="json: one JSON object a line; without --log-file, stderr shows only these.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="The level of that log; the default is info. Only debug includes prompts.",
    ),
    click.option("--logs", is_flag=True, help="Show the model's own log lines."),
)


def run_options(command: F) -> F:
    """Add the options in their order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
