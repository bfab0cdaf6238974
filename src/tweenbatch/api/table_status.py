"""The status of a table: its jobs, its money, and the jobs that need a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tweenbatch.planning import missing
from tweenbatch.planning.missing import Missing
from tweenbatch.records import JobNeedingAttention, Money
from tweenbatch.states import State
from tweenbatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """The status of a table at one moment; amounts are in US dollars."""

    counts: Mapping[State, int]
    """Jobs in each state, zeros included."""
    money: Money
    attention: tuple[JobNeedingAttention, ...]
    """Jobs that need a person."""
    missing: Missing
    """Downloaded clips that are missing from the disk."""
    paused_since: datetime | None
    """Since when nothing new is submitted; None: not paused."""


def table_status(store: Store) -> TableStatus:
    """Return the status of an open table."""
    return TableStatus(
        counts=store.views.counts(),
        money=store.views.money(),
        attention=tuple(store.views.attention()),
        paused_since=store.runs.paused_since(),
        missing=missing.find(store.views.kept_clips()),
    )
