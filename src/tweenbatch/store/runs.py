"""Record runs, their nights and pauses, and the table's high-water mark.

Each method is one transaction.
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
    """The runs of a table, their nights and pauses, and its high-water mark."""

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
        """Open a run and return its id; delayed paid work becomes due at once.

        Earlier runs of the same ``night`` count against ``max_cost_usd``.
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
        """Record that the run lives; its leases hold for another 60 s."""

        def beat(connection: Connection) -> None:
            connection.execute(*runs.beat(run_id, now=now))
            connection.execute(*runs.extend_leases(run_id, until=now + LEASE))

        self._database.write(beat)
        self._listeners.notify(now)

    def end(self, run_id: int, *, now: datetime, exit_code: int, note: str) -> None:
        """Close the run and release its leases.

        A submission in progress keeps its lease: only ``recover`` resolves it.
        """

        def end(connection: Connection) -> None:
            connection.execute(runs.finish_run(run_id, now=now, exit_code=exit_code, note=note))
            connection.execute(runs.free_leases_of(run_id, now=now))

        self._database.write(end)
        self._listeners.notify(now)

    def recover(self, run_id: int, *, now: datetime) -> RecoveryCounts:
        """Clean up after dead runs: release their jobs, mark their submissions as uncertain.

        On SQLite the run's lock proves that no other run lives; on a server only an expired lease
        proves that. After a dead run, a SQLite file is checked first; raises ``TableUnusable`` if
        it is damaged.
        """
        expired_only = not self._database.is_sqlite

        def settle(connection: Connection) -> RecoveryCounts:
            silent_since = now - LEASE if expired_only else None
            buried = connection.execute(
                runs.bury_runs(run_id, now=now, silent_since=silent_since)
            ).rowcount
            if buried and self._database.is_sqlite:
                # If this raises, the dead run stays open, and the next run checks again.
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
        """Return the run with this number, if any."""
        found = self._all(digests.one(run_id))
        return reading.record_of(Run, found[0]) if found else None

    def latest_of_job(self, job: str) -> Run | None:
        """Return the latest run of a job file, if any."""
        return next(
            (reading.record_of(Run, row) for row in self._all(digests.latest_of(job))), None
        )

    def unnotified(self, job: str) -> list[Run]:
        """Return the ended runs of a job file whose digest was not sent, in order."""
        return [reading.record_of(Run, row) for row in self._all(digests.unnotified(job))]

    def mark_notified(self, run_id: int, *, now: datetime) -> None:
        """Record that the digest of the run was sent."""

        def note(connection: Connection) -> None:
            connection.execute(digests.mark_notified(run_id, now=now))

        self._database.write(note)

    def activity(self, run: Run) -> RunActivity:
        """Return the results during a run."""
        begins, ends = run.started_at, run.ended_at

        def read(connection: Connection) -> RunActivity:
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

        return self._database.read(read)

    def paused_since(self) -> datetime | None:
        """Return since when new submissions are paused; None if they are not."""
        return self._database.read(
            lambda connection: connection.execute(runs.paused_since()).scalar()
        )

    def pause(self, *, now: datetime) -> datetime:
        """Pause new submissions; return since when they are paused."""

        def begin(connection: Connection) -> datetime:
            self._database.one_at_a_time(connection)
            since = connection.execute(runs.paused_since()).scalar()
            if since is None:
                connection.execute(runs.begin_pause(now=now))
            return since or now

        return self._database.write(begin)

    def lift_pause(self, *, now: datetime) -> bool:
        """Resume submissions; return whether they were paused."""
        return self._database.write(
            lambda connection: connection.execute(runs.lift_pause(now=now)).rowcount > 0
        )

    def high_water_mark(self) -> HighWaterMark | None:
        """Return the high-water mark of the table; None before the first run."""
        found = self._all(runs.high_water_mark())
        return reading.record_of(HighWaterMark, found[0]) if found else None

    @property
    def incomplete_since(self) -> datetime | None:
        """Since when the table may lack payments; None if it is complete."""
        return self._database.read(incomplete_since) if self._database.is_sqlite else None

    def mark_incomplete(self, since: datetime | None) -> None:
        """Record in the table since when it may lack payments; None: it is complete."""
        if self._database.is_sqlite:
            self._database.write(lambda connection: mark_incomplete(connection, since))

    @property
    def origin(self) -> str | None:
        """Return an id that the table shares only with its copies; None before the first run."""
        found = self._all(digests.first())
        if not found:
            return None
        first = reading.record_of(Run, found[0])
        text = f"{first.host} {first.pid} {first.started_at.isoformat()}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def remember_in(self, lock: RunnerLock, *others: ProgressListener) -> None:
        """Record the high-water mark in the lock file, now and from now on.

        The ``others`` are notified from now on. Raises ``TableUnusable``.
        """
        mark = self.high_water_mark()
        if mark is not None:
            lock.remember(mark)
            self._listeners.watch(lock, *others)
