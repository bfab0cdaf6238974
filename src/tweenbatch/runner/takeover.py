"""Takes over from earlier runs: settles dead runs, and finds paid requests the table lacks."""

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
    """Recover the jobs of runs that died; return the path for the witness file of this run."""
    if store.network is not None:
        watcher.notice(
            f"{store.file} is on a network file system ({store.network}), where SQLite's locks "
            "are unreliable: keep it on a disk of this machine, or use PostgreSQL"
        )
    recovered = store.runs.recover(run_id, now=now)
    path = witness.path_of(store.file, settings.output, run_id)
    uncertain = recovered.uncertain - _adopt_from_witnesses(path, store, watcher, now=now)
    if uncertain == 1:
        watcher.notice(
            "1 submission of a run that died has an unknown outcome; it is looked up, not sent "
            "again"
        )
    elif uncertain > 1:
        watcher.notice(
            f"{uncertain} submissions of a run that died have an unknown outcome; they are looked "
            "up, not sent again"
        )
    return path


def _adopt_from_witnesses(own: Path, store: Store, watcher: RunWatcher, *, now: datetime) -> int:
    """Adopt requests that dead runs could only write to a witness file; return how many."""
    adopted = 0
    for path in witness.abandoned(own, shared=store.file is None):
        notes = witness.read_notes(path)
        for job in witness.adopt(notes, store, now=now):
            adopted += 1
            watcher.moved(job, State.UNCERTAIN)
            watcher.notice(
                f"{job.output_name}: fal had accepted it, as an earlier run noted in {path.name}; "
                "it is collected, not paid again"
            )
        witness.discard(path, notes, store)
    return adopted


async def look_back(
    settings: RunSettings,
    state: RunState,
    endpoints: Collection[str] | None,
    *,
    doubt: stale_table.StaleTable | None,
    known_until: datetime | None,
    settled: Callable[[], None],
) -> None:
    """Recover paid requests that the table lacks; where that fails, submit nothing.

    ``endpoints`` are those of the waiting jobs, if known.
    ``known_until`` is when the table was last in use before this run. ``settled`` records that
    the table is complete.
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
                    "fal lists recently paid clips that were missing from this table, as if it had "
                    "been restored, copied or created again. More may still be running, and fal "
                    "lists only finished requests. Nothing is submitted; run again with "
                    "--trust-table, which reports when it may pay"
                )
    except (TableUnusable, TableBusy) as error:
        raise table_failed(error) from error
