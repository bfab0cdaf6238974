"""Detect a stale table: one restored from a copy, or new, that lacks paid clips.

Such a table would pay for these clips again. There are three signs: a copy is marked as a copy,
the lock file keeps the table's high-water mark, and so does a mark outside the table's folder,
which covers its copies too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tweenbatch.errors import TableOlder
from tweenbatch.records import HighWaterMark
from tweenbatch.recovery.table_marks import Mark, TableMarks
from tweenbatch.store import RunnerLock, Store

KEPT = timedelta(days=30)
"""How long fal keeps its list of past requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleTable:
    """Why a table may lack payments, since when, and until when there may be any."""

    reason: str
    since: datetime
    paid_until: datetime


def detect(
    store: Store | None, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> StaleTable | None:
    """Return why the table may be stale, or None. ``store`` is None if the file is missing."""
    if lock.table is None:
        return None
    mark = marks.ahead_of(store) if marks and store else None
    reached, marked = (
        (store.runs.high_water_mark(), store.runs.incomplete_since) if store else (None, None)
    )
    seen = lock.seen
    if seen is not None and seen.is_ahead_of(reached):
        reason = f"{lock.table} is older than the last run here: {_last_run(reached)}, but run "
        reason += f"{seen.run_id} was working here on {when(seen.at)}"
    elif marked is not None:
        reason = f"{lock.table} was restored from a copy of {when(marked)}: {_last_run(reached)}"
    elif marks is not None and mark is not None:
        reason = f"{lock.table} {_conflict_with(mark, marks)}: {_last_run(reached)}"
    else:
        return None
    last = now - KEPT if reached is None else min(now, reached.at)
    since = marked or last
    if mark is not None:
        # The time when the copy was made is unknown.
        since = min(since, now - KEPT)
    paid = [since, *([seen.at] if seen else []), *([_paid_until(mark, now)] if mark else [])]
    return StaleTable(
        reason=f"{reason}. Clips paid for since then are missing and would be paid for again",
        since=since,
        paid_until=max(paid),
    )


def refuse_to_pay(
    store: Store | None, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> None:
    """Raise ``TableOlder`` if the table may be stale."""
    found = detect(store, lock, now=now, marks=marks)
    if found is not None:
        raise TableOlder(
            f"{found.reason}. Nothing was submitted. Restore the newest table; or run the same "
            "command with --trust-table: it adopts the paid clips in fal's list and pays for the "
            "rest"
        )


def detect_and_mark(
    store: Store, lock: RunnerLock, *, now: datetime, marks: TableMarks | None = None
) -> StaleTable | None:
    """Return why the table may be stale, and mark the table so until ``clear_mark``.

    Without the mark, a new run that submits nothing would make the table look complete.
    """
    found = detect(store, lock, now=now, marks=marks)
    if found is not None:
        store.runs.mark_incomplete(found.since)
    return found


def remember(
    store: Store, lock: RunnerLock, marks: TableMarks | None = None, *, caught_up: bool = False
) -> None:
    """Record the high-water mark outside the table, now and from now on.

    ``caught_up``: the table has everything that its copies paid for.
    """
    store.runs.remember_in(lock, *([marks] if marks else []))
    if marks is not None:
        marks.follow(store, caught_up=caught_up)


def clear_mark(store: Store, lock: RunnerLock | None, marks: TableMarks | None = None) -> None:
    """Record that the table is complete: last in the table itself."""
    if lock is None:
        return
    remember(store, lock, marks, caught_up=True)
    store.runs.mark_incomplete(None)


def _conflict_with(mark: Mark, marks: TableMarks) -> str:
    """Return how the mark contradicts the table."""
    if mark.is_at_work:
        return f"has a copy in use by a run, {mark.place}"
    assert mark.paid is not None
    if mark.place == marks.place:
        return (
            f"was restored to an earlier state: run {mark.paid.run_id} paid on {when(mark.paid.at)}"
        )
    return f"has a copy, {mark.place}, that was used separately and paid on {when(mark.paid.at)}"


def _paid_until(mark: Mark, now: datetime) -> datetime:
    return now if mark.is_at_work or mark.paid is None else mark.paid.at


def _last_run(reached: HighWaterMark | None) -> str:
    if reached is None:
        return "it has no run"
    return f"its last run is run {reached.run_id} of {when(reached.at)}"


def when(instant: datetime) -> str:
    """Return an instant as text for messages."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"
