"""Whether a table was put back from a copy, or begun anew, and so lacks what was paid for.

Clips that were paid for since are missing from it, and would be paid for again. The copy says
so itself, the place of the table remembers how far the table had come there, and a mark outside
of its folder how far the table and its copies had come.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tweenbatch.errors import TableOlder
from tweenbatch.records import HighWaterMark
from tweenbatch.recovery.table_marks import Mark, TableMarks
from tweenbatch.store import RunnerLock, Store

KEPT = timedelta(days=30)
"""fal shows what was asked for so long: further back there is nothing to recognise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleTable:
    """Why a table may lack what was paid for, and since when; ``paid_until``: when that ended."""

    reason: str
    since: datetime
    paid_until: datetime


def detect(
    store: Store | None, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> StaleTable | None:
    """Return what speaks against the table, which is None where there is no file; None: nothing."""
    if lock.table is None:
        return None
    mark = marks.beyond(store) if marks and store else None
    reached, marked = (
        (store.runs.high_water_mark(), store.runs.incomplete_since) if store else (None, None)
    )
    seen = lock.seen
    if seen is not None and seen.is_ahead_of(reached):
        reason = f"{lock.table} is older than what was done here: {_last_run(reached)}, and run "
        reason += f"{seen.run_id} was at work here on {when(seen.at)}"
    elif marked is not None:
        reason = f"{lock.table} is a copy of {when(marked)} that was put back: {_last_run(reached)}"
    elif marks is not None and mark is not None:
        reason = f"{lock.table} {_conflict_with(mark, marks)}: {_last_run(reached)}"
    else:
        return None
    last = now - KEPT if reached is None else min(now, reached.at)
    since = marked or last
    if mark is not None:
        # Nobody knows when a copy went its own way.
        since = min(since, now - KEPT)
    paid = [since, *([seen.at] if seen else []), *([_paid_until(mark, now)] if mark else [])]
    return StaleTable(
        reason=f"{reason}. Clips paid for since then are not in it and would be paid for again",
        since=since,
        paid_until=max(paid),
    )


def refuse_to_pay(
    store: Store | None, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> None:
    """Raise ``TableOlder`` where something speaks against paying for what the table lacks."""
    found = detect(store, lock, now=now, marks=marks)
    if found is not None:
        raise TableOlder(
            f"{found.reason}. Nothing was submitted. Put the newest table back; or run the same "
            "command with --trust-table: it takes over what fal's list shows as paid for, and pays "
            "for the rest"
        )


def detect_and_mark(
    store: Store, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> StaleTable | None:
    """Return what speaks against the table and write it into the table, until ``clear_mark``.

    Only so does a run that comes to nothing, but is younger than those that are missing, not
    make the table look whole.
    """
    found = detect(store, lock, now=now, marks=marks)
    if found is not None:
        store.runs.mark_incomplete(found.since)
    return found


def remember(
    store: Store, lock: RunnerLock, marks: TableMarks | None = None, *, caught_up: bool = False
) -> None:
    """Let the places that watch over the table know how far it has come, now and from now on.

    ``caught_up`` says that it has all that its copies paid for.
    """
    store.runs.remember_in(lock, *([marks] if marks else []))
    if marks is not None:
        marks.follow(store, caught_up=caught_up)


def clear_mark(store: Store, lock: RunnerLock | None, marks: TableMarks | None = None) -> None:
    """Write down that the table has all that was paid for: last where it was written first."""
    if lock is None:
        return
    remember(store, lock, marks, caught_up=True)
    store.runs.mark_incomplete(None)


def _conflict_with(mark: Mark, marks: TableMarks) -> str:
    """Return what a mark says of the table."""
    if mark.is_at_work:
        return f"has a copy that is at work, {mark.place}"
    assert mark.paid is not None
    if mark.place == marks.place:
        return (
            f"was put back as it once was, for run {mark.paid.run_id} paid on {when(mark.paid.at)}"
        )
    return f"has a copy that went on by itself, {mark.place}, and paid on {when(mark.paid.at)}"


def _paid_until(mark: Mark, now: datetime) -> datetime:
    return now if mark.is_at_work or mark.paid is None else mark.paid.at


def _last_run(reached: HighWaterMark | None) -> str:
    if reached is None:
        return "it has seen no run"
    return f"its last run is run {reached.run_id} of {when(reached.at)}"


def when(instant: datetime) -> str:
    """Return an instant as messages write it."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"
