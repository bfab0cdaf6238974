"""Carries out a run after the user agreed: imports manifests, makes clips, writes results."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tweenbatch import paths
from tweenbatch.api import kept_settings, other_tables
from tweenbatch.api.connection import connection
from tweenbatch.api.preparation import Checked, Prepared
from tweenbatch.api.requests import Say
from tweenbatch.clock import SystemClock
from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.files import atomic
from tweenbatch.nights.digests import DigestDelivery
from tweenbatch.nights.inbox import DONE, Inbox
from tweenbatch.planning import missing
from tweenbatch.records import JobNeedingAttention, Money
from tweenbatch.records.result import RunResult
from tweenbatch.report import confirmation, results
from tweenbatch.runner import session
from tweenbatch.runner.inputs import Consent, Ownership, Scope
from tweenbatch.runner.price_watch import PriceAgreement
from tweenbatch.runner.runner import table_failed
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.states import UNFINISHED
from tweenbatch.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished run, and the totals of the table after it."""

    result: RunResult
    money: Money
    attention: tuple[JobNeedingAttention, ...]
    """Jobs that need a person."""
    results_file: Path
    not_written: str | None = None
    """Why the results file could not be written, or None."""


def execute(
    prepared: Prepared,
    checked: Checked,
    *,
    watcher: RunWatcher,
    say: Say,
    digests: DigestDelivery | None = None,
    on_stop: Callable[[], None] = lambda: None,
    agree_to_rest: Callable[[int], bool] = lambda _: True,
) -> Finished:
    """Import the manifests and run until nothing is left to do or a limit is reached.

    This spends money. ``on_stop`` is called at the first interrupt. ``agree_to_rest`` returns,
    after the canaries succeeded, whether this many more clips may follow. Raises ``TableFailed``.
    """
    settings, read = prepared.settings, prepared.read
    store = prepared.opened()
    imported = _import(prepared, store)
    ids = [*imported.values(), *store.manifests.retakes_of(imported)] or None
    kept_settings.keep(store, settings, ids)
    other_tables.note_start(read.manifests, settings)
    with ExitStack() as stack:
        connect = connection(settings, stack) if checked.batch.total else None
        result = asyncio.run(
            session.run(
                settings,
                store=store,
                fal=connect,
                watcher=watcher,
                clock=SystemClock(),
                on_stop=on_stop,
                scope=Scope(
                    manifests=ids,
                    endpoints=checked.batch.endpoints,
                    count_missing=lambda: _still_missing(store, checked.batch.missing.job_ids),
                ),
                consent=Consent(
                    prices=PriceAgreement(
                        quote=checked.quote,
                        rises=settings.accept_price or settings.rehearse,
                        described=confirmation.risen,
                    ),
                    rest=agree_to_rest,
                ),
                ownership=Ownership(lock=prepared.lock, marks=prepared.marks),
            )
        )
    try:
        inbox = prepared.request.manifests.inbox
        if inbox is not None and inbox.moves:
            _put_away(inbox, imported, store, say)
        written = settings.output / paths.RESULTS
        trouble = _write_results(store, written)
        money = store.views.money()
        other_tables.note_end(money, settings)
        if digests is not None:
            job = settings.night.job if settings.night else None
            digests.deliver_pending(store, job, now=datetime.now(UTC))
        return Finished(
            result=result,
            money=money,
            attention=tuple(store.views.attention()),
            results_file=written,
            not_written=trouble,
        )
    except (TableBusy, TableUnusable) as error:
        raise table_failed(error) from error


def _import(prepared: Prepared, store: Store) -> dict[Path, int]:
    """Import the manifests into the table; return their ids."""
    now, asked = datetime.now(UTC), prepared.request.manifests
    imported = {
        each.path: store.manifests.put(each, now=now).manifest_id
        for each in prepared.read.manifests
    }
    if asked.old_failures is not None:
        again = store.views.to_try_again(imported, asked.old_failures)
        store.jobs.requeue([failed.id for failed in again], now=now)
    store.jobs.miss([each.job_id for each in prepared.batch.missing.clips], now=now)
    store.cache.remember_frames(prepared.read.frames.new())
    return imported


def _still_missing(store: Store, jobs: Collection[int]) -> int:
    """Count the jobs whose clips are missing from the disk."""
    return missing.find(store.views.kept_clips(jobs), most=None).count


def _put_away(inbox: Inbox, imported: Mapping[Path, int], store: Store, say: Say) -> None:
    """Move the finished manifests of an inbox into its folder ``done``."""
    for path, manifest_id in imported.items():
        left = store.views.counts([manifest_id])
        if not inbox.holds(path) or any(left[state] for state in UNFINISHED):
            continue
        try:
            for target in inbox.target_paths(path, DONE):
                # The table first: importing a file again is free, but losing its rows is not.
                if not os.path.lexists(target) and store.manifests.move(path, target):
                    atomic.move(path, target)
                    say(f"  {path.name} is done: {paths.short(target)}")
                    break
        except OSError as error:
            say(f"  {path.name} is done, but can't be moved ({error.strerror or error})")


def _write_results(store: Store, written: Path) -> str | None:
    """Write the results file; return why that failed, or None."""
    shown = paths.short(written)
    try:
        written.parent.mkdir(parents=True, exist_ok=True)
        if not results.may_be_overwritten(written):
            return (
                f"not written: {shown} exists and isn't a results file; `tweenbatch export -o "
                "FILE` writes one elsewhere"
            )
        write = partial(results.csv, extra=store.views.extra_columns())
        results.write_file(store.views.export(), written, write)
    except OSError as error:
        return f"not written to {shown} ({error.strerror}); `tweenbatch export` writes it again"
    return None
