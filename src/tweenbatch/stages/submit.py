"""Submit a job: the one POST that spends money, and the meaning of its answer."""

from tweenbatch.errors import FalError, OutcomeUnknown, Refused
from tweenbatch.fal import Fal
from tweenbatch.records import Billed, Failure, Job, Outcome
from tweenbatch.states import Event


async def submit(job: Job, *, fal: Fal) -> Outcome:
    """Send the recorded intent of a ``submitting`` job, once.

    Raises ``NotSent``, ``AccountRefused`` and ``OutcomeUnknown``: these concern all submissions,
    not only this job.
    """
    assert job.arguments is not None
    try:
        request = await fal.submit(job.spec.endpoint, job.arguments)
    except Refused as error:
        failure = Failure(
            type=error.error_type,
            message=str(error),
            http_status=error.http_status,
            retryable=False,
            billed=Billed.NO,
        )
        return Outcome(event=Event.GAVE_UP, failure=failure)
    return Outcome(event=Event.ACCEPTED, request=request)


def outcome_unknown(error: OutcomeUnknown) -> Outcome:
    """Return the outcome of a submission that may have been accepted."""
    text = f"{error}: {error.body}" if error.body else str(error)
    failure = Failure(type="outcome_unknown", message=text, http_status=error.http_status)
    return Outcome(event=Event.OUTCOME_UNKNOWN, failure=failure)


def not_accepted(error: FalError, *, http_status: int | None = None) -> Outcome:
    """Return the outcome of a submission that provably cost nothing."""
    failure = Failure(
        type="not_accepted", message=str(error), http_status=http_status, billed=Billed.NO
    )
    return Outcome(event=Event.NOT_ACCEPTED, failure=failure, counts=False)
