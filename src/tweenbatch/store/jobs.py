"""Jobs at work: claimed, submitted, settled, given back. Every write is checked by its fence.

Every method is one whole transaction.
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
"""Which of several states a claim serves first: what is paid for goes before what is not.

A submission in the air is missing: it belongs to whoever sent it.
"""


class JobTable(TablePart):
    """Jobs at work: claimed, submitted, settled, given back; each write checks the fence."""

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

    def requests_since(self, endpoint: str, since: datetime) -> list[OwnRequest]:
        """Return what the endpoint accepted from this table in submissions since then."""
        query = work.requests_since(endpoint, since)
        return [reading.record_of(OwnRequest, row) for row in self._all(query)]

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
        self, states: Collection[State], *, now: datetime, manifests: Collection[int] | None = None
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

    def get(self, job_ids: Collection[int]) -> list[Job]:
        """Return those of these jobs that there are, the most urgent first."""

        def look(connection: Connection) -> list[Job]:
            return [
                reading.job_of(row)
                for chunk in chunks(job_ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        return self._database.read(look)
