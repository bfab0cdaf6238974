"""Turn rows of the table into records."""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Row as SqlRow

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
    JobSpec,
    KeptClip,
    Money,
    PendingGroup,
    RemoteVideo,
    Request,
    SlowClip,
)
from tweenbatch.records.manifest import JobKind, Row
from tweenbatch.states import State
from tweenbatch.store.attempts import AttemptOutcome
from tweenbatch.store.row_shapes import (
    AttemptShape,
    CachedFrameShape,
    ClipDurationShape,
    ContentShape,
    EarlierRowShape,
    JobShape,
    JobWithAttemptShape,
    MoneyShape,
    NamedClipDurationShape,
    PendingGroupShape,
    StagedShape,
)

T = TypeVar("T")

_DURATION = 1 + ExportRow._fields.index("duration")
"""Its index in a line of an export page, which begins with the position."""

SLOWEST = 3
"""How many of the slowest clips a digest lists."""


def job_of(row: JobWithAttemptShape) -> Job:
    """Return the job with its latest attempt and its clip."""
    return _job(row, row, kept=_kept_clip_of(row))


def job_with_attempt(row: JobShape, attempt: AttemptShape) -> Job:
    """Return the job with an attempt from another row, and without its clip."""
    return _job(row, attempt, kept=None)


def _job(row: JobShape, attempt: AttemptShape, *, kept: KeptClip | None) -> Job:
    # A waiting job carries nothing of its last attempt.
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
        kept=kept if tried else None,
        unfetched_since=attempt.unfetched_since if tried else None,
    )


def _kept_clip_of(row: JobWithAttemptShape) -> KeptClip | None:
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


def with_request(job: Job, attempt: AttemptShape) -> Job:
    """Return a job with the request of one of its attempts."""
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


def spec_of(row: ContentShape) -> JobSpec:
    """Return the content of a job."""
    return JobSpec(
        endpoint=row.endpoint,
        prompt=row.prompt,
        start=Frame(source=row.start_source, sha256=row.start_sha256),
        end=None if row.end_source is None else Frame(source=row.end_source, sha256=row.end_sha256),
        parameters=row.parameters,
        take=row.take,
    )


def row_of(row: StagedShape) -> Row:
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


def _request_of(row: AttemptShape) -> Request | None:
    if row.request_id is None:
        return None
    return Request(
        request_id=row.request_id,
        status_url=row.status_url,
        response_url=row.response_url,
        cancel_url=row.cancel_url,
    )


def _video_of(row: AttemptShape) -> RemoteVideo | None:
    if row.video_url is None:
        return None
    return RemoteVideo(
        url=row.video_url, bytes=row.video_bytes, content_type=row.video_content_type
    )


def earlier_row_of(row: EarlierRowShape) -> EarlierRow:
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


def clip_duration_of(row: ClipDurationShape) -> ClipDuration:
    """Return the duration of a clip; it is 0 if the clock was set back meanwhile."""
    seconds = (row.finished_at - row.accepted_at).total_seconds()
    return ClipDuration(endpoint=row.endpoint, seconds=max(seconds, 0.0))


def export_rows_of(page: Sequence[Sequence[Any]]) -> Iterator[ExportRow]:
    """Yield lines of the export.

    A page has a position, then the columns of ``ExportRow``. In place of ``duration`` it has all
    parameters as JSON, in place of ``extra`` the row's own columns as JSON.
    """
    # Parsing the own columns of all lines as one list saves a call per line.
    every_own = json.loads(f"[{','.join(row[-1] for row in page)}]")
    for row, own in zip(page, every_own, strict=True):
        duration, inputs = _inputs(row[_DURATION])
        # The row's own columns come first, then the model's inputs without a column here.
        extra = {**own, **inputs} if inputs else own
        yield ExportRow._make((*row[1:_DURATION], duration, *row[_DURATION + 1 : -1], extra))


@lru_cache
def _inputs(parameters: str) -> tuple[str | None, dict[str, str]]:
    """Return the duration and the other inputs of a model; thousands of rows share them."""
    inputs = json.loads(parameters)
    return inputs.pop("duration", None), inputs


def cached_frame_of(row: CachedFrameShape) -> CachedFrame:
    """Return the cached inspection of an image file."""
    return CachedFrame(
        path=row.path,
        file=FileState(
            bytes=row.bytes, mtime_ns=row.mtime_ns, ctime_ns=row.ctime_ns, inode=int(row.inode)
        ),
        sha256=row.sha256,
        facts=row.facts,
        inspector_version=row.looker,
    )


def record_of(record: type[T], row: SqlRow[Any]) -> T:
    """Return a record whose fields have the names of the row's columns."""
    return record(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name


def job_history_of(
    job: JobWithAttemptShape, rows: Iterable[SqlRow[Any]], attempts: Iterable[SqlRow[Any]]
) -> JobHistory:
    """Return the whole history of a job: its rows and its attempts."""
    return JobHistory(
        job=job_of(job),
        error=f"{job.error_type}: {job.error_message}" if job.error_type else None,
        created_at=job.created_at,
        finished_at=job.finished_at,
        asked_by=tuple(record_of(AskedBy, row) for row in rows),
        attempts=tuple(record_of(Attempt, row) for row in attempts),
    )


def pending_group_of(row: PendingGroupShape) -> PendingGroup:
    """Return waiting jobs of one endpoint, parameters and price."""
    return PendingGroup(
        endpoint=row.endpoint,
        parameters=json.loads(row.parameters),
        price_usd=row.price_usd,
        jobs=row.jobs,
    )


def slowest_of(clips: Iterable[NamedClipDurationShape]) -> tuple[int, tuple[SlowClip, ...]]:
    """Return the number of clips and the slowest of them."""
    count = 0

    def durations() -> Iterator[SlowClip]:
        nonlocal count
        for row in clips:
            count += 1
            yield SlowClip(name=row.output_name, seconds=clip_duration_of(row).seconds)

    slowest = heapq.nlargest(SLOWEST, durations(), key=lambda clip: clip.seconds)
    return count, tuple(slowest)


def money_of(sums: Iterable[MoneyShape]) -> Money:
    """Split the prices of attempts into spent, reserved and uncertain; unbilled ones are free."""
    spent = reserved = uncertain = Decimal(0)
    for each in sums:
        if each.billed in {Billed.YES, Billed.UNKNOWN}:
            spent += each.price_usd
        elif each.billed is Billed.NO:
            continue
        elif each.outcome is AttemptOutcome.UNKNOWN:
            uncertain += each.price_usd
        else:
            reserved += each.price_usd
    return Money(spent=spent, reserved=reserved, uncertain=uncertain)
