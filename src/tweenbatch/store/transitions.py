"""Moving one job: its row, its attempt and its money, in one transaction."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from tweenbatch.errors import BudgetReached, LeaseLost
from tweenbatch.records import Billed, Failure, Intent, Job, Outcome, PeriodLimit, Request
from tweenbatch.states import AT_FAL, FINAL, Event, ImpossibleTransition, State, advance
from tweenbatch.store.attempts import AFTER, CONCLUDED, billed_after
from tweenbatch.store.reading import job_of, job_with_attempt
from tweenbatch.store.refusals import is_duplicate
from tweenbatch.store.statements import runs, work

LEASE = timedelta(seconds=60)

_NEEDED = {
    Event.ACCEPTED: "request",
    Event.REOPENED: "request",
    Event.GENERATED: "video",
    Event.FETCHED: "artifact",
}
"""The fact without which the event means nothing."""

SETTLED_FROM_OUTSIDE = frozenset({State.UNCERTAIN, State.FAILED})
"""What a look at fal's history, a witness or a person may settle, whoever holds the job."""

SETTLED_BY_A_PERSON = frozenset(
    {
        (State.SUBMITTED, Event.CANCELLED),
        (State.SUBMITTED, Event.GAVE_UP),
        (State.READY, Event.GAVE_UP),
    }
)
"""What only a person may settle who had a request stopped, or whose clip can't be had."""

_UNLEASED = FINAL | {State.PENDING, State.UNCERTAIN}
"""Reaching one of these, a job is given back."""


def begin_attempt(
    connection: Connection,
    job: Job,
    intent: Intent,
    *,
    run_id: int,
    now: datetime,
    sent_at: datetime | None = None,
    periods: Sequence[PeriodLimit] = (),
) -> Job:
    """Write the intent down and reserve its price; raises ``BudgetReached`` or ``LeaseLost``."""
    values = {
        "state": advance(job.state, Event.SUBMIT_STARTED),
        "attempt": job.attempt + 1,
        "lease_until": now + LEASE,
        "not_before": None,
        "error_type": None,
        "error_message": None,
        "updated_at": now,
    }
    moved = _move(connection, job, run_id=run_id, values=values)
    if connection.execute(*runs.reserve(run_id, intent.price_usd)).rowcount != 1:
        raise BudgetReached(
            f"the next submission costs ${intent.price_usd} and would pass this run's limit",
            option="--max-cost",
        )
    for period in periods:
        _refuse_beyond(connection, period, intent.price_usd)
    digest = hashlib.sha256(intent.payload.encode()).hexdigest()
    opened = work.open_attempt(
        job, intent, digest=digest, run_id=run_id, now=now if sent_at is None else sent_at
    )
    return job_with_attempt(moved, connection.execute(*opened).one())


def _refuse_beyond(connection: Connection, period: PeriodLimit, price_usd: Decimal) -> None:
    """Raise ``BudgetReached`` where the price would pass the period's limit."""
    committed = connection.execute(runs.committed_since(period.begins)).scalar() or Decimal(0)
    if committed + price_usd > period.usd:
        raise BudgetReached(
            f"the next submission costs ${price_usd} and ${committed} of the ${period.usd} of "
            f"{period.option} is spent or reserved",
            option=period.option,
            until=period.ends,
        )


def record(
    connection: Connection, job: Job, outcome: Outcome, *, run_id: int, now: datetime
) -> Job:
    """Write down what happened to the job; raises ``LeaseLost``, ``ImpossibleTransition``."""
    if outcome.event is Event.REOPENED:
        raise ImpossibleTransition("a failed job is reopened from outside of any run")
    values = _job_update(job, outcome, now=now)
    moved = _move(connection, job, run_id=run_id, values=values)
    if job.state not in AT_FAL:
        return read_job(connection, job.id)
    return job_with_attempt(moved, _record_attempt(connection, job, outcome, now=now))


def adopt(
    connection: Connection,
    job: Job,
    intent: Intent,
    request: Request,
    *,
    run_id: int,
    sent_at: datetime,
    now: datetime,
) -> Job:
    """Take a waiting job the whole way to ``submitted``, with a request that fal has already.

    Raises ``LeaseLost``, or ``ImpossibleTransition`` where another attempt has the request.
    """
    if connection.execute(work.lease_job(job, run_id, until=now + LEASE)).rowcount != 1:
        raise LeaseLost(f"job {job.id} is no longer {job.state}, and free, under fence {job.fence}")
    leased = read_job(connection, job.id)
    begun = begin_attempt(connection, leased, intent, run_id=run_id, now=sent_at)
    accepted = Outcome(event=Event.ACCEPTED, request=request)
    adopted = record(connection, begun, accepted, run_id=run_id, now=sent_at)
    connection.execute(work.release_job(adopted, now=now, not_before=None))
    return read_job(connection, job.id)


def take_back(connection: Connection, earlier: Job, *, run_id: int, now: datetime) -> Job:
    """Bring a waiting job that we hold back to the attempt whose request it is given with.

    It takes the same way as if that had been submitted now. Raises ``BudgetReached`` where its
    price was given back and does not fit into this run any more, or ``LeaseLost``.
    """
    assert earlier.attempt_id is not None
    attempt = connection.execute(work.read_attempt(earlier.attempt_id)).one()
    # The attempt is the latest again, whatever was refused since then.
    number = earlier.attempt if attempt.number == earlier.attempt else earlier.attempt + 1
    moved = _move(
        connection,
        earlier,
        run_id=run_id,
        values={
            "state": advance(advance(earlier.state, Event.SUBMIT_STARTED), Event.ACCEPTED),
            "attempt": number,
            "not_before": None,
            "error_type": None,
            "error_message": None,
            "updated_at": now,
        },
    )
    values: dict[str, Any] = {
        "number": number,
        "outcome": AFTER[Event.ACCEPTED],
        "billed": attempt.billed,
        "finished_at": None,
        "video_url": None,
        "video_bytes": None,
        "video_content_type": None,
    }
    if attempt.billed is Billed.NO:
        if connection.execute(*runs.reserve(run_id, attempt.price_micro)).rowcount != 1:
            raise BudgetReached(
                f"a clip that fal made after all costs ${attempt.price_micro} and would pass this "
                "run's limit",
                option="--max-cost",
            )
        values |= {"billed": None, "run_id": run_id}
    recorded = connection.execute(*work.record_attempt(earlier.attempt_id, values)).one()
    return job_with_attempt(moved, recorded)


def settle(connection: Connection, job: Job, outcome: Outcome, *, now: datetime) -> Job:
    """Write down what was found out about a job that needs no owner for it.

    Raises ``LeaseLost`` or ``ImpossibleTransition``.
    """
    by_a_person = (job.state, outcome.event) in SETTLED_BY_A_PERSON
    may_be_settled = by_a_person or job.state in SETTLED_FROM_OUTSIDE
    if not may_be_settled or outcome.event is Event.REQUEUED:
        raise ImpossibleTransition(f"{outcome.event} is not for a job that is {job.state}")
    values = _job_update(job, outcome, now=now)
    if job.state is State.FAILED and job.billed in {None, Billed.NO}:
        raise ImpossibleTransition(f"nothing was paid for job {job.id}: there is nothing to read")
    if connection.execute(work.settle_job(job, values=values)).rowcount != 1:
        raise LeaseLost(f"job {job.id} is no longer {job.state} under fence {job.fence}")
    _record_attempt(connection, job, outcome, now=now)
    return read_job(connection, job.id)


def release(
    connection: Connection, job: Job, *, now: datetime, not_before: datetime | None
) -> None:
    """Give a lease back; raises ``LeaseLost``."""
    statement = work.release_job(job, now=now, not_before=not_before)
    if connection.execute(statement).rowcount != 1:
        raise LeaseLost(f"job {job.id} is no longer ours under fence {job.fence}")


def _job_update(job: Job, outcome: Outcome, *, now: datetime) -> dict[str, Any]:
    """Return what the job's row says after the outcome; raises ``ImpossibleTransition``."""
    target = advance(job.state, outcome.event)
    _refuse_incomplete(outcome)
    if outcome.event is Event.UNAVAILABLE and job.kept is None:
        raise ImpossibleTransition(f"the clip of job {job.id} never came home")
    return _job_values(job, outcome, target, now=now)


def read_job(connection: Connection, job_id: int) -> Job:
    """Return the job as it stands now."""
    return job_of(connection.execute(work.jobs_with_attempt(), {"job_ids": [job_id]}).one())


def _refuse_incomplete(outcome: Outcome) -> None:
    if outcome.event is Event.SUBMIT_STARTED:
        raise ImpossibleTransition("only begin_attempt starts a submission: it needs an intent")
    if outcome.event is Event.MISSED:
        raise ImpossibleTransition("what is missed is looked for outside of any run: Store.miss")
    fact = _NEEDED.get(outcome.event)
    if fact is not None and getattr(outcome, fact) is None:
        raise ValueError(f"{outcome.event} needs its {fact}")


def _move(connection: Connection, job: Job, *, run_id: int, values: dict[str, Any]) -> Row[Any]:
    moved = connection.execute(*work.move_job(job, run_id=run_id, values=values)).one_or_none()
    if moved is None:
        raise LeaseLost(
            f"job {job.id} is no longer {job.state} under fence {job.fence} of run {run_id}"
        )
    return moved


def _job_values(job: Job, outcome: Outcome, target: State, *, now: datetime) -> dict[str, Any]:
    failure = outcome.failure
    if failure is None and target is State.FAILED:
        failure = Failure(type="gave_up", message="")
    values: dict[str, Any] = {
        "state": target,
        "not_before": outcome.not_before,
        "error_type": failure.type if failure else None,
        "error_message": failure.message if failure else None,
        "finished_at": _finished_at(job, target, now=now) if target in FINAL else None,
        "updated_at": now,
    }
    if target in _UNLEASED:
        values |= {"leased_by": None, "lease_until": None}
    if outcome.event is Event.RETRY and outcome.counts:
        values["tries"] = job.tries + 1
    if outcome.event is Event.REQUEUED:
        values |= work.fresh_start(now) | {"fence": job.fence + 1}
    return values


def _finished_at(job: Job, target: State, *, now: datetime) -> datetime:
    """Return when the job ended: of a clip that was fetched once more, when it came first."""
    return job.kept.kept_at if job.kept and target is State.SUCCEEDED else now


def _record_attempt(
    connection: Connection, job: Job, outcome: Outcome, *, now: datetime
) -> Row[Any]:
    attempt = connection.execute(*work.latest_attempt(job)).one()
    billed = billed_after(outcome.event, outcome.failure, attempt.billed)
    ended_at = _finished_at(job, advance(job.state, outcome.event), now=now)
    values = _attempt_values(outcome, billed, now=now, ended_at=ended_at)
    charged, reserved = outcome.charged_usd, attempt.price_micro
    if charged is not None and charged > reserved and billed is not Billed.NO:
        values["price_micro"] = charged
        connection.execute(runs.charge_more(attempt.run_id, charged - reserved))
    try:
        recorded = connection.execute(*work.record_attempt(attempt.id, values)).one()
    except IntegrityError as error:
        if outcome.request is None or not is_duplicate(error):
            raise
        raise ImpossibleTransition(
            f"request {outcome.request.request_id} can't be job {job.id}'s: another attempt has it"
        ) from error
    if outcome.artifact is not None:
        artifact = outcome.artifact
        if job.kept is None:
            kept = work.keep_artifact(artifact, job_id=job.id, attempt_id=attempt.id, now=now)
            connection.execute(*kept)
        else:
            connection.execute(*work.replace_artifact(artifact, attempt_id=attempt.id))
    if billed is Billed.NO and attempt.billed is not Billed.NO:
        connection.execute(runs.give_back(attempt.run_id, attempt.price_micro))
    return recorded


def _attempt_values(
    outcome: Outcome, billed: Billed | None, *, now: datetime, ended_at: datetime
) -> dict[str, Any]:
    fate = AFTER[outcome.event]
    values: dict[str, Any] = {
        "outcome": fate,
        "billed": billed,
        "finished_at": ended_at if fate in CONCLUDED else None,
    }
    if outcome.request is not None:
        values |= {
            "request_id": outcome.request.request_id,
            "status_url": outcome.request.status_url,
            "response_url": outcome.request.response_url,
            "cancel_url": outcome.request.cancel_url,
        }
    if outcome.event in {Event.ACCEPTED, Event.REOPENED}:
        values["accepted_at"] = now
    if outcome.event is Event.FETCHED:
        values["unfetched_since"] = None
    if outcome.event is Event.REOPENED:
        values |= {"video_url": None, "video_bytes": None, "video_content_type": None}
    if outcome.video is not None:
        values |= {
            "video_url": outcome.video.url,
            "video_bytes": outcome.video.bytes,
            "video_content_type": outcome.video.content_type,
        }
    # A clip that is no longer there says nothing of the attempt that made it.
    if outcome.failure is not None and outcome.event is not Event.UNAVAILABLE:
        values |= {
            "http_status": outcome.failure.http_status,
            "error_type": outcome.failure.type,
            "error_message": outcome.failure.message,
        }
    return values
