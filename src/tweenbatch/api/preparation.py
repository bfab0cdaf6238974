"""Prepares a run: reads the manifests, compares them with the table and checks prices."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from math import ceil
from pathlib import Path

from tweenbatch import paths
from tweenbatch.api import kept_settings, other_tables
from tweenbatch.api.requests import ReadManifests, RunRequest, Say
from tweenbatch.errors import PriceRisen, UsageError
from tweenbatch.fal import Fal
from tweenbatch.files import output, space
from tweenbatch.frames.cache import FramesWatcher
from tweenbatch.planning import key_check, quote
from tweenbatch.planning.preview import RunPreview, preview_of
from tweenbatch.planning.quote import Quote
from tweenbatch.printable import printable_line
from tweenbatch.recovery import stale_table
from tweenbatch.recovery.table_marks import TableMarks
from tweenbatch.report import confirmation
from tweenbatch.settings import RunSettings
from tweenbatch.store import RunnerLock, Store


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A run to preview: its work and price. This process owns the table.

    ``store`` is None until ``execute`` creates the table.
    """

    request: RunRequest
    read: ReadManifests
    batch: RunPreview
    store: Store | None
    lock: RunnerLock
    marks: TableMarks
    _closing: ExitStack

    @property
    def settings(self) -> RunSettings:
        """Return the settings, completed from the last run of the table."""
        return self.request.settings

    def opened(self) -> Store:
        """Return the table; create it if there is none yet."""
        if self.store is None:
            self.store = _opened(self.settings.db, self._closing, create=True)
        return self.store


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A run to agree to: its work at fal's prices of today."""

    batch: RunPreview
    quote: Quote = field(default_factory=Quote)
    notes: tuple[str, ...] = ()
    """Lines to show before the user agrees: warnings, and prices that have risen."""


@contextmanager
def prepare(
    request: RunRequest,
    *,
    say: Say,
    warn: Say,
    frames_watcher: FramesWatcher | None = None,
) -> Iterator[Prepared]:
    """Read the manifests and compare them with the table, which is open inside this context.

    ``say`` shows notes, ``warn`` shows problems of manifests in the inbox. Raises
    ``ManifestError``, ``UsageError`` and the errors of tables.
    """
    asked = request.manifests
    if asked.old_failures and asked.is_empty:
        raise UsageError(
            "--retry-failed needs a manifest, and none is named; `tweenbatch retry --error TYPE` "
            "queues all jobs that failed with this error"
        )
    with ExitStack() as stack:
        settings, by_name = request.settings, not asked.is_empty
        store = Store.find(settings.db) if by_name else _opened(settings.db, stack, create=False)
        if store is not None:
            stack.callback(store.close)
        asked = asked.with_arrivals(warn)
        if store is not None and (asked.paths or not by_name):
            settings = kept_settings.resumed(settings, store, asked.paths, request.given, say)
        read = asked.read_for_run(settings.output, store, warn=warn, frames_watcher=frames_watcher)
        settings = settings.model_copy(
            update={"rejected": read.rejected, "asked": _manifest_names(asked.paths)}
        )
        other_tables.refuse_to_pay_twice(read.manifests, settings, store)
        lock = stack.enter_context(RunnerLock(settings.db))
        marks_folder = None if settings.rehearse else paths.marks_folder()
        marks = stack.enter_context(TableMarks(marks_folder, lock.table))
        if asked.inbox is not None and store is None:
            # An empty inbox is not an error: its run is recorded as well.
            store = _opened(settings.db, stack, create=True)
        yield Prepared(
            request=replace(request, manifests=asked, settings=settings),
            read=read,
            batch=preview_of(read.manifests, store, settings),
            store=store,
            lock=lock,
            marks=marks,
            _closing=stack,
        )


def check(prepared: Prepared) -> Checked:
    """Check the key's rights, today's prices, and that clips can be written. Spends nothing.

    Raises ``TableOlder``, ``MissingKey``, ``KeyRefused``, ``OutputUnusable``, and ``PriceRisen``
    if ``yes`` agreed only to the known price.
    """
    batch, settings = prepared.batch, prepared.settings
    if batch.to_pay and not (settings.trust_table or settings.rehearse):
        stale_table.refuse_to_pay(
            prepared.store, prepared.lock, now=datetime.now(UTC), marks=prepared.marks
        )
    if not batch.total:
        return Checked(batch=batch)
    if not settings.rehearse:
        Fal.require_key(connect_to=settings.connect_to)
    output.check_output(settings.output, batch.names)
    if not batch.to_pay:
        return Checked(batch=batch)
    output.check_room(_folders(settings), _needed_space(batch, settings))
    if settings.rehearse:
        return Checked(batch=batch)
    connect = partial(Fal.connect, connect_to=settings.connect_to)
    warning = asyncio.run(key_check.check(connect, min(batch.endpoints), now=datetime.now(UTC)))
    notes = () if warning is None else (f"warning: {warning}.",)
    checked = _at_todays_price(prepared, connect)
    return replace(checked, notes=(*notes, *checked.notes))


def _at_todays_price(prepared: Prepared, connect: Callable[[], Fal]) -> Checked:
    batch, settings = prepared.batch, prepared.settings
    asked = asyncio.run(quote.ask(connect, batch.endpoints))
    notes = []
    if asked.unread is not None:
        notes.append(
            f"fal's price list can't be read ({asked.unread}); using the prices known here."
        )
    unchanged = Checked(batch=batch, quote=asked, notes=tuple(notes))
    if batch.manifests and not (asked.risen or asked.doubts):
        return unchanged
    now = preview_of(batch.manifests, prepared.store, settings, asked.prices)
    if now.usd_to_pay == batch.usd_to_pay and not asked.doubts:
        return replace(unchanged, batch=now)
    risen = confirmation.risen(asked)
    if settings.yes and not settings.accept_price:
        raise PriceRisen(confirmation.too_dear(risen, known=batch, now=now))
    return Checked(
        batch=now, quote=asked, notes=(*notes, f"{risen}:", *confirmation.lines(now, settings))
    )


def _opened(db: str, stack: ExitStack, *, create: bool) -> Store:
    store = Store.open(db, create=create)
    stack.callback(store.close)
    return store


def _manifest_names(manifests: tuple[Path, ...]) -> str:
    return printable_line(", ".join(str(paths.short(path)) for path in manifests))


def _folders(settings: RunSettings) -> list[Path]:
    table = paths.sqlite_path(settings.db)
    return [settings.output, *([table.resolve().parent] if table else [])]


def _needed_space(batch: RunPreview, settings: RunSettings) -> space.Room | None:
    """Return the disk space for this run's clips: those in progress and those it may pay for."""
    paid = batch.to_pay if settings.limit is None else min(batch.to_pay, settings.limit)
    if settings.most_usd is not None and batch.usd_to_pay:
        paid = min(paid, ceil(batch.to_pay * settings.most_usd / batch.usd_to_pay))
    return space.room(
        settings.output,
        paid + batch.to_collect,
        clip_bytes=space.PREVIEW_BYTES if settings.rehearse else space.CLIP_BYTES,
    )
