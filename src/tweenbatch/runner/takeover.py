"""What earlier runs left: dead runs are settled, and requests that the table lacks are found."""

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from tweenbatch.errors import TableBusy, TableUnusable
from tweenbatch.recovery import stale_table, witness
from tweenbatch.recovery.adopt_lost import LostRequestRecovery
from tweenbatch.runner.runner import table_failed
from tweenbatch.runner.state import RunState
from tweenbatch.runner.watcher import RunWatcher
from tweenbatch.settings import RunSettings
from tweenbatch.states import State
from tweenbatch.store import Store


def settle_dead_runs(
    settings: RunSettings, store: Store, watcher: RunWatcher, run_id: int, *, now: datetime
) -> Path:
    """Settle what runs that died left, as far as can be; return where our witness is to be."""
    if store.network is not None:
        watcher.notice(
            f"{store.file} lies on a network file system ({store.network}), where SQLite's locks "
            "are not to be relied on: keep it on a disk of this machine, or use PostgreSQL"
        )
    recovered = store.runs.recover(run_id, now=now)
    place = witness.path_of(store.file, settings.output, run_id)
    doubted = recovered.uncertain - _adopt_from_witnesses(place, store, watcher, now=now)
    if doubted > 0:
        watcher.notice(
            f"{doubted} submission(s) of a run that died have an unknown outcome; "
            "they are looked up, and not sent again"
        )
    return place


def _adopt_from_witnesses(own: Path, store: Store, watcher: RunWatcher, *, now: datetime) -> int:
    """Take over what runs that died could tell a witness only; return how many requests."""
    adopted = 0
    for path in witness.abandoned(own, shared=store.file is None):
        notes = witness.read_notes(path)
        for job in witness.adopt(notes, store, now=now):
            adopted += 1
            watcher.moved(job, State.UNCERTAIN)
            watcher.notice(
                f"{job.output_name}: fal had accepted it, as a run noted that could not write to "
                "the table; it is collected, not paid again"
            )
        witness.discard(path, notes, store)
    return adopted


async def look_back(
    settings: RunSettings,
    state: RunState,
    *,
    doubt: stale_table.StaleTable | None,
    known_until: datetime | None,
    endpoints: Collection[str] | None,
    settled: Callable[[], None],
) -> None:
    """Find out what was paid for and the table lacks, or see to it that nothing is submitted.

    ``known_until`` is the table's last sign of life before this run; ``settled`` writes down that
    the table lacks nothing.
    """
    if settings.rehearse:
        return
    if doubt is not None and not settings.trust_table:
        state.refuse_to_submit(f"{doubt.reason}; nothing is submitted")
        return
    lost = LostRequestRecovery(
        store=state.store,
        table=state.table,
        fal=state.fal,
        clock=state.clock,
        notice=state.watcher.notice,
        moved=state.watcher.moved,
        absent_after=settings.absent_after,
        pay_again=settings.pay_again,
    )
    try:
        if settings.trust_table:
            obstacle = await lost.run(doubt)
            if obstacle is not None:
                state.refuse_to_submit(obstacle)
                return
            await state.table(settled)
        # The list was read as far back as the doubt goes; waiting jobs may be older than that.
        if not settings.pay_again:
            paid_at = await lost.adopt_before_paying(known_until, endpoints)
            if paid_at is not None:
                await state.table(state.store.runs.mark_incomplete, paid_at)
                state.refuse_to_submit(
                    "clips were paid for lately that this table knew nothing of, as if it had been "
                    "put back, copied or begun anew: others may still run, and fal lists only what "
                    "has ended. Nothing is submitted; run again with --trust-table, which says "
                    "when it may pay"
                )
    except (TableUnusable, TableBusy) as error:
        raise table_failed(error) from error
