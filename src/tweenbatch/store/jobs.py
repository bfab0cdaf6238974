"""Change jobs: claim, submit, resolve, release. The fence guards every write.

Each method is one transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tweenbatch.errors import LeaseLost
from tweenbatch.records import Failure, Intent, Job, Outcome, OwnRequest, PeriodLimit, Request
from tweenbatch.states import Event, ImpossibleTransition, State, advance
from tweenbatch.store import reading, retaking, transitions
from tweenbatch.store.engine import Database
from tweenbatch.store.part import TablePart
from tweenbatch.store.progress import ProgressListeners
from tweenbatch.store.staging import chunks
from tweenbatch.store.statements import claims, work
from tweenbatch.store.transitions import LEASE

TAKEN_UP_IN_ORDER = (State.READY, State.SUBMITTED, State.UNCERTAIN, State.PENDING)
"""The order of states in a claim: paid work comes first.

``SUBMITTING`` is missing: such a submission belongs to the run that sent it.
"""


class JobTable(TablePart):
    """Changes of jobs: claim, submit, resolve, release. The fence guards every write."""

    def __init__(self, database: Database, listeners: ProgressListeners) -> None:
        super().__init__(database)
        self._listeners = listeners

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
        """Lease due jobs: paid ones first, then by priority.

        It skips submissions in progress, waiting jobs without a manifest row, and endpoints that
        are ``closed``. ``manifests`` limits it to jobs of their rows, ``only`` to these jobs.
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
        """Choose this many waiting jobs, evenly spread: the first, the last and some between."""

        def choose(connection: Connection) -> list[int]:
            waiting = connection.execute(*claims.waiting_in_order(manifests)).scalars().all()
            last = len(waiting) - 1
            steps = max(count - 1, 1)
            indexes = {round(last * n / steps) for n in range(count)} if waiting else set()
            return [waiting[index] for index in sorted(indexes)]

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
        """Record an intent and reserve its price; the returned job may be submitted once.

        ``sent_at`` is the current time of fal's clock, if known. Raises ``BudgetReached`` or
        ``LeaseLost``; then nothing has changed.
        """

        def begin(connection: Connection) -> Job:
            if periods:
                # Before any row lock: an import takes both locks in the same order.
                self._database.one_at_a_time(connection)
            return transitions.begin_attempt(
                connection, job, intent, run_id=run_id, now=now, sent_at=sent_at, periods=periods
            )

        begun = self._database.write(begin)
        self._listeners.notify(now, attempt_id=begun.attempt_id)
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
        """Give a waiting job a request that fal already accepted; it becomes ``submitted``.

        Its price is reserved in that run. Raises ``LeaseLost`` or ``ImpossibleTransition``; then
        nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.adopt(
                connection, job, intent, request, run_id=run_id, sent_at=sent_at, now=now
            )
        )

    def earlier_request(self, job: Job) -> Job | None:
        """Return a waiting job with its last request at fal, or None."""
        query = work.latest_request(job.id)
        found = self._database.read(lambda connection: connection.execute(query).first())
        return None if found is None else reading.with_request(job, found)

    def take_back(self, earlier: Job, *, run_id: int, now: datetime) -> Job:
        """Return a job of ``earlier_request`` to that request; it becomes ``submitted``.

        A released price is reserved again, in this run. Raises ``BudgetReached`` or
        ``LeaseLost``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.take_back(connection, earlier, run_id=run_id, now=now)
        )

    def note_trouble(self, job: Job, failure: Failure, *, now: datetime) -> None:
        """Record why the result of a ``submitted`` job can't be read; raises ``LeaseLost``."""

        def note(connection: Connection) -> None:
            if connection.execute(work.note_trouble(job, failure, now=now)).rowcount != 1:
                raise LeaseLost(
                    f"this run no longer has the lease of job {job.id} (fence {job.fence})"
                )

        self._database.write(note)

    def clip_at(self, url: str, *, besides: int | None) -> str | None:
        """Return the name of another attempt's clip with this URL, if any."""
        query = work.clip_at(url, besides=besides)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def transition(self, job: Job, outcome: Outcome, *, run_id: int, now: datetime) -> Job:
        """Record the outcome of a job's stage and return the job.

        Raises ``LeaseLost`` or ``ImpossibleTransition``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.record(connection, job, outcome, run_id=run_id, now=now)
        )

    def settle(self, job: Job, outcome: Outcome, *, now: datetime) -> Job:
        """Record the resolution of an uncertain or failed job, regardless of its lease.

        A run that held the job loses it. Raises ``LeaseLost`` if the job has changed since it was
        read, or ``ImpossibleTransition``; then nothing has changed.
        """
        return self._database.write(
            lambda connection: transitions.settle(connection, job, outcome, now=now)
        )

    def uncertain(self) -> list[Job]:
        """Return the jobs whose submission has an unknown outcome."""
        return [reading.job_of(row) for row in self._all(work.jobs_in(State.UNCERTAIN))]

    def requests_since(self, endpoint: str, since: datetime) -> list[OwnRequest]:
        """Return the accepted requests of this table at the endpoint since then."""
        query = work.requests_since(endpoint, since)
        return [reading.record_of(OwnRequest, row) for row in self._all(query)]

    def owned(self, request_ids: Collection[str]) -> set[str]:
        """Return the requests among these that belong to an attempt of the table."""

        def look(connection: Connection) -> set[str]:
            return {
                request_id
                for chunk in chunks(request_ids)
                for request_id in connection.execute(work.owned(chunk)).scalars()
            }

        return self._database.read(look)

    def waiting(self, endpoint: str, prompts: Collection[str]) -> list[Job]:
        """Return the waiting jobs with one of these prompts."""

        def look(connection: Connection) -> list[Job]:
            return [
                reading.job_of(row)
                for chunk in chunks(prompts)
                for row in connection.execute(work.waiting(endpoint, chunk))
            ]

        return self._database.read(look)

    def release(self, job: Job, *, now: datetime, not_before: datetime | None = None) -> None:
        """Release a lease and set when the job is due again; raises ``LeaseLost``."""
        if job.state is State.SUBMITTING:
            raise ImpossibleTransition("a submission in progress can't be released")

        self._database.write(
            lambda connection: transitions.release(connection, job, now=now, not_before=not_before)
        )

    def lay_aside(self, job: Job, *, now: datetime, not_before: datetime) -> None:
        """Release a job whose clip can't be downloaded now; raises ``LeaseLost``.

        The time of the first such failure is kept.
        """

        def release(connection: Connection) -> None:
            transitions.release(connection, job, now=now, not_before=not_before)
            connection.execute(work.note_unfetched(job, now=now))

        self._database.write(release)

    def miss(self, job_ids: Collection[int], *, now: datetime) -> set[int]:
        """Queue missing paid clips for download again, at no cost; return their jobs.

        The jobs succeeded, or failed after their clip was made.
        """

        def miss(connection: Connection) -> set[int]:
            missed: set[int] = set()
            for chunk in chunks(job_ids):
                for source in (State.SUCCEEDED, State.FAILED):
                    moved = connection.execute(work.miss_jobs(chunk, source, now=now))
                    ids = set(moved.scalars())
                    if ids:
                        connection.execute(work.miss_attempts(ids))
                    missed |= ids
            return missed

        return self._database.write(miss)

    def next_due(
        self, states: Collection[State], *, now: datetime, manifests: Collection[int] | None = None
    ) -> datetime | None:
        """Return when the next delayed job is due, or None."""

        def look(connection: Connection) -> datetime | None:
            instants = [
                connection.execute(
                    *claims.earliest_due(state, now=now, manifests=manifests)
                ).scalar()
                for state in states
            ]
            return min((instant for instant in instants if instant is not None), default=None)

        return self._database.read(look)

    def requeue(self, job_ids: Collection[int], *, now: datetime) -> int:
        """Put failed and cancelled jobs back into the queue; return their number."""

        def requeue(connection: Connection) -> int:
            return sum(
                connection.execute(
                    work.requeue_jobs(chunk, source, advance(source, Event.REQUEUED), now=now)
                ).rowcount
                for chunk in chunks(job_ids)
                for source in (State.FAILED, State.CANCELLED)
            )

        return self._database.write(requeue)

    def cancel(self, job_ids: Collection[int], *, now: datetime) -> set[int]:
        """Cancel the waiting jobs among these and return them.

        A run that is preparing one of them loses it.
        """

        def drop(connection: Connection) -> set[int]:
            return {
                job_id
                for chunk in chunks(job_ids)
                for job_id in connection.execute(work.cancel_waiting(chunk, now=now)).scalars()
            }

        return self._database.write(drop)

    def retake(self, job_ids: Collection[int], *, now: datetime) -> list[Job]:
        """Add another take of each successful job among these that still has a row."""

        def add(connection: Connection) -> list[Job]:
            self._database.one_at_a_time(connection)
            made = [retaking.retake(connection, job_id, now=now) for job_id in job_ids]
            return [transitions.read_job(connection, job_id) for job_id in made if job_id]

        return self._database.write(add)

    def get(self, job_ids: Collection[int]) -> list[Job]:
        """Return the existing jobs among these, by priority."""

        def look(connection: Connection) -> list[Job]:
            return [
                reading.job_of(row)
                for chunk in chunks(job_ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        return self._database.read(look)
