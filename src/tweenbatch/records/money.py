"""Sums and limits in US dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tweenbatch.records.time import refuse_naive


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLimit:
    """The limit of all runs of a table together within a period, in US dollars."""

    option: str
    """The option that sets the limit."""
    usd: Decimal
    begins: datetime
    ends: datetime

    def __post_init__(self) -> None:
        refuse_naive(begins=self.begins, ends=self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The money of a table, in US dollars.

    ``spent`` is the price of everything that fal billed or may have billed. ``reserved`` is the
    price of requests in progress, ``uncertain`` of submissions with unknown outcome.
    """

    spent: Decimal
    reserved: Decimal
    uncertain: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingGroup:
    """Waiting jobs of one endpoint, parameters and price; ``price_usd`` is per job."""

    endpoint: str
    parameters: Mapping[str, str]
    price_usd: Decimal
    jobs: int
