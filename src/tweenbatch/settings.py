"""The settings of one run, validated and immutable."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tweenbatch.clock import local_day, local_month
from tweenbatch.paths import DEFAULT_DB, DEFAULT_OUTPUT
from tweenbatch.records import EarlierFailures, Night, PeriodLimit

ASSUMED_CONCURRENCY = 8
"""The concurrency that an estimate assumes before the account's limit is measured."""
MOST_AT_ONCE = 1000
DEFAULT_IN_FLIGHT = 48
"""The highest concurrency of an account without a special agreement, and a short queue."""
DEFAULT_SAME_FAILURES = 5
DEFAULT_GRACE = timedelta(minutes=30)
"""Several times the duration of a clip, because requests may first wait in fal's queue."""
DEFAULT_SETTLE = timedelta(minutes=5)
"""Kling's usual maximum: a request that fal accepted has normally ended by then."""


def _in_cents_or_finer(amount: Decimal) -> Decimal:
    if amount != amount.quantize(Decimal("0.000001")):
        raise ValueError("expected at most six decimals")
    return amount


Budget = Annotated[Decimal, Field(ge=0, le=1_000_000_000), AfterValidator(_in_cents_or_finer)]


AtOnce = Annotated[int, Field(ge=1, le=MOST_AT_ONCE)]


class RunSettings(BaseModel):
    """The settings of one run. Amounts are US dollars; instants are aware and in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    again: str = ""
    """The manifests and options as typed, without --rehearse; "" without a manifest."""
    night: Night | None = None
    """The night of the job file, if the settings come from one."""
    asked: str = ""
    """The manifests, as listed in the history of runs; "" for all unfinished work."""
    rejected: tuple[str, ...] = ()
    """The inbox's manifests that can't be read."""
    db: str = DEFAULT_DB
    output: Path = DEFAULT_OUTPUT
    concurrency: AtOnce | None = None
    """Clips at fal at one time; None: as many as the account runs, which is measured."""
    max_in_flight: AtOnce = DEFAULT_IN_FLIGHT
    max_cost: Budget | None = None
    max_cost_per_day: Budget | None = None
    max_cost_per_month: Budget | None = None
    limit: Annotated[int, Field(ge=0)] | None = None
    canary: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] | None = None
    max_duration: timedelta | None = None
    not_before: datetime | None = None
    stop_at: datetime | None = None
    grace: timedelta = DEFAULT_GRACE
    settle: timedelta = DEFAULT_SETTLE
    absent_after: timedelta | None = None
    """Age after which an unlisted submission counts as absent; None: only if proven absent."""
    same_failures: Annotated[int, Field(ge=1)] = DEFAULT_SAME_FAILURES
    keep_going: bool = False
    old_failures: EarlierFailures | None = None
    """The failures of earlier runs to retry."""
    connect_to: str | None = None
    rehearse: bool = False
    logs: bool = False
    yes: bool = False
    trust_table: bool = False
    new_table: bool = False
    """Create a table even if another one has paid for the same rows."""
    pay_again: bool = False
    accept_price: bool = False
    fetch_only: bool = False
    """Only download finished clips; submit nothing and wait for nothing."""

    @property
    def most_usd(self) -> Decimal | None:
        """Return the lowest spending limit of this run, if there is one."""
        limits = (self.max_cost, self.max_cost_per_day, self.max_cost_per_month)
        return min((limit for limit in limits if limit is not None), default=None)

    def period_limits(self, now: datetime) -> list[PeriodLimit]:
        """Return the spending limits of the calendar day and month, by this machine's clock."""
        periods = (
            ("--max-cost-per-day", self.max_cost_per_day, local_day),
            ("--max-cost-per-month", self.max_cost_per_month, local_month),
        )
        return [
            PeriodLimit(option=option, usd=usd, begins=begins, ends=ends)
            for option, usd, period in periods
            if usd is not None
            for begins, ends in [period(now)]
        ]

    def submits_until(self, started: datetime) -> datetime | None:
        """Return the instant after which nothing is submitted, if there is one."""
        ends = [] if self.stop_at is None else [self.stop_at]
        if self.max_duration is not None:
            ends.append(max(started, self.not_before or started) + self.max_duration)
        return min(ends) if ends else None


_AMOUNT = "expected an amount in US dollars such as 5 or 5.00"
_NUMBER = "expected a whole number"
_EXPECTATIONS: Mapping[str, str] = MappingProxyType(
    {
        "greater_than_equal": "expected at least {ge}",
        "less_than_equal": "expected at most {le}",
        "decimal_parsing": _AMOUNT,
        "decimal_type": _AMOUNT,
        "int_parsing": _NUMBER,
        "int_type": _NUMBER,
        "int_from_float": _NUMBER,
        "bool_parsing": "expected true or false",
        "bool_type": "expected true or false",
        "time_parsing": "expected a time of day such as 06:30",
        "time_type": "expected a time of day such as 06:30",
        "list_type": 'expected a list such as ["a", "b"]',
    }
)
"""Phrases for pydantic's types of errors, whose own messages are odd."""


def expectation(error: Mapping[str, Any]) -> str:
    """Return the expected value of a setting that pydantic rejected, as one phrase."""
    if (phrase := _EXPECTATIONS.get(error["type"])) is not None:
        return phrase.format(**error.get("ctx", {}))
    message = str(error["msg"]).removeprefix("Value error, ")
    return re.sub(r"^\w+ should (be|have) ", "expected ", message)


def number_or_auto(text: str) -> int | None:
    """Parse ``12`` or, as None, ``auto``; raises ``ValueError``."""
    if text.strip().lower() == "auto":
        return None
    number = int(text) if text.strip().isdecimal() else 0
    if not 1 <= number <= MOST_AT_ONCE:
        raise ValueError(f"expected auto or a number from 1 to {MOST_AT_ONCE}")
    return number


def duration_or_zero(text: str) -> timedelta:
    """Parse ``0``, or a text that ``duration`` parses; raises ``ValueError``."""
    return timedelta(0) if re.fullmatch(r"0[hms]?", text.strip()) else duration(text)


def duration(text: str) -> timedelta:
    """Parse ``90``, ``90s``, ``45m``, ``2h`` or ``1h30m``; raises ``ValueError``."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip().lower())
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not length:
        raise ValueError("expected e.g. 90s, 45m, 2h or 1h30m")
    return length


def next_time(text: str, *, now: datetime) -> datetime:
    """Parse ``06:30`` (the next such hour, local) or an ISO instant; raises ``ValueError``."""
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        try:
            clock_time = datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - made local below
        except ValueError:
            raise ValueError("expected e.g. 06:30 or 2026-03-01T06:30") from None
        return next_occurrence(clock_time, now=now)
    if instant <= now:
        raise ValueError("that time has passed")
    return instant


def next_occurrence(clock_time: time, *, now: datetime, zone: ZoneInfo | None = None) -> datetime:
    """Return the next instant at which a zone's clocks show that time; None: this machine's zone.

    If the clocks show the time twice, the first one counts. If they skip it, the result is as long
    after the skip as the time would be without it.
    """
    today = now.astimezone(zone).date()
    days = (datetime.combine(today + timedelta(days=n), clock_time) for n in (0, 1))
    instants = [_in_zone(each, zone) for each in days]
    return next(instant for instant in instants if instant > now)


def window(
    opens: time | None, closes: time | None, *, now: datetime, zone: ZoneInfo | None = None
) -> tuple[datetime | None, datetime | None]:
    """Return the instants between which a run that starts now may submit, by a zone's clocks.

    A run waits for a window that opens later on the same day, never for one of another day: a past
    window is returned unchanged. Without ``closes`` the window ends with the day.
    """
    if opens is None:
        return None, None if closes is None else next_occurrence(closes, now=now, zone=zone)
    today = now.astimezone(zone).date()
    first, last = (
        _in_zone(datetime.combine(day, opens), zone) for day in (today - timedelta(days=1), today)
    )
    if closes is None:
        return last, None
    shut = next_occurrence(closes, now=first, zone=zone)
    if first <= now < shut:
        return first, shut
    return last, next_occurrence(closes, now=last, zone=zone)


def _in_zone(local: datetime, zone: ZoneInfo | None) -> datetime:
    read = [local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [each for each in read if each.astimezone(zone).replace(tzinfo=None) == local]
    return min(shown) if shown else max(read)
