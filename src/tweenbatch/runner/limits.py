"""The limits of a run: when it stops submitting, and when it stops waiting. Pure arithmetic."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from tweenbatch.errors import BudgetReached
from tweenbatch.records.result import OUT_OF_TIME
from tweenbatch.states import IDENTIFIED, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of submitting and waiting; submitted clips are collected regardless."""

    submissions: int | None = None
    opens: datetime | None = None
    """Nothing is submitted before this time."""
    until: datetime | None = None
    """Nothing is submitted from this time on."""
    grace: timedelta | None = None
    """How long to wait after ``until`` for requests in progress; None: until they end."""
    canaries: Collection[int] = ()
    """Jobs that must succeed before any other is submitted."""
    agree: Callable[[int], bool] = lambda _: True
    """Asks, after the canaries succeeded, whether this many more may follow; runs in a thread."""
    collects: Collection[State] = IDENTIFIED
    """States of paid jobs that are claimed."""
    submits: bool = True
    settle: timedelta = timedelta(0)
    """How long an otherwise idle run waits for jobs that are uncertain or laid aside."""

    def reached(
        self, *, submissions: int, budget: BudgetReached | None, now: datetime
    ) -> str | None:
        """Return the option whose limit is reached, or None."""
        if budget is not None and not (budget.until is not None and now >= budget.until):
            return budget.option
        if self.submissions is not None and submissions >= self.submissions:
            return "--limit"
        if self.until is not None and now >= self.until:
            return OUT_OF_TIME
        return None

    def left(self, begun: int) -> int | None:
        """Return how many more submissions may begin; None: any number."""
        return None if self.submissions is None else self.submissions - begun

    def is_early(self, now: datetime) -> bool:
        """Tell whether submissions have to wait for their hour."""
        return self.opens is not None and now < self.opens

    def waits_until(self, began: datetime) -> datetime | None:
        """Return until when a run that began then waits for requests; None: until they end."""
        if self.until is None or self.grace is None:
            return None
        return max(self.until, began) + self.grace
