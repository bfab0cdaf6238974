"""Runs, their nights and pauses, and how far the table has come.

Every method is one whole transaction.
"""

import hashlib
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from tweenbatch.records import FailureGroup, HighWaterMark, Night, RecoveryCounts, Run, RunActivity
from tweenbatch.states import State
from tweenbatch.store import reading
from tweenbatch.store.engine import Database
from tweenbatch.store.lock import RunnerLock
from tweenbatch.store.part import TablePart
from tweenbatch.store.progress import ProgressListener, ProgressListeners
from tweenbatch.store.sqlitefile import incomplete_since, mark_incomplete, refuse_damaged
from tweenbatch.store.statements import digests, runs, views
from tweenbatch.store.transitions import LEASE


class RunTable(TablePart):
    """Runs, their nights and pauses, and how far the table has come."""

    def __init__(self, database: Database, listeners: ProgressListeners) -> None:
        super().__init__(database)
        self._listeners = listeners

    def begin(
        self,
        *,
        host: str,
        pid: int,
        version: str,
        now: datetime,
        max_cost_usd: Decimal | None,
        night: Night | None = None,
        asked: str | None = None,
    ) -> int:
        """Open a run and return its id; paid work that rests is due at once.

        Of ``max_cost_usd`` a run has what the runs of its ``night`` before it have left.
        """

        def begin(connection: Connection) -> int:
            most = max_cost_usd
            if night is not None and most is not None:
                self._database.one_at_a_time(connection)
                before = connection.execute(runs.committed_in(night)).scalar() or 0
                most = max(Decimal(0), most - before)
            start = runs.start_run(
                host=host,
                pid=pid,
                version=version,
                now=now,
                max_cost_usd=most,
                night=night,
                asked=asked,
            )
            run_id: int = connection.execute(start).scalar_one()
            connection.execute(runs.wake_paid_work(now=now))
            return run_id

        return self._database.write(begin)

    def heartbeat(self, run_id: int, *, now: datetime) -> None:
        """Say that the run lives; its leases hold for another 60 s."""

        def beat(connection: Connection) -> None:
            connection.execute(*runs.beat(run_id, now=now))
            connection.execute(*runs.extend_leases(run_id, until=now + LEASE))

        self._database.write(beat)
        self._listeners.notify(now)

    def end(self, run_id: int, *, now: datetime, exit_code: int, note: str) -> None:
        """Close the run and give its leases back.

        A submission still in the air keeps its lease: only ``recover`` settles it.
        """

        def end(connection: Connection) -> None:
            connection.execute(runs.finish_run(run_id, now=now, exit_code=exit_code, note=note))
            connection.execute(runs.free_leases_of(run_id, now=now))

        self._database.write(end)
        self._listeners.notify(now)

    def recover(self, run_id: int, *, now: datetime) -> RecoveryCounts:
        """Settle what dead runs left: free their jobs, doubt their submissions in the air.

        On SQLite the runner's lock proves that no other run lives; on a server only an
        expired lease is dead. A SQLite file that a run died over is read through before:
        raises ``TableUnusable`` where it is damaged.
        """
        expired_only = not self._database.is_sqlite

        def settle(connection: Connection) -> RecoveryCounts:
            silent_since = now - LEASE if expired_only else None
            buried = connection.execute(
                runs.bury_runs(run_id, now=now, silent_since=silent_since)
            ).rowcount
            if buried and self._database.is_sqlite:
                # Refused, the dead run stays open: the next one looks again.
                refuse_damaged(connection, self._database.name)
            doubted = connection.execute(
                runs.doubt_dead_submissions(run_id, now=now, expired_only=expired_only)
            ).all()
            for job in doubted:
                connection.execute(runs.doubt_attempt(job.id, job.attempt))
            freed = connection.execute(
                runs.free_dead_leases(run_id, now=now, expired_only=expired_only)
            ).rowcount
            return RecoveryCounts(freed=freed, uncertain=len(doubted))

        return self._database.write(settle)

    def latest(self, *, limit: int) -> list[Run]:
        """Return the latest runs, the newest first."""
        return [reading.record_of(Run, row) for row in self._all(digests.latest(limit=limit))]

    def find(self, run_id: int) -> Run | None:
        """Return a run, if there is one of that number."""
        found = self._all(digests.one(run_id))
        return reading.record_of(Run, found[0]) if found else None

    def latest_of_job(self, job: str) -> Run | None:
        """Return the latest run of a job file, if there was one."""
        return next(
            (reading.record_of(Run, row) for row in self._all(digests.latest_of(job))), None
        )

    def unnotified(self, job: str) -> list[Run]:
        """Return the runs of a job file that are over and of which nobody was told, in order."""
        return [reading.record_of(Run, row) for row in self._all(digests.unnotified(job))]

    def mark_notified(self, run_id: int, *, now: datetime) -> None:
        """Note that everybody was told of the run who was to be."""

        def note(connection: Connection) -> None:
            connection.execute(digests.mark_notified(run_id, now=now))

        self._database.write(note)

    def activity(self, run: Run) -> RunActivity:
        """Return what came about in the time of a run."""
        begins, ends = run.started_at, run.ended_at

        def look(connection: Connection) -> RunActivity:
            made, slowest = reading.slowest_of(connection.execute(digests.clips(begins, ends)))
            sums = connection.execute(digests.money_of(run.id)).all()
            counts = connection.execute(views.state_counts(None))
            return RunActivity(
                submitted=sum(fate.attempts for fate in sums),
                money=reading.money_of(sums),
                made=made,
                failed=tuple(
                    FailureGroup(
                        error_type=row.error_type,
                        jobs=row.jobs,
                        message=row.message or "",
                        name=row.name,
                    )
                    for row in connection.execute(digests.failed(begins, ends))
                ),
                slowest=slowest,
                counts=dict.fromkeys(State, 0) | {row.state: row.jobs for row in counts},
                uncertain_usd=reading.money_of(connection.execute(views.money_by_fate())).uncertain,
            )

        return self._database.read(look)

    def paused_since(self) -> datetime | None:
        """Return since when a person wants nothing new to be paid for; None: it is wanted."""
        return self._database.read(
            lambda connection: connection.execute(runs.paused_since()).scalar()
        )

    def pause(self, *, now: datetime) -> datetime:
        """Let nothing new be paid for; return since when that holds."""

        def begin(connection: Connection) -> datetime:
            self._database.one_at_a_time(connection)
            since = connection.execute(runs.paused_since()).scalar()
            if since is None:
                connection.execute(runs.begin_pause(now=now))
            return since or now

        return self._database.write(begin)

    def lift_pause(self, *, now: datetime) -> bool:
        """Let submissions go again; return whether there was a pause."""
        return self._database.write(
            lambda connection: connection.execute(runs.lift_pause(now=now)).rowcount > 0
        )

    def high_water_mark(self) -> HighWaterMark | None:
        """Return how far the table has come; None: no run has been here."""
        found = self._all(runs.high_water_mark())
        return reading.record_of(HighWaterMark, found[0]) if found else None

    @property
    def incomplete_since(self) -> datetime | None:
        """Since when the table may lack what was paid for; None: nothing is known to be missing."""
        return self._database.read(incomplete_since) if self._database.is_sqlite else None

    def mark_incomplete(self, until: datetime | None) -> None:
        """Note in the table itself since when it may lack what was paid for; None: all is there."""
        if self._database.is_sqlite:
            self._database.write(lambda connection: mark_incomplete(connection, until))

    @property
    def origin(self) -> str | None:
        """Return what the table shares with its copies and with no other; None before a run."""
        found = self._all(digests.first())
        if not found:
            return None
        first = reading.record_of(Run, found[0])
        text = f"{first.host} {first.pid} {first.started_at.isoformat()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def remember_in(self, lock: RunnerLock, *others: ProgressListener) -> None:
        """Let the place of the table remember how far it has come, now and from now on.

        The ``others`` are told from now on. Raises ``TableUnusable``.
        """
        reach = self.high_water_mark()
        if reach is not None:
            lock.remember(reach)
            self._listeners.watch(lock, *others)
