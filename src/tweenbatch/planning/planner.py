"""Plan a run: compare rows with the table and price the difference.

It only reads. ``plan`` shows this plan, and ``run`` asks to confirm it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

from tweenbatch.errors import Problem
from tweenbatch.models import AS_KNOWN, Prices
from tweenbatch.planning import diff
from tweenbatch.planning.estimate import estimate
from tweenbatch.planning.missing import MOST_CHECKED
from tweenbatch.records import EarlierFailures, EarlierRow
from tweenbatch.records.imports import WITHDRAWN
from tweenbatch.records.manifest import JobKind, Manifest
from tweenbatch.records.plain import plain_keys
from tweenbatch.records.plan import (
    MADE,
    TO_PAY,
    Clips,
    Group,
    Plan,
    PlannedRow,
    Removed,
    RemovedRow,
)
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store import Store
from tweenbatch.store.comparing import Comparison, ContentGroup, RemovedJob, RowWithJob

_BY_STATE = {
    State.PENDING: Group.WAITING,
    State.SUBMITTING: Group.UNCERTAIN,
    State.UNCERTAIN: Group.UNCERTAIN,
    State.SUCCEEDED: Group.DONE,
    State.FAILED: Group.FAILED,
    State.CANCELLED: Group.CANCELLED,
    **dict.fromkeys(IDENTIFIED, Group.AT_FAL),
}

_MADE_STATES = frozenset(state for state, group in _BY_STATE.items() if group in MADE)
_TO_PAY_STATES = frozenset(state for state, group in _BY_STATE.items() if group in TO_PAY)


LISTED = 10_000
"""Limit of listed rows; all rows are counted."""

COMPARED = 50_000
"""Limit of new and of removed contents that are matched to find edited rows."""


def make(
    manifests: Sequence[Manifest],
    store: Store | None,
    *,
    prices: Prices = AS_KNOWN,
    concurrency: int | None = None,
    old_failures: EarlierFailures | None = None,
) -> Plan:
    """Compare the manifests with the table; None means that it does not exist yet.

    ``prices`` apply to clips that are not paid for yet. With ``concurrency``, the number of
    simultaneous requests, the plan estimates the time of the run.
    """
    made = (
        store.manifests.compare(manifests, lambda comparison: _Planner(comparison, prices).plan())
        if store
        else _all_new(manifests, prices)
    )
    if store:
        made = _with_retakes(made, store, prices)
        if old_failures is not None:
            made = _with_old_failures(made, store, prices, old_failures)
    if concurrency is None or not made.clips_to_pay:
        return made
    return replace(
        made,
        estimate=estimate(
            made.clips_to_pay,
            endpoints=made.endpoints_to_pay,
            latest=store.views.latest_clips() if store else (),
            concurrency=concurrency,
        ),
    )


def _with_retakes(made: Plan, store: Store, prices: Prices) -> Plan:
    unpaid = store.views.pending(store.manifests.retakes_of(made.manifests))
    usd = sum(
        (
            each.jobs * prices.clip_usd(each.endpoint, each.parameters, known=each.price_usd)
            for each in unpaid
        ),
        Decimal(0),
    )
    return replace(
        made,
        retakes=Clips(clips=sum(each.jobs for each in unpaid), usd=usd),
        endpoints_to_pay=made.endpoints_to_pay | {each.endpoint for each in unpaid},
    )


def _with_old_failures(made: Plan, store: Store, prices: Prices, which: EarlierFailures) -> Plan:
    jobs = store.views.to_try_again(made.manifests, which)
    usd = (
        prices.clip_usd(job.spec.endpoint, job.spec.parameters, known=job.price_usd) for job in jobs
    )
    return replace(
        made,
        again=Clips(clips=len(jobs), usd=sum(usd, Decimal(0))),
        endpoints_to_pay=made.endpoints_to_pay | {job.spec.endpoint for job in jobs},
    )


def _all_new(manifests: Sequence[Manifest], prices: Prices) -> Plan:
    """Plan for a table that does not exist yet: every content is new, and counts once."""
    seen: set[bytes] = set()
    kinds: Counter[JobKind] = Counter()
    folders: dict[str, str] = {}
    for manifest in manifests:
        for some in manifest.rows.columns():
            # Thousands of rows share one kind, and hashing it is slow.
            shared = {id(kind): kind for kind in some["kind"]}
            of_shared: Counter[int] = Counter()
            keys = plain_keys(some)
            for key, kind, output in zip(keys, some["kind"], some["output"], strict=True):
                # Half of the digest as bytes: a set of a million texts would need much memory.
                content = bytes.fromhex(key[:32])
                if content in seen:
                    continue
                seen.add(content)
                of_shared[id(kind)] += 1
                folder, slash, _ = output.rpartition("/")
                if slash:
                    folders.setdefault(folder, output)
            for each, count in of_shared.items():
                kinds[shared[each]] += count
    usd = sum((count * _price(kind, prices) for kind, count in kinds.items()), Decimal(0))
    return Plan(
        manifests=tuple(each.path for each in manifests),
        here={Group.NEW: Clips(clips=len(seen), usd=usd)} if seen else {},
        elsewhere={},
        repeated=sum(each.row_count for each in manifests) - len(seen),
        endpoints_to_pay=frozenset(kind.endpoint for kind in kinds),
        names_to_pay=frozenset(folders.values()),
        warnings=_warnings(manifests),
    )


def _price(kind: JobKind, prices: Prices) -> Decimal:
    return prices.clip_usd(kind.endpoint, kind.parameters, known=kind.price_usd)


def _warnings(manifests: Iterable[Manifest]) -> tuple[tuple[Path, Problem], ...]:
    return tuple((each.path, problem) for each in manifests for problem in each.warnings)


class _Planner:
    """Builds the plan of one comparison."""

    def __init__(self, comparison: Comparison, prices: Prices) -> None:
        self._comparison = comparison
        self._prices = prices
        self._here: dict[Group, Clips] = {}
        self._elsewhere: dict[Group, Clips] = {}
        self._listed: list[tuple[int, PlannedRow]] = []

    def plan(self) -> Plan:
        """Return the plan."""
        contents = self._comparison.contents(_MADE_STATES)
        endpoints = self._count(contents)
        if any(each.state is State.FAILED for each in contents):
            for row_with_job in self._comparison.failed(limit=LISTED):
                self._list(row_with_job, reasons=(f"failed before ({row_with_job.error_type})",))
        if self._elsewhere:
            for row_with_job, path in self._comparison.paid_elsewhere(_MADE_STATES, limit=LISTED):
                self._list(row_with_job, elsewhere=path)
        earlier = self._comparison.earlier_jobs()
        asked_before = sum(each.clips for each in contents if each.asked_before)
        fresh = bool(earlier) and not all(each.asked_before for each in contents)
        removed = Removed()
        if fresh or asked_before != earlier:
            removed = self._match_earlier()
        made = Plan(
            manifests=tuple(each.path for each in self._comparison.manifests),
            here=self._here,
            elsewhere=self._elsewhere,
            listed=tuple(row for _, row in sorted(self._listed, key=itemgetter(0))),
            removed=removed,
            endpoints_to_pay=endpoints,
            names_to_pay=self._comparison.folders(_TO_PAY_STATES),
            kept=tuple(self._comparison.kept(limit=MOST_CHECKED)),
            warnings=_warnings(self._comparison.manifests),
            renewed=self._comparison.renewed,
        )
        return replace(
            made,
            repeated=self._comparison.rows() - made.count(),
            not_listed=max(made.count(Group.FAILED) - LISTED, 0),
        )

    def _count(self, contents: Iterable[ContentGroup]) -> frozenset[str]:
        """Count all contents; return the endpoints of those to pay."""
        endpoints = set()
        for each in contents:
            group = _group(each.state, withdrawn=each.withdrawn)
            usd = each.price_usd or Decimal(0)
            if group in TO_PAY:
                usd = each.clips * _price(each.kind, self._prices)
                endpoints.add(each.kind.endpoint)
            where = self._elsewhere if each.paid_elsewhere else self._here
            where[group] = where.get(group, Clips()) + Clips(clips=each.clips, usd=usd)
        return frozenset(endpoints)

    def _list(
        self,
        row_with_job: RowWithJob,
        *,
        group: Group | None = None,
        reasons: tuple[str, ...] = (),
        was: EarlierRow | None = None,
        elsewhere: Path | None = None,
    ) -> PlannedRow:
        row = row_with_job.row
        group = group or _group(row_with_job.state, withdrawn=row_with_job.error_type == WITHDRAWN)
        price = row_with_job.job_price_usd
        if price is None or group in TO_PAY:
            price = _price(row.kind, self._prices)
        planned = PlannedRow(
            manifest=self._comparison.manifests[row_with_job.manifest_index].path,
            row=row,
            group=group,
            price_usd=price,
            reasons=reasons,
            was=was,
            elsewhere=elsewhere,
        )
        self._listed.append((row_with_job.position, planned))
        return planned

    def _match_earlier(self) -> Removed:
        """List contents that are edits of earlier rows; return the earlier rows that remain."""
        fresh = self._comparison.fresh(limit=COMPARED)
        removed = self._comparison.removed(limit=COMPARED)
        # One of several equal rows may have been edited into the new content.
        now, before = self._comparison.copies() if fresh else ([], [])
        facts = {each.earlier.key: each for each in removed}
        left: list[RemovedRow] = []
        for index, manifest in enumerate(self._comparison.manifests):
            rows = [each for each in (*fresh, *now) if each.manifest_index == index]
            rows.sort(key=lambda each: each.position)
            earlier = [each.earlier for each in removed if each.manifest == manifest.path]
            earlier += [old for path, old in before if path == manifest.path]
            earlier.sort(key=lambda old: (old.number, old.take))
            matched = diff.match(earlier, [each.row for each in rows])
            self._list_changed(rows, matched.was)
            left += [
                RemovedRow(
                    manifest=manifest.path,
                    earlier=old,
                    cost_usd=facts[old.key].cost_usd,
                    withdrawn=facts[old.key].withdrawn,
                )
                for old in matched.left
                if old.key in facts
            ]
        return self._removed_of(removed, left)

    def _removed_of(self, removed: Sequence[RemovedJob], left: Sequence[RemovedRow]) -> Removed:
        costs = {each.earlier.key: each for each in left}
        usd = sum((each.cost_usd for each in costs.values()), Decimal(0))
        withdrawn = sum(each.withdrawn for each in costs.values())
        rows = len(left)
        if len(removed) == COMPARED:
            totals = self._comparison.count_removed()
            listed = {each.earlier.key: each for each in removed}
            rows += totals.rows - len(removed)
            usd += totals.cost_usd - sum((each.cost_usd for each in listed.values()), Decimal(0))
            withdrawn += totals.withdrawn - sum(each.withdrawn for each in listed.values())
        return Removed(listed=tuple(left[:LISTED]), rows=rows, usd=usd, withdrawn=withdrawn)

    def _list_changed(
        self, rows: Sequence[RowWithJob], earlier: Sequence[EarlierRow | None]
    ) -> None:
        """List the new contents that are edited rows or additional takes."""
        kept_rows = {
            each.row.number for each, was in zip(rows, earlier, strict=True) if was or each.stayed
        }
        for each, was in zip(rows, earlier, strict=True):
            if each.state is not None and each.error_type != WITHDRAWN:
                continue
            if was is not None and was.key != each.row.key:
                planned = self._list(
                    each, group=Group.CHANGED, reasons=diff.reasons(was, each.row), was=was
                )
                self._move(planned.price_usd, Group.NEW, Group.CHANGED)
            elif was is None and each.row.number in kept_rows:
                self._list(each, group=Group.NEW, reasons=(f"take {each.row.take} is new",))

    def _move(self, usd: Decimal, before: Group, after: Group) -> None:
        """Count a clip in another group."""
        self._here[before] += Clips(clips=-1, usd=-usd)
        if not self._here[before].clips:
            del self._here[before]
        self._here[after] = self._here.get(after, Clips()) + Clips(clips=1, usd=usd)


def _group(state: State | None, *, withdrawn: bool) -> Group:
    return Group.NEW if state is None or withdrawn else _BY_STATE[state]
