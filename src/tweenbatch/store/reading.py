"""What the table says, as records."""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tweenbatch.records import (
    AskedBy,
    Attempt,
    Billed,
    CachedFrame,
    ClipDuration,
    EarlierRow,
    ExportRow,
    FileState,
    Frame,
    Job,
    JobHistory,
    JobNeedingAttention,
    JobSpec,
    KeptClip,
    Money,
    PendingGroup,
    RemoteVideo,
    Request,
    Run,
    SlowClip,
)
from tweenbatch.records.manifest import JobKind, Row
from tweenbatch.states import State
from tweenbatch.store.attempts import AttemptOutcome

_PARAMETERS = 10
"""Where they stand in a line of the export: in place of the duration, behind the position."""

SLOWEST = 3
"""How many of the clips that took longest are told of."""


def job_of(row: Any, attempt: Any = None) -> Job:
    """Return the job; what its attempt says counts only while the job is not waiting for one.

    Without an ``attempt`` of its own the row tells of both, and of the clip.
    """
    attempt = row if attempt is None else attempt
    tried = row.state is not State.PENDING
    return Job(
        id=row.id,
        key=row.key,
        spec=spec_of(row),
        state=row.state,
        output_name=row.output_name,
        price_usd=row.price_micro,
        attempt=row.attempt,
        tries=row.tries,
        fence=row.fence,
        not_before=row.not_before,
        arguments=json.loads(attempt.payload) if tried and attempt.payload is not None else None,
        request=_request_of(attempt) if tried else None,
        accepted_at=attempt.accepted_at if tried else None,
        video=_video_of(attempt) if tried else None,
        attempt_id=attempt.attempt_id if tried else None,
        sent_at=attempt.started_at if tried else None,
        key_fingerprint=attempt.key_fingerprint if tried else None,
        billed=attempt.billed if tried else None,
        kept=_kept_of(row) if tried and attempt is row else None,
        unfetched_since=attempt.unfetched_since if tried else None,
    )


def _kept_of(row: Any) -> KeptClip | None:
    if row.clip_path is None:
        return None
    return KeptClip(
        job_id=row.id,
        name=row.output_name,
        path=row.clip_path,
        bytes=row.clip_bytes,
        sha256=row.clip_sha256,
        kept_at=row.clip_kept_at,
    )


def with_request(job: Job, attempt: Any) -> Job:
    """Return a job with what one of its attempts has at fal."""
    return replace(
        job,
        request=_request_of(attempt),
        accepted_at=attempt.accepted_at,
        video=_video_of(attempt),
        attempt_id=attempt.attempt_id,
        sent_at=attempt.started_at,
        key_fingerprint=attempt.key_fingerprint,
        billed=attempt.billed,
    )


def spec_of(row: Any) -> JobSpec:
    """Return the content of a job."""
    return JobSpec(
        endpoint=row.endpoint,
        prompt=row.prompt,
        start=Frame(source=row.start_source, sha256=row.start_sha256),
        end=None if row.end_source is None else Frame(source=row.end_source, sha256=row.end_sha256),
        parameters=row.parameters,
        take=row.take,
    )


def row_of(row: Any) -> Row:
    """Return a staged row of a manifest."""
    return Row(
        number=row.number,
        name=row.name,
        key=row.key,
        kind=JobKind(endpoint=row.endpoint, parameters=row.parameters, price_usd=row.price_micro),
        take=row.take,
        prompt=row.prompt,
        start_source=row.start_source,
        start_sha256=row.start_sha256,
        end_source=row.end_source,
        end_sha256=row.end_sha256,
        start_image=row.start_image,
        end_image=row.end_image,
        priority=row.priority,
        tags=tuple(row.tags),
        extra_json=json.dumps(row.extra),
        output=row.wanted_name,
    )


def _request_of(row: Any) -> Request | None:
    if row.request_id is None:
        return None
    return Request(
        request_id=row.request_id,
        status_url=row.status_url,
        response_url=row.response_url,
        cancel_url=row.cancel_url,
    )


def _video_of(row: Any) -> RemoteVideo | None:
    if row.video_url is None:
        return None
    return RemoteVideo(
        url=row.video_url, bytes=row.video_bytes, content_type=row.video_content_type
    )


def earlier_row_of(row: Any) -> EarlierRow:
    """Return a row of the last import."""
    return EarlierRow(
        number=row.number,
        name=row.name,
        take=row.row_take,
        key=row.key,
        state=row.state,
        price_usd=row.price_micro,
        start_image=row.start_image,
        end_image=row.end_image,
        spec=spec_of(row),
    )


def clip_duration_of(row: Any) -> ClipDuration:
    """Return how long a clip took; a clock that was set back makes no time negative."""
    seconds = (row.finished_at - row.accepted_at).total_seconds()
    return ClipDuration(endpoint=row.endpoint, seconds=max(seconds, 0.0))


def export_rows_of(page: Sequence[Sequence[Any]]) -> Iterator[ExportRow]:
    """Yield lines of the export; their values stand in the order of its columns."""
    # The own columns of all lines are read as one list, which saves a call for each.
    every_own = json.loads(f"[{','.join(row[-1] for row in page)}]")
    for row, own in zip(page, every_own, strict=True):
        duration, inputs = _inputs(row[_PARAMETERS])
        # Behind a person's own columns stand those of the model's inputs that have no fixed place.
        extra = {**own, **inputs} if inputs else own
        yield ExportRow._make((*row[1:_PARAMETERS], duration, *row[_PARAMETERS + 1 : -1], extra))


@lru_cache
def _inputs(parameters: str) -> tuple[str | None, dict[str, str]]:
    """Return the duration and the other inputs of a model, which thousands of rows share."""
    inputs = json.loads(parameters)
    return inputs.pop("duration", None), inputs


def cached_frame_of(row: Any) -> CachedFrame:
    """Return what an image file was found to be."""
    return CachedFrame(
        path=row.path,
        file=FileState(
            bytes=row.bytes, mtime_ns=row.mtime_ns, ctime_ns=row.ctime_ns, inode=int(row.inode)
        ),
        sha256=row.sha256,
        facts=row.facts,
        inspector_version=row.looker,
    )


def job_needing_attention_of(row: Any) -> JobNeedingAttention:
    """Return a job that a person should look at."""
    return JobNeedingAttention(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def job_history_of(job: Any, asking: Iterable[Any], tried: Iterable[Any]) -> JobHistory:
    """Return all that is known of a job."""
    return JobHistory(
        job=job_of(job),
        error=f"{job.error_type}: {job.error_message}" if job.error_type else None,
        created_at=job.created_at,
        finished_at=job.finished_at,
        asked_by=tuple(AskedBy(**row._mapping) for row in asking),  # noqa: SLF001 - SQLAlchemy's documented name
        attempts=tuple(Attempt(**row._mapping) for row in tried),  # noqa: SLF001 - the same
    )


def pending_group_of(row: Any) -> PendingGroup:
    """Return waiting jobs alike."""
    return PendingGroup(
        endpoint=row.endpoint,
        parameters=json.loads(row.parameters),
        price_usd=row.price_usd,
        jobs=row.jobs,
    )


def run_of(row: Any) -> Run:
    """Return a run."""
    return Run(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def slowest_of(clips: Iterable[Any]) -> tuple[int, tuple[SlowClip, ...]]:
    """Return how many clips there are, and those that took longest."""
    count = 0

    def each() -> Iterator[SlowClip]:
        nonlocal count
        for row in clips:
            count += 1
            yield SlowClip(name=row.output_name, seconds=clip_duration_of(row).seconds)

    slowest = heapq.nlargest(SLOWEST, each(), key=lambda clip: clip.seconds)
    return count, tuple(slowest)


def money_of(sums: Any) -> Money:
    """Split the attempts' prices; each attempt stands in one pot, or was given back."""
    spent = reserved = uncertain = Decimal(0)
    for fate in sums:
        if fate.billed in {Billed.YES, Billed.UNKNOWN}:
            spent += fate.price_usd
        elif fate.billed is Billed.NO:
            continue
        elif fate.outcome is AttemptOutcome.UNKNOWN:
            uncertain += fate.price_usd
        else:
            reserved += fate.price_usd
    return Money(spent=spent, reserved=reserved, uncertain=uncertain)
