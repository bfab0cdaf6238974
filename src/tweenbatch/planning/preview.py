"""What lies before a run: what its manifests ask for or, without any, all unfinished work.

It counts and prices, and changes nothing; how that is told is no concern of its.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tweenbatch.models import AS_KNOWN, Prices
from tweenbatch.planning import missing, planner
from tweenbatch.planning.estimate import assumed
from tweenbatch.planning.missing import Missing
from tweenbatch.records import Money
from tweenbatch.records.manifest import Manifest
from tweenbatch.records.plan import Group, Plan
from tweenbatch.settings import ASSUMED_CONCURRENCY, RunSettings
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTotals:
    """Where all jobs of the table stand, and their money."""

    counts: Mapping[State, int]
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreview:
    """The work of a run that has not begun."""

    manifests: Sequence[Manifest]
    asked: Plan | TableTotals
    """The plan of the manifests; without any, where the table stands."""
    to_pay: int
    usd_to_pay: Decimal
    endpoints: frozenset[str]
    """Those that something is to be paid for."""
    names: frozenset[str]
    """A name in each folder in which a clip that is to be paid for would lie."""
    prices: Prices
    at_fal: int
    in_doubt: int
    """Submissions of unknown outcome, to be looked up."""
    failed: int
    cancelled: int
    missing: Missing
    """Clips that came home and are not where they were."""

    @property
    def total(self) -> int:
        """How many jobs there is something to be done for."""
        return self.to_pay + self.to_collect + self.in_doubt

    @property
    def to_collect(self) -> int:
        """How many clips are paid for and have to come home, or once more."""
        return self.at_fal + len(self.missing.clips)


def preview_of(
    manifests: Sequence[Manifest],
    store: Store | None,
    settings: RunSettings,
    prices: Prices = AS_KNOWN,
) -> RunPreview:
    """Hold the manifests, or all unfinished work, against the table; None: there is none yet."""
    if not manifests and store is not None:
        return _unfinished(store, settings, prices)
    return _planned(manifests, store, settings, prices)


def _planned(
    manifests: Sequence[Manifest], store: Store | None, settings: RunSettings, prices: Prices
) -> RunPreview:
    # How long fal takes is nothing that a rehearsal could tell.
    at_once = settings.concurrency or ASSUMED_CONCURRENCY
    made = planner.make(
        manifests,
        store,
        prices=prices,
        concurrency=None if settings.rehearse else at_once,
        old_failures=settings.old_failures,
    )
    if settings.concurrency is None:
        made = replace(made, estimate=assumed(made.estimate))
    return RunPreview(
        manifests=manifests,
        asked=made,
        to_pay=made.clips_to_pay,
        usd_to_pay=made.usd_to_pay,
        endpoints=made.endpoints_to_pay,
        names=made.names_to_pay,
        prices=prices,
        at_fal=made.count(Group.AT_FAL),
        in_doubt=made.count(Group.UNCERTAIN),
        failed=made.count(Group.FAILED),
        cancelled=made.count(Group.CANCELLED),
        missing=missing.find(made.kept, output=settings.output),
    )


def _unfinished(store: Store, settings: RunSettings, prices: Prices) -> RunPreview:
    counts = store.views.counts()
    unpaid = store.views.pending()
    usd_to_pay = sum(
        (
            each.jobs * prices.clip_usd(each.endpoint, each.parameters, known=each.price_usd)
            for each in unpaid
        ),
        Decimal(0),
    )
    return RunPreview(
        manifests=(),
        asked=TableTotals(counts=counts, money=store.views.money()),
        to_pay=sum(each.jobs for each in unpaid),
        usd_to_pay=usd_to_pay,
        endpoints=frozenset(each.endpoint for each in unpaid),
        names=frozenset(),
        prices=prices,
        at_fal=sum(counts[state] for state in IDENTIFIED),
        in_doubt=counts[State.UNCERTAIN] + counts[State.SUBMITTING],
        failed=counts[State.FAILED],
        cancelled=counts[State.CANCELLED],
        missing=missing.find(store.views.kept_clips(), output=settings.output),
    )
