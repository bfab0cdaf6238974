"""The job table as the rest of the program sees it: every method is one whole transaction.

Methods that many wait for at the same time may share one: ``Store.together``.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Select

from tweenbatch.errors import LeaseLost, TableMissing
from tweenbatch.records import (
    Attention,
    ExportRow,
    FailedAlike,
    Failure,
    Imported,
    Intent,
    Job,
    KeptClip,
    Known,
    Money,
    Night,
    OldFailures,
    Outcome,
    OwnRequest,
    PeriodLimit,
    Reach,
    Recovered,
    Request,
    Run,
    SeenFrame,
    Selection,
    Story,
    Took,
    Unpaid,
    Work,
)
from tweenbatch.records.manifest import LastImport, Manifest
from tweenbatch.states import Event, ImpossibleTransition, State, advance
from tweenbatch.store import filesystem, importing, reading, retaking, transitions
from tweenbatch.store.comparing import Comparison
from tweenbatch.store.engine import (
    BUSY_SECONDS,
    Database,
    Told,
    is_there,
    parse_url,
    prepare_file,
    table_path,
)
from tweenbatch.store.lock import RunnerLock
from tweenbatch.store.migrate import bring_up_to_date, no_table_yet
from tweenbatch.store.sqlitefile import complete_until, mark_as_old, refuse_damaged
from tweenbatch.store.staging import chunks, stage
from tweenbatch.store.statements import (
    claims,
    digests,
    frames,
    imports,
    pauses,
    retakes,
    runs,
    views,
    work,
)
from tweenbatch.store.transitions import LEASE

PAGE = 1_000
"""How many rows of the export are read together: no more than a core's cache holds."""

PACE_CLIPS = 200
"""How many of the latest clips tell how long the next ones will take."""

TAKEN_UP_IN_ORDER = (State.READY, State.SUBMITTED, State.UNCERTAIN, State.PENDING)
"""Which of several states a claim serves first: what is paid for goes before what is not.

A submission in the air is missing: it belongs to whoever sent it.
"""

T = TypeVar("T")


class Place(Protocol):
    """Whatever remembers how far the table has come."""

    def advance(self, at: datetime, *, attempt_id: int | None = None) -> None:
        """Note that the run lives and, after an attempt was recorded, that there was one more."""


class Store:
    """A job table, opened. It is used from one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places: tuple[Place, ...] = ()

    @classmethod
    def open(cls, url: str, *, create: bool = True, busy_seconds: float = BUSY_SECONDS) -> "Store":
        """Open the table and bring it up to date; without ``create`` it must exist already.

        ``busy_seconds`` is how long each try to write waits for another program. Raises
        ``TableUnusable`` or ``TableTooNew``.
        """
        parsed = parse_url(url)
        path = table_path(parsed)
        if path is not None and not is_there(path):
            if not create:
                raise no_table_yet(str(path))
            prepare_file(path)
        database = Database(parsed, busy_seconds=busy_seconds)
        try:
            bring_up_to_date(database, create=create)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def find(cls, url: str) -> "Store | None":
        """Open the table like ``open``, and make none; None: there is none yet."""
        try:
            return cls.open(url, create=False)
        except TableMissing:
            return None

    @property
    def file(self) -> Path | None:
        """Return the file that holds the table, whatever it is called; None on a server."""
        path = table_path(self._database.url)
        return None if path is None else path.resolve()

    @property
    def network(self) -> str | None:
        """Return the type of the network file system that holds the file; None: no such thing."""
        return filesystem.network_type(self.file)

    def close(self) -> None:
        """Close the table."""
        self._database.close()

    def together(self, calls: Sequence[Callable[[], Any]]) -> list[Told]:
        """Carry calls of this store's methods out in one transaction; return how each ended.

        Each is as whole as it would be alone: one that raises changes nothing. They are all
        committed when this returns; a later one sees what an earlier one wrote.
        """
        return self._database.together(calls)

    # Runs

    def begin_run(
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
        self._remember(now)

    def end_run(self, run_id: int, *, now: datetime, exit_code: int, note: str) -> None:
        """Close the run and give its leases back.

        A submission still in the air keeps its lease: only ``recover`` settles it.
        """

        def end(connection: Connection) -> None:
            connection.execute(runs.finish_run(run_id, now=now, exit_code=exit_code, note=note))
            connection.execute(runs.free_leases_of(run_id, now=now))

        self._database.write(end)
        self._remember(now)

    def recover(self, run_id: int, *, now: datetime) -> Recovered:
        """Settle what dead runs left: free their jobs, doubt their submissions in the air.

        On SQLite the runner's lock proves that no other run lives; on a server only an
        expired lease is dead. A SQLite file that a run died over is read through before:
        raises ``TableUnusable`` where it is damaged.
        """
        expired_only = not self._database.is_sqlite

        def settle(connection: Connection) -> Recovered:
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
            return Recovered(freed=freed, uncertain=len(doubted))

        return self._database.write(settle)

    def runs(self, *, limit: int) -> list[Run]:
        """Return the latest runs, the newest first."""
        return [reading.run_of(row) for row in self._all(digests.latest(limit=limit))]

    def run(self, run_id: int) -> Run | None:
        """Return a run, if there is one of that number."""
        return next((reading.run_of(row) for row in self._all(digests.one(run_id))), None)

    def latest_run(self, job: str) -> Run | None:
        """Return the latest run of a job file, if there was one."""
        return next((reading.run_of(row) for row in self._all(digests.latest_of(job))), None)

    def untold(self, job: str) -> list[Run]:
        """Return the runs of a job file that are over and of which nobody was told, in order."""
        return [reading.run_of(row) for row in self._all(digests.untold(job))]

    def tell(self, run_id: int, *, now: datetime) -> None:
        """Note that everybody was told of the run who was to be."""

        def note(connection: Connection) -> None:
            connection.execute(digests.tell(run_id, now=now))

        self._database.write(note)

    def work_of(self, run: Run) -> Work:
        """Return what came about in the time of a run."""
        begins, ends = run.started_at, run.ended_at

        def look(connection: Connection) -> Work:
            made, slowest = reading.slowest_of(connection.execute(digests.clips(begins, ends)))
            sums = connection.execute(digests.money_of(run.id)).all()
            counts = connection.execute(views.state_counts(None))
            return Work(
                submitted=sum(fate.attempts for fate in sums),
                money=reading.money_of(sums),
                made=made,
                failed=tuple(
                    FailedAlike(
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

    # Pauses

    def paused_since(self) -> datetime | None:
        """Return since when a person wants nothing new to be paid for; None: it is wanted."""
        return self._database.read(
            lambda connection: connection.execute(pauses.open_since()).scalar()
        )

    def pause(self, *, now: datetime) -> datetime:
        """Let nothing new be paid for; return since when that holds."""

        def begin(connection: Connection) -> datetime:
            self._database.one_at_a_time(connection)
            since = connection.execute(pauses.open_since()).scalar()
            if since is None:
                connection.execute(pauses.begin(now=now))
            return since or now

        return self._database.write(begin)

    def lift_pause(self, *, now: datetime) -> bool:
        """Let submissions go again; return whether there was a pause."""
        return self._database.write(
            lambda connection: connection.execute(pauses.lift(now=now)).rowcount > 0
        )

    # What was paid for from this place

    def reach(self) -> Reach | None:
        """Return how far the table has come; None: no run has been here."""
        found = self._all(runs.reach())
        return Reach(**found[0]._mapping) if found else None  # noqa: SLF001 - SQLAlchemy's documented name

    @property
    def complete_until(self) -> datetime | None:
        """Since when the table may lack what was paid for; None: nothing is known to be missing."""
        return self._database.read(complete_until) if self._database.is_sqlite else None

    def mark_as_old(self, until: datetime | None) -> None:
        """Note in the table itself since when it may lack what was paid for; None: all is there."""
        if self._database.is_sqlite:
            self._database.write(lambda connection: mark_as_old(connection, until))

    @property
    def origin(self) -> str | None:
        """Return what the table shares with its copies and with no other; None before a run."""
        found = self._all(digests.first())
        if not found:
            return None
        first = reading.run_of(found[0])
        told = f"{first.host} {first.pid} {first.started_at.isoformat()}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def remember_in(self, lock: RunnerLock, *others: Place) -> None:
        """Let the place of the table remember how far it has come, now and from now on.

        The ``others`` are told from now on. Raises ``TableUnusable``.
        """
        reach = self.reach()
        if reach is not None:
            lock.remember(reach)
            self._places = (lock, *others)

    def _remember(self, now: datetime, *, attempt_id: int | None = None) -> None:
        for place in self._places:
            # A note of what was not committed would make this very table look older than it is.
            self._database.after_commit(partial(place.advance, now, attempt_id=attempt_id))

    # Manifests

    def import_manifest(self, manifest: Manifest, *, now: datetime) -> Imported:
        """Put a manifest into the table; importing it again changes only what changed."""

        def put(connection: Connection) -> Imported:
            self._database.one_at_a_time(connection)
            return importing.import_manifest(
                connection, manifest, sqlite_dialect=self._database.is_sqlite, now=now
            )

        return self._database.write(put)

    def move_manifest(self, path: Path, to: Path) -> bool:
        """Note that a file that was imported lies elsewhere now; False: the table knows another."""

        def move(connection: Connection) -> bool:
            if connection.execute(imports.manifest_id(str(to.absolute()))).scalar() is not None:
                return False
            found = connection.execute(imports.manifest_id(str(path.absolute()))).scalar()
            if found is not None:
                connection.execute(imports.move_manifest(found, str(to.absolute())))
                connection.execute(retakes.move(found, str(to.absolute())))
            return True

        return self._database.write(move)

    def last_import(self) -> LastImport | None:
        """Return the import that came last, where its rows can be had without reading its file."""
        return self._database.read(importing.last_import)

    def run_settings(self, manifests: Iterable[Path] | None) -> list[str]:
        """Return what the last runs of these files went by, the latest first.

        None stands for all unfinished work.
        """
        paths = None if manifests is None else [str(path.absolute()) for path in manifests]
        query = imports.run_settings_of(paths)
        return self._database.read(lambda connection: list(connection.execute(query).scalars()))

    def keep_run_settings(self, manifest_ids: Collection[int] | None, text: str) -> None:
        """Note what a run of these manifests goes by; None stands for all unfinished work."""

        def keep(connection: Connection) -> None:
            connection.execute(imports.keep_run_settings(manifest_ids, text))

        self._database.write(keep)

    def compare(self, manifests: Sequence[Manifest], look: Callable[[Comparison], T]) -> T:
        """Return what is made of the manifests held against the table; nothing is changed."""

        def held(connection: Connection) -> T:
            with stage(connection, manifests, adding=False) as found:
                return look(Comparison(connection, manifests, renewed=found.renewed))

        return self._database.read(held)

    def lookup(self, keys: Iterable[str]) -> dict[str, Known]:
        """Return what the table knows of these keys."""

        def look(connection: Connection) -> dict[str, Known]:
            return {
                job.key: Known(
                    state=job.state,
                    price_usd=job.price_micro,
                    output_name=job.output_name,
                    error_type=job.error_type,
                )
                for chunk in chunks(wanted)
                for job in connection.execute(imports.known_jobs(chunk))
            }

        wanted = list(dict.fromkeys(keys))
        return self._database.read(look)

    def latest_clips(self, *, limit: int = PACE_CLIPS) -> list[Took]:
        """Return how long the latest clips took."""
        return [reading.took_of(row) for row in self._all(views.latest_clips(limit=limit))]

    # Frames

    def remembered_frames(self, paths: Iterable[str]) -> dict[str, SeenFrame]:
        """Return what the files at these paths were found to be, where anybody has looked."""

        def look(connection: Connection) -> dict[str, SeenFrame]:
            return {
                row.path: reading.seen_frame_of(row)
                for chunk in chunks(wanted)
                for row in connection.execute(frames.seen(chunk))
            }

        wanted = list(dict.fromkeys(paths))
        return self._database.read(look) if wanted else {}

    def remember_frames(self, found: Iterable[SeenFrame]) -> None:
        """Keep what files were found to be; of each path the latest counts."""
        statement = frames.remember(sqlite_dialect=self._database.is_sqlite)
        # In one order: two programs that keep the same paths must not wait for each other.
        values = [
            {
                "path": frame.path,
                "bytes": frame.file.bytes,
                "mtime_ns": frame.file.mtime_ns,
                "ctime_ns": frame.file.ctime_ns,
                "inode": str(frame.file.inode),
                "sha256": frame.sha256,
                "facts": dict(frame.facts),
                "looker": frame.looker,
            }
            for frame in sorted(found, key=lambda frame: frame.path)
        ]

        def keep(connection: Connection) -> None:
            for chunk in chunks(values):
                connection.execute(statement, chunk)

        if values:
            self._database.write(keep)

    # Work

    def claim(
        self,
        run_id: int,
        states: Collection[State],
        *,
        limit: int,
        now: datetime,
        manifests: Collection[int] | None = None,
        only: Collection[int] | None = None,
        closed: Collection[str] = (),
    ) -> list[Job]:
        """Lease jobs that are due: what is paid for first, then the most urgent.

        A waiting job that no manifest row asks for, and a submission in the air, are never
        taken. With ``manifests``, only jobs that their rows ask for; with ``only``, none but these.
        None of an endpoint that is ``closed`` is taken.
        """

        def take(connection: Connection) -> list[Job]:
            jobs: list[Job] = []
            for state in TAKEN_UP_IN_ORDER:
                if state not in states or len(jobs) >= limit:
                    continue
                claim = claims.claim(
                    run_id,
                    state,
                    limit=limit - len(jobs),
                    now=now,
                    until=now + LEASE,
                    manifests=manifests,
                    only=only,
                    closed=closed,
                )
                ids = connection.execute(*claim).scalars().all()
                if ids:
                    taken = connection.execute(work.jobs_with_attempt(), {"job_ids": ids})
                    jobs += map(reading.job_of, taken)
            return jobs

        return self._database.write(take)

    def canaries(self, manifests: Collection[int] | None, count: int) -> list[int]:
        """Return so many of the jobs that wait to be paid for: the first, the last, and between."""

        def choose(connection: Connection) -> list[int]:
            waiting = connection.execute(*claims.waiting_in_order(manifests)).scalars().all()
            last = len(waiting) - 1
            steps = max(count - 1, 1)
            places = {round(last * n / steps) for n in range(count)} if waiting else set()
            return [waiting[place] for place in sorted(places)]

        return self._database.read(choose)

    def begin_attempt(
        self,
        job: Job,
        intent: Intent,
        *,
        run_id: int,
        now: datetime,
        sent_at: datetime | None = None,
        periods: Sequence[PeriodLimit] = (),
    ) -> Job:
        """Write an intent down and reserve its price; what it returns may be submitted, once.

        ``sent_at`` is ``now`` by fal's clock, if that is known. Raises ``BudgetReached`` or
        ``LeaseLost``; then nothing has changed.
        """

        def begin(connection: Connection) -> Job:
            if periods:
                # Before any row is locked: an import takes the same two in the same order.
                self._database.one_at_a_time(connection)
            return transitions.begin_attempt(
                connection, job, intent, run_id=run_id, now=now, sent_at=sent_at, periods=periods
            )

        begun = self._database.write(begin)
        self._remember(now, attempt_id=begun.attempt_id)
        return begun

    def adopt(
        self,
        job: Job,
        intent: Intent,
        request: Request,
        *,
        run_id: int,
        sent_at: datetime,
        now: datetime,
    ) -> Job:
        """Give a waiting job a request that fal has accepted before, and return it ``submitted``.

        Its price is reserved in that run. Raises ``LeaseLost`` or ``ImpossibleTransition``; then
        nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.adopt(
                connection, job, intent, request, run_id=run_id, sent_at=sent_at, now=now
            )
        )

    def earlier_request(self, job: Job) -> Job | None:
        """Return a waiting job with the last request that it had at fal; None: it had none."""
        query = work.latest_request(job.id)
        found = self._database.read(lambda connection: connection.execute(query).first())
        return None if found is None else reading.with_request(job, found)

    def take_back(self, earlier: Job, *, run_id: int, now: datetime) -> Job:
        """Bring a job of ``earlier_request`` back to that request and return it ``submitted``.

        A price that was given back is reserved in this run. Raises ``BudgetReached`` or
        ``LeaseLost``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.take_back(connection, earlier, run_id=run_id, now=now)
        )

    def note_trouble(self, job: Job, failure: Failure, *, now: datetime) -> None:
        """Note why the result of a ``submitted`` job can't be read; raises ``LeaseLost``."""

        def note(connection: Connection) -> None:
            if connection.execute(work.note_trouble(job, failure, now=now)).rowcount != 1:
                raise LeaseLost(f"job {job.id} is no longer ours under fence {job.fence}")

        self._database.write(note)

    def clip_at(self, url: str, *, besides: int | None) -> str | None:
        """Return the name of a clip whose address this is, but for that of one attempt."""
        query = work.clip_at(url, besides=besides)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def transition(self, job: Job, outcome: Outcome, *, run_id: int, now: datetime) -> Job:
        """Write down what happened to a job and return it as it stands now.

        Raises ``LeaseLost`` or ``ImpossibleTransition``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.record(connection, job, outcome, run_id=run_id, now=now)
        )

    def settle(self, job: Job, outcome: Outcome, *, now: datetime) -> Job:
        """Write down what was found out about an uncertain or a failed job, whoever holds it.

        The run that held it, if one did, loses it. Raises ``LeaseLost`` where the job is no
        longer as it was read, and ``ImpossibleTransition``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.settle(connection, job, outcome, now=now)
        )

    def uncertain(self) -> list[Job]:
        """Return the jobs whose submission has an unknown outcome."""
        return [reading.job_of(row) for row in self._all(work.jobs_in(State.UNCERTAIN))]

    def jobs(self, job_ids: Collection[int]) -> list[Job]:
        """Return those of these jobs that there are, the most urgent first."""

        def look(connection: Connection) -> list[Job]:
            return [
                reading.job_of(row)
                for chunk in chunks(job_ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        return self._database.read(look)

    def requests_since(self, endpoint: str, since: datetime) -> list[OwnRequest]:
        """Return what the endpoint accepted from this table in submissions since then."""
        query = work.requests_since(endpoint, since)
        return [OwnRequest(**row._mapping) for row in self._all(query)]  # noqa: SLF001 - SQLAlchemy's documented name

    def owned(self, request_ids: Collection[str]) -> set[str]:
        """Return those of these requests that an attempt of the table owns."""

        def look(connection: Connection) -> set[str]:
            return {
                request_id
                for chunk in chunks(request_ids)
                for request_id in connection.execute(work.owned(chunk)).scalars()
            }

        return self._database.read(look)

    def waiting(self, endpoint: str, prompts: Collection[str]) -> list[Job]:
        """Return the jobs with one of these prompts that wait to be paid for."""

        def look(connection: Connection) -> list[Job]:
            return [
                reading.job_of(row)
                for chunk in chunks(prompts)
                for row in connection.execute(work.waiting(endpoint, chunk))
            ]

        return self._database.read(look)

    def release(self, job: Job, *, now: datetime, not_before: datetime | None = None) -> None:
        """Give a lease back and say when the job is due again; raises ``LeaseLost``."""
        if job.state is State.SUBMITTING:
            raise ImpossibleTransition("a submission in the air can't be given back")

        self._database.write(
            lambda connection: transitions.release(connection, job, now=now, not_before=not_before)
        )

    def lay_aside(self, job: Job, *, now: datetime, not_before: datetime) -> None:
        """Give back a job whose clip can't be fetched now; raises ``LeaseLost``.

        When that happened first is remembered, whatever else becomes of the job.
        """

        def put(connection: Connection) -> None:
            transitions.release(connection, job, now=now, not_before=not_before)
            connection.execute(work.note_unfetched(job, now=now))

        self._database.write(put)

    def miss(self, job_ids: Collection[int], *, now: datetime) -> set[int]:
        """Have clips fetched once more that are paid for and not here; return whose they are.

        Of a job that succeeded, or failed after its clip was made. Nothing is reserved or paid.
        """

        def look_for(connection: Connection) -> set[int]:
            missed: set[int] = set()
            for chunk in chunks(job_ids):
                for source in (State.SUCCEEDED, State.FAILED):
                    moved = connection.execute(work.miss_jobs(chunk, source, now=now))
                    ids = set(moved.scalars())
                    if ids:
                        connection.execute(work.miss_attempts(ids))
                    missed |= ids
            return missed

        return self._database.write(look_for)

    def next_due(
        self,
        states: Collection[State],
        *,
        now: datetime,
        manifests: Collection[int] | None = None,
    ) -> datetime | None:
        """Return when the next job that rests until then may be taken up; None: none rests."""

        def look(connection: Connection) -> datetime | None:
            found = [
                connection.execute(
                    *claims.earliest_due(state, now=now, manifests=manifests)
                ).scalar()
                for state in states
            ]
            return min((instant for instant in found if instant is not None), default=None)

        return self._database.read(look)

    def requeue(self, job_ids: Collection[int], *, now: datetime) -> int:
        """Bring failed and cancelled jobs back at a person's wish; return how many."""

        def bring_back(connection: Connection) -> int:
            return sum(
                connection.execute(
                    work.requeue_jobs(chunk, source, advance(source, Event.REQUEUED), now=now)
                ).rowcount
                for chunk in chunks(job_ids)
                for source in (State.FAILED, State.CANCELLED)
            )

        return self._database.write(bring_back)

    def cancel(self, job_ids: Collection[int], *, now: datetime) -> set[int]:
        """Drop those of these jobs that still wait to be paid for, and return which they were.

        A run that was making one of them ready loses it.
        """

        def drop(connection: Connection) -> set[int]:
            return {
                job_id
                for chunk in chunks(job_ids)
                for job_id in connection.execute(work.cancel_waiting(chunk, now=now)).scalars()
            }

        return self._database.write(drop)

    def retake(self, job_ids: Collection[int], *, now: datetime) -> list[Job]:
        """Add another take of each of these jobs that succeeded and that a row asks for."""

        def add(connection: Connection) -> list[Job]:
            self._database.one_at_a_time(connection)
            made = [retaking.retake(connection, job_id, now=now) for job_id in job_ids]
            return [transitions.read_job(connection, job_id) for job_id in made if job_id]

        return self._database.write(add)

    def retakes_of(self, manifests: Iterable[Path]) -> list[int]:
        """Return the manifests that hold the retakes of these files."""

        def look(connection: Connection) -> list[int]:
            return list(connection.execute(retakes.manifests_for(paths)).scalars())

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(look)

    # Uploads

    def upload_url(self, sha256: str, key_fingerprint: str, *, since: datetime) -> str | None:
        """Return where these bytes were uploaded with that key, if that was not before."""
        query = views.upload_url(sha256, key_fingerprint, since=since)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def remember_upload(
        self,
        *,
        sha256: str,
        key_fingerprint: str,
        url: str,
        bytes: int,  # noqa: A002 - as in the table
        now: datetime,
    ) -> None:
        """Keep the address of uploaded bytes."""
        statement = views.remember_upload(
            sqlite_dialect=self._database.is_sqlite,
            sha256=sha256,
            key_fingerprint=key_fingerprint,
            url=url,
            size=bytes,
            now=now,
        )

        def keep(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(keep)

    def forget_uploads(self, urls: Collection[str]) -> None:
        """Forget what was uploaded to these addresses: the next who needs it uploads it afresh."""
        statement = views.forget_uploads(urls)

        def forget(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(forget)

    # Views

    def counts(self, manifests: Collection[int] | None = None) -> dict[State, int]:
        """Return how many jobs are in each state, zeros included."""
        query = views.state_counts(manifests)

        def count(connection: Connection) -> dict[State, int]:
            return {row.state: row.jobs for row in connection.execute(query)}

        return dict.fromkeys(State, 0) | self._database.read(count)

    def money(self) -> Money:
        """Return where the money of the whole table stands."""
        query = views.money_by_fate()
        return reading.money_of(self._all(query))

    def kept_clips(self, jobs: Collection[int] | None = None) -> Iterator[KeptClip]:
        """Yield the clips of jobs that succeeded, or of these: the latest first, page by page."""
        if jobs is not None:
            for chunk in chunks(jobs):
                query = views.kept_clips().where(views.of_jobs(chunk))
                yield from (KeptClip(*each) for each in self._all(query))
            return
        before = None
        while page := self._all(views.latest_kept_clips(before=before, limit=PAGE)):
            yield from (KeptClip(*each[:-1]) for each in page)
            before = page[-1].number

    def unpaid(self, manifests: Collection[int] | None = None) -> list[Unpaid]:
        """Return what waits to be submitted, jobs alike together."""
        return [reading.unpaid_of(row) for row in self._all(views.unpaid(manifests))]

    def attention(self) -> list[Attention]:
        """Return the jobs that a person should look at.

        They are failed, uncertain, or paid for and can't be had for now.
        """
        query = views.needing_a_person()
        return [reading.attention_of(row) for row in self._all(query)]

    def selected(self, selection: Selection) -> list[Attention]:
        """Return the jobs that are meant."""
        query = views.selected(selection)
        return [reading.attention_of(row) for row in self._all(query)]

    def to_try_again(self, manifests: Iterable[Path], which: OldFailures) -> list[Job]:
        """Return the failed jobs of these files that are meant."""

        def look(connection: Connection) -> list[Job]:
            ids = connection.execute(views.failed_before(paths, which)).scalars().all()
            return [
                reading.job_of(row)
                for chunk in chunks(ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(look)

    def story(self, job: int | str) -> Story | None:
        """Return all that is known of the job with this number or this clip's name, if any."""

        def tell(connection: Connection) -> Story | None:
            found = (
                connection.execute(views.with_output_name(job)).scalar()
                if isinstance(job, str)
                else job
            )
            known = connection.execute(work.jobs_with_attempt(), {"job_ids": [found]}).first()
            if known is None:
                return None
            asking = connection.execute(views.asking_rows(known.id)).all()
            return reading.story_of(known, asking, connection.execute(views.attempts_of(known.id)))

        return self._database.read(tell)

    def export(self) -> Iterator[ExportRow]:
        """Yield every manifest row with what became of it, by manifest path and position.

        It reads page by page: a reader that takes its time never keeps a runner waiting.
        """
        for manifest_id in self._all(views.manifest_ids()):
            position = -1
            while page := self._all(*views.export_page(manifest_id.id, position, limit=PAGE)):
                yield from reading.export_rows_of(page)
                position = page[-1].position

    def extra_columns(self) -> list[str]:
        """Return the names that the ``extra`` of the export's rows may have.

        First those of the manifests, in their order, then those of the models' inputs.
        """
        names = [name for first in self._all(views.extra_of_first_rows()) for name in first.extra]
        asked = [json.loads(each.parameters) for each in self._all(views.different_parameters())]
        inputs = {name for each in asked for name in each} - {"duration"}
        return list(dict.fromkeys((*names, *sorted(inputs))))

    def _all(self, query: Select[Any], told: Mapping[str, Any] | None = None) -> Sequence[Any]:
        return self._database.read(lambda connection: connection.execute(query, told).all())
