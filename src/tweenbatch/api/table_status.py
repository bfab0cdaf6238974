"""How the jobs of a table stand, and where its money is."""

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
    """A table at one moment; amounts are US dollars."""

    counts: Mapping[State, int]
    """Jobs in each state, zeros included."""
    money: Money
    attention: tuple[JobNeedingAttention, ...]
    """Jobs that need a person."""
    missing: Missing
    """Clips that came home once and are not where they were."""
    paused_since: datetime | None
    """Since when nothing new is submitted; None: there is no pause."""


def table_status(store: Store) -> TableStatus:
    """Return how the jobs of an opened table stand."""
    return TableStatus(
        counts=store.views.counts(),
        money=store.views.money(),
        attention=tuple(store.views.attention()),
        paused_since=store.runs.paused_since(),
        missing=missing.find(store.views.kept_clips()),
    )
