"""The history of one job: as lines for a person and as JSON for a program."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from tweenbatch.records import Attempt, Billed, JobHistory
from tweenbatch.report.text import SENTENCE_WIDTH, plain, usd
from tweenbatch.states import IDENTIFIED, State

LEFT_AT_FAL = frozenset(
    {"given_up", "paid_but_lost", "paid_unreadable", "result_unreadable", "unknown_error"}
)
"""Types of failures after which fal may still have the clip."""

_NEXT = {
    State.PENDING: "tweenbatch run  (submits it)",
    State.SUBMITTING: "tweenbatch run  (finds out whether fal accepted it)",
    State.UNCERTAIN: "tweenbatch run  (looks it up; or tweenbatch resolve {id})",
    State.SUBMITTED: "tweenbatch run  (collects it, at no cost)",
    State.READY: "tweenbatch run  (downloads it, at no cost)",
    State.FAILED: "tweenbatch retry {id}  (queues it again, for {price})",
    State.CANCELLED: "tweenbatch retry {id} --state cancelled  (queues it again)",
}

_BILLED = {Billed.YES: "paid", Billed.NO: "not billed", Billed.UNKNOWN: "perhaps paid"}


def lines(story: JobHistory) -> Iterator[str]:
    """Yield the job's rows and content, each attempt, and the next steps, in order."""
    job = story.job
    yield f"job {job.id}  {job.output_name}  {job.state}"
    for row in story.asked_by:
        yield f"  asked by   {row.manifest}, row {row.row} ({row.name})"
    if not story.asked_by:
        yield "  asked by   no manifest: its row was removed"
    yield f"  prompt     {plain(job.spec.prompt, width=SENTENCE_WIDTH)}"
    end = job.spec.end.source if job.spec.end else "no end frame"
    yield f"  frames     {job.spec.start.source} to {end}"
    given = ", ".join(f"{name} {value}" for name, value in sorted(job.spec.parameters.items()))
    yield f"  model      {job.spec.endpoint}{f', {given}' if given else ''}, take {job.spec.take}"
    yield f"  price      {usd(job.price_usd)}"
    yield f"  imported   {_time(story.created_at)}"
    for attempt in story.attempts:
        yield from _attempt_lines(attempt)
    if story.error is not None:
        yield f"  error      {plain(story.error, width=SENTENCE_WIDTH)}"
    if job.not_before is not None:
        yield f"  waits      until {_time(job.not_before)}"
    for number, step in enumerate(_next_steps(story)):
        yield f"  {'or' if number else 'next':<11}{step}"


def _next_steps(story: JobHistory) -> Iterator[str]:
    """Yield the possible next commands, the free ones first."""
    job = story.job
    may_be_there = bool(story.attempts) and story.attempts[-1].error_type in LEFT_AT_FAL
    if job.state is State.FAILED and job.billed is Billed.YES and job.video is not None:
        yield f"tweenbatch fetch {job.id}  (downloads the clip again, at no cost)"
    elif job.state is State.FAILED and may_be_there and job.request is not None:
        yield f"tweenbatch resolve {job.id} --read-again  (collects it if fal has it, at no cost)"
    if job.state in _NEXT:
        yield _NEXT[job.state].format(id=job.id, price=usd(job.price_usd))
    if story.error is not None and job.state in IDENTIFIED:
        yield f"tweenbatch resolve {job.id} --give-up  (its price counts as spent)"


def _attempt_lines(attempt: Attempt) -> Iterator[str]:
    money = "reserved" if attempt.billed is None else _BILLED[attempt.billed]
    yield (
        f"  attempt {attempt.number}  {_time(attempt.started_at)} in run {attempt.run_id}: "
        f"{attempt.outcome}, {usd(attempt.price_usd)} {money}"
    )
    if attempt.request_id is not None:
        yield f"    request  {plain(attempt.request_id)}"
    if attempt.accepted_at is not None:
        ended = f", ended {_time(attempt.finished_at)}" if attempt.finished_at else ""
        yield f"    accepted {_time(attempt.accepted_at)}{ended}"
    if attempt.error_type is not None:
        status = f" (HTTP {attempt.http_status})" if attempt.http_status else ""
        error = f"{attempt.error_type}: {attempt.error_message or ''}{status}"
        yield f"    error    {plain(error, width=SENTENCE_WIDTH)}"
    if attempt.path is not None:
        yield (
            f"    file     {attempt.path}, {attempt.bytes:,} bytes, "
            f"{attempt.width}x{attempt.height}, {attempt.seconds:g} s"
        )
        yield f"    sha256   {attempt.sha256}"


def shape(story: JobHistory) -> dict[str, Any]:
    """Return the shape of ``show --json``."""
    job = story.job
    return {
        "job": job.id,
        "name": job.output_name,
        "state": str(job.state),
        "asked_by": [asdict(row) for row in story.asked_by],
        "endpoint": job.spec.endpoint,
        "prompt": job.spec.prompt,
        "start_image": job.spec.start.source,
        "end_image": job.spec.end.source if job.spec.end else None,
        "parameters": dict(job.spec.parameters),
        "take": job.spec.take,
        "price": float(job.price_usd),
        "error": story.error,
        "created_at": story.created_at.isoformat(),
        "finished_at": story.finished_at.isoformat() if story.finished_at else None,
        "attempts": [_plain(asdict(attempt)) for attempt in story.attempts],
    }


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    facts["price"] = facts.pop("price_usd")
    return {name: _json_value(value) for name, value in facts.items()}


def _json_value(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat()
        case Enum():
            return str(value)
        case _:
            return value


def _time(instant: datetime) -> str:
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S}"
