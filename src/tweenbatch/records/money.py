"""Sums and limits of money, in US dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tweenbatch.records.time import refuse_naive


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodLimit:
    """What all runs of a table together may commit between two instants, in US dollars."""

    option: str
    """The option that asks for it."""
    usd: Decimal
    begins: datetime
    ends: datetime

    def __post_init__(self) -> None:
        refuse_naive(begins=self.begins, ends=self.ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Where the money of the table stands, in US dollars.

    ``spent`` counts what fal billed or may have billed; ``reserved`` what is in the air;
    ``uncertain`` what was sent without a known outcome.
    """

    spent: Decimal
    reserved: Decimal
    uncertain: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingGroup:
    """Jobs alike that wait to be submitted; ``price_usd`` is that of each, in US dollars."""

    endpoint: str
    parameters: Mapping[str, str]
    price_usd: Decimal
    jobs: int
