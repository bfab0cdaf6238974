"""The options of ``tweenbatch run``: how far it may go, who agrees to it, and who is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
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
    amount = Decimal(value.removeprefix("$"))
    if not amount.is_finite():
        raise ValueError("an amount in dollars is needed")
    return amount


def _next_time(text: str) -> datetime:
    return next_time(text, now=datetime.now(UTC))


_OPTIONS = (
    concurrency_option(
        "Clips at fal at one time. auto finds how many your account runs and keeps a short queue."
    ),
    click.option(
        "--max-in-flight",
        metavar="N",
        type=int,
        default=DEFAULT_IN_FLIGHT,
        show_default=True,
        help="The most that auto has at fal at one time, the queue included: what may be lost "
        "sight of at once is the price of so many clips.",
    ),
    click.option(
        "--max-cost",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before the submission that would pass this amount in this run.",
    ),
    click.option(
        "--max-cost-per-day",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before the submission that would pass this amount today, all runs together.",
    ),
    click.option(
        "--max-cost-per-month",
        metavar="USD",
        type=Parsed("usd", _dollars),
        help="Stop before the submission that would pass this amount this month, all runs "
        "together.",
    ),
    click.option("--limit", metavar="N", type=int, help="Submit at most N clips in this run."),
    click.option(
        "--canary",
        metavar="N",
        type=int,
        help="First make N clips, of the first, the last and rows in between; the rest is paid "
        "for only when all of them succeeded and, without --yes, somebody has agreed.",
    ),
    click.option(
        "--max-duration",
        metavar="TIME",
        type=Parsed("time", duration),
        help="Stop submitting after e.g. 90s, 45m, 2h30m; what is in the air is collected.",
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
        help="After --max-duration or --stop-at, wait so long for what is at fal; the rest is "
        "left to the next run.",
    ),
    click.option(
        "--settle",
        metavar="TIME",
        type=Parsed("time", duration_or_zero),
        default=DEFAULT_SETTLE,
        show_default="5m",
        help="When nothing else is left, wait so long for uncertain submissions and for paid "
        "clips that can't be had just now.",
    ),
    click.option(
        "--absent-after",
        metavar="TIME",
        type=Parsed("time", duration),
        help="Take an uncertain submission that fal does not list for ended so long after it was "
        "sent, instead of 15h. Risk: one that still runs by then is paid for twice.",
    ),
    click.option(
        "--same-failures",
        metavar="N",
        type=int,
        default=DEFAULT_SAME_FAILURES,
        show_default=True,
        help="Stop submitting when N rows in a row fail alike.",
    ),
    click.option("--keep-going", is_flag=True, help="Go on however many rows fail alike."),
    click.option("--yes", is_flag=True, help="Don't ask before spending."),
    click.option(
        "--accept-price",
        is_flag=True,
        help="With --yes: pay also where fal asks more than is known here, or in other words.",
    ),
    click.option(
        "--trust-table",
        is_flag=True,
        help="Go on with a table that was put back from a copy or begun anew: first take over "
        "what fal's list shows as paid for.",
    ),
    click.option(
        "--new-table",
        is_flag=True,
        help="Begin a new job table although another one has paid for the same rows: they are "
        "paid for again.",
    ),
    click.option(
        "--pay-again",
        is_flag=True,
        help="Pay also for clips that fal's list shows as paid for, by another table or by hand.",
    ),
    click.option(
        "--digests",
        metavar="DIR",
        type=LocalPath(path_type=Path, file_okay=False),
        help="Write what came of the run to DIR/DATE.json.",
    ),
    click.option(
        "--notify",
        metavar="URL",
        multiple=True,
        type=Parsed("url", Target.parse),
        envvar="TWEENBATCH_NOTIFY",
        show_envvar=True,
        help="Send what came of the run, whatever it was: as JSON to an https address, else "
        "through apprise. $NAME stands for an address that the environment has. May be repeated.",
    ),
    click.option(
        "--log-file",
        metavar="FILE",
        type=LocalPath(path_type=Path, dir_okay=False),
        help="Write a log of the run there; at 10 MB the next file is begun, and five are kept.",
    ),
    click.option(
        "--log-format",
        type=click.Choice([form.value for form in logs.Form]),
        default=logs.Form.TEXT.value,
        show_default=True,
        help="json: a JSON object for each line; without --log-file, on stderr instead of all "
        "else.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="What such a log holds; info unless given. Prompts are in debug alone.",
    ),
    click.option("--logs", is_flag=True, help="Show what the model says while it works."),
)


def run_options(command: F) -> F:
    """Add all of them, in their order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
