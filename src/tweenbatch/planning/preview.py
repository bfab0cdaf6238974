"""Preview a run: counts and prices of its manifests, or of all unfinished work without any.

It changes nothing, and does not know how a preview is shown.
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
    """The states of all jobs of the table, and their money."""

    counts: Mapping[State, int]
    money: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPreview:
    """The work of a run before it starts."""

    manifests: Sequence[Manifest]
    basis: Plan | TableTotals
    """The plan of the manifests; without manifests, the totals of the table."""
    to_pay: int
    usd_to_pay: Decimal
    endpoints: frozenset[str]
    """The endpoints that the run would submit to."""
    names: frozenset[str]
    """One file name for each folder that the run would write new clips to."""
    prices: Prices
    at_fal: int
    in_doubt: int
    """Submissions with unknown outcome, which the run looks up."""
    failed: int
    cancelled: int
    missing: Missing
    """Downloaded clips whose files are missing."""

    @property
    def total(self) -> int:
        """The number of jobs that the run works on."""
        return self.to_pay + self.to_collect + self.in_doubt

    @property
    def to_collect(self) -> int:
        """The number of paid clips to download, or to download again."""
        return self.at_fal + len(self.missing.clips)


def preview_of(
    manifests: Sequence[Manifest],
    store: Store | None,
    settings: RunSettings,
    prices: Prices = AS_KNOWN,
) -> RunPreview:
    """Return the preview of the manifests, or of all unfinished work; None: no table yet."""
    if not manifests and store is not None:
        return _unfinished(store, settings, prices)
    return _planned(manifests, store, settings, prices)


def _planned(
    manifests: Sequence[Manifest], store: Store | None, settings: RunSettings, prices: Prices
) -> RunPreview:
    # A rehearsal says nothing about the speed of fal.
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
        basis=made,
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
        basis=TableTotals(counts=counts, money=store.views.money()),
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
