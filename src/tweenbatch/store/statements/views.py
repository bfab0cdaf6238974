"""Statements that only read: counts, money, jobs needing attention, the export."""

import json
import re
from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from tweenbatch.records import Billed, EarlierFailures, ExportRow, Selection
from tweenbatch.states import IDENTIFIED, State
from tweenbatch.store.attempts import AttemptOutcome
from tweenbatch.store.schema import artifacts, attempts, jobs, manifests, rows
from tweenbatch.store.statements import retakes
from tweenbatch.store.statements.base import Prepared
from tweenbatch.store.types import Word

_LATEST = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)


def state_counts(manifest_ids: Collection[int] | None) -> Select[State, int]:
    """Count jobs by state: all, or those of these manifests."""
    query = select(jobs.c.state, func.count().label("jobs")).group_by(jobs.c.state)
    if manifest_ids is None:
        return query
    asked_for = select(rows.c.job_id).where(rows.c.manifest_id.in_(manifest_ids))
    return query.where(jobs.c.id.in_(asked_for))


def money_by_fate() -> Select[Any]:
    """Sum the prices of attempts by outcome and billing."""
    return select(
        attempts.c.billed, attempts.c.outcome, func.sum(attempts.c.price_micro).label("price_usd")
    ).group_by(attempts.c.billed, attempts.c.outcome)


def needing_a_person() -> Select[Any]:
    """Read failed and uncertain jobs, and paid ones in trouble, the oldest first."""
    hopeless = frozenset({State.FAILED, State.UNCERTAIN})
    in_trouble = or_(jobs.c.state.in_(sorted(hopeless)), jobs.c.error_type.is_not(None))
    return selected(Selection(states=hopeless | IDENTIFIED)).where(in_trouble)


def selected(selection: Selection) -> Select[Any]:
    """Read the jobs that match all filters, the oldest first."""
    return (
        select(
            jobs.c.id.label("job_id"),
            jobs.c.output_name.label("name"),
            jobs.c.state,
            func.coalesce(attempts.c.price_micro, jobs.c.price_micro).label("price_usd"),
            jobs.c.error_type,
            jobs.c.error_message,
            attempts.c.request_id,
            func.coalesce(jobs.c.finished_at, jobs.c.updated_at).label("since"),
        )
        .select_from(jobs.outerjoin(attempts, _LATEST))
        .where(jobs.c.state.in_(sorted(selection.states)), *_meant(selection))
        .order_by(jobs.c.id)
    )


def failed_before(paths: Collection[str], which: EarlierFailures) -> Select[int]:
    """Read the failed jobs of these files and of their retakes."""
    return (
        select(jobs.c.id)
        .where(
            jobs.c.state == State.FAILED,
            jobs.c.error_type.in_(sorted(which.errors)),
            jobs.c.attempt < which.most_attempts,
            exists().where(rows.c.job_id == jobs.c.id, _of_files(paths)),
        )
        .order_by(jobs.c.id)
    )


def _of_files(paths: Collection[str]) -> ColumnElement[bool]:
    """Whether a row belongs to one of these files or to its retakes."""
    files = select(manifests.c.id).where(manifests.c.path.in_(paths))
    retaken = rows.c.manifest_id.in_(retakes.manifests_for(paths))
    return or_(rows.c.manifest_id.in_(files), retaken)


def _meant(selection: Selection) -> list[ColumnElement[bool]]:
    meant: list[ColumnElement[bool]] = []
    if selection.ids:
        meant.append(jobs.c.id.in_(sorted(selection.ids)))
    if selection.error is not None:
        meant.append(jobs.c.error_type == selection.error)
    if selection.name is not None:
        meant.append(jobs.c.output_folded.like(_like(selection.name.lower()), escape="\\"))
    asking: list[ColumnElement[bool]] = []
    if selection.manifests:
        paths = [str(path) for path in sorted(selection.manifests)]
        asking.append(_of_files(paths))
    if selection.row is not None:
        asking.append(rows.c.number == selection.row)
    if selection.tag is not None:
        # Tags are a JSON list; a quoted tag can't match inside another one.
        tag = json.dumps(selection.tag, ensure_ascii=False)
        asking.append(cast(rows.c.tags, Text).contains(tag, autoescape=True))
    if asking:
        meant.append(exists().where(rows.c.job_id == jobs.c.id, *asking))
    return meant


def _like(pattern: str) -> str:
    """Convert a pattern with ``*`` and ``?`` for LIKE."""
    literal = re.sub(r"([\\%_])", r"\\\1", pattern)
    return literal.replace("*", "%").replace("?", "_")


def with_output_name(name: str) -> Select[int]:
    """Find the job with this clip name, regardless of case."""
    return select(jobs.c.id).where(jobs.c.output_folded == name.lower())


def asking_rows(job_id: int) -> Select[Any]:
    """Read the rows of a job, in order."""
    return (
        select(manifests.c.path.label("manifest"), rows.c.number.label("row"), rows.c.name)
        .select_from(rows.join(manifests, rows.c.manifest_id == manifests.c.id))
        .where(rows.c.job_id == job_id)
        .order_by(manifests.c.path, rows.c.number)
    )


def attempts_of(job_id: int) -> Select[Any]:
    """Read the attempts of a job with their files, in order."""
    of_attempt = (
        *("number", "run_id", "outcome", "billed", "started_at", "accepted_at", "finished_at"),
        *("request_id", "video_url", "http_status", "error_type", "error_message"),
    )
    of_file = ("path", "bytes", "sha256", "seconds", "width", "height")
    return (
        select(
            *(attempts.c[name] for name in of_attempt),
            attempts.c.price_micro.label("price_usd"),
            *(artifacts.c[name] for name in of_file),
        )
        .select_from(attempts.outerjoin(artifacts, artifacts.c.attempt_id == attempts.c.id))
        .where(attempts.c.job_id == job_id)
        .order_by(attempts.c.number)
    )


def kept_clips() -> Select[Any]:
    """Read the clips of successful jobs with their recorded paths."""
    return (
        select(
            jobs.c.id.label("job_id"),
            jobs.c.output_name.label("name"),
            artifacts.c.path,
            artifacts.c.bytes,
            artifacts.c.sha256,
            artifacts.c.created_at.label("kept_at"),
        )
        .select_from(
            artifacts.join(attempts, attempts.c.id == artifacts.c.attempt_id).join(
                jobs, and_(jobs.c.id == attempts.c.job_id, jobs.c.attempt == attempts.c.number)
            )
        )
        # The cast keeps SQLite from using the index of the state, which nearly all jobs have.
        .where(cast(jobs.c.state, Text) == State.SUCCEEDED.value)
    )


def of_jobs(job_ids: Collection[int]) -> ColumnElement[bool]:
    """Whether the job is one of these."""
    return jobs.c.id.in_(job_ids)


def latest_kept_clips(*, before: int | None, limit: int) -> Select[Any]:
    """Read the next page, the latest first; ``number`` is the ``before`` of the next one."""
    query = kept_clips().add_columns(artifacts.c.id.label("number"))
    if before is not None:
        query = query.where(artifacts.c.id < before)
    return query.order_by(artifacts.c.id.desc()).limit(limit)


def manifest_ids() -> Select[int]:
    """Read the manifests' ids in order of their paths."""
    return select(manifests.c.id).order_by(manifests.c.path)


def extra_of_first_rows() -> Select[Any]:
    """Read the extra columns of each manifest's first row; all rows of a file share them."""
    first = and_(rows.c.manifest_id == manifests.c.id, rows.c.position == 0)
    return select(rows.c.extra).select_from(manifests.join(rows, first)).order_by(manifests.c.path)


def different_parameters() -> Select[Any]:
    """Read the different parameters of jobs as text: PostgreSQL can't compare JSON."""
    return select(cast(jobs.c.parameters, Text).label("parameters")).distinct()


def billed_or_maybe(each: Any) -> ColumnElement[bool]:
    """Return the condition for counting an attempt as paid; one of unknown outcome counts."""
    return or_(
        each.c.billed.in_([Billed.YES, Billed.UNKNOWN]),
        and_(each.c.billed.is_(None), each.c.outcome == AttemptOutcome.UNKNOWN),
    )


def latest_clips(*, limit: int) -> Select[Any]:
    """Read when the requests of the latest clips were accepted and ended."""
    latest = select(artifacts.c.attempt_id).order_by(artifacts.c.id.desc()).limit(limit).subquery()
    return (
        select(attempts.c.endpoint, attempts.c.accepted_at, attempts.c.finished_at)
        .select_from(latest.join(attempts, attempts.c.id == latest.c.attempt_id))
        .where(attempts.c.accepted_at.is_not(None), attempts.c.finished_at.is_not(None))
    )


def export_page(manifest_id: int, after: int, *, limit: int) -> Prepared[Select[Any]]:
    """Read the manifest's next rows after a position, in order."""
    return _export_page(), {"of": manifest_id, "after": after, "most": limit}


@cache
def _export_page() -> Select[Any]:
    # An attempt with unknown outcome counts as paid, as in all sums for people.
    unsettled = and_(attempts.c.billed.is_(None), attempts.c.outcome == AttemptOutcome.UNKNOWN)
    each = attempts.alias("each")
    of_all = (
        select(func.coalesce(func.sum(each.c.price_micro), 0))
        .where(each.c.job_id == jobs.c.id, billed_or_maybe(each))
        .scalar_subquery()
    )
    # Nearly every job has one attempt, joined below; only several need a sum.
    of_one = case((billed_or_maybe(attempts), attempts.c.price_micro), else_=0)
    cost = case((jobs.c.attempt > 1, of_all), else_=of_one)
    billed = case((unsettled, literal(Billed.UNKNOWN, Word(Billed))), else_=attempts.c.billed)
    columns: dict[str, ColumnElement[Any]] = {
        "manifest": manifests.c.path,
        "row": rows.c.number,
        "name": rows.c.name,
        "state": jobs.c.state,
        "take": rows.c.take,
        "endpoint": jobs.c.endpoint,
        "prompt": jobs.c.prompt,
        "start_image": rows.c.start_image,
        "end_image": rows.c.end_image,
        # All parameters, of which the duration is one.
        "duration": cast(jobs.c.parameters, Text),
        "request_id": attempts.c.request_id,
        "video_path": artifacts.c.path,
        "video_url": attempts.c.video_url,
        "bytes": artifacts.c.bytes,
        "sha256": artifacts.c.sha256,
        "seconds": artifacts.c.seconds,
        "width": artifacts.c.width,
        "height": artifacts.c.height,
        "attempts": jobs.c.attempt,
        "cost_usd": cost,
        "billed": billed,
        "error_type": jobs.c.error_type,
        "error_message": jobs.c.error_message,
        "finished_at": jobs.c.finished_at,
        "extra": cast(rows.c.extra, Text),
    }
    return (
        select(rows.c.position, *(columns[name].label(name) for name in ExportRow._fields))
        .select_from(
            manifests.join(rows, rows.c.manifest_id == manifests.c.id)
            .join(jobs, jobs.c.id == rows.c.job_id)
            .outerjoin(attempts, _LATEST)
            .outerjoin(artifacts, artifacts.c.attempt_id == attempts.c.id)
        )
        .where(rows.c.manifest_id == bindparam("of"), rows.c.position > bindparam("after"))
        .order_by(rows.c.position)
        .limit(bindparam("most"))
    )


def unpaid(manifest_ids: Collection[int] | None) -> Select[Any]:
    """Count the waiting jobs, of these manifests if given, by endpoint, parameters and price."""
    asked_for = exists().where(rows.c.job_id == jobs.c.id)
    if manifest_ids is not None:
        asked_for = asked_for.where(rows.c.manifest_id.in_(manifest_ids))
    # As text: PostgreSQL can't compare JSON.
    alike = (jobs.c.endpoint, cast(jobs.c.parameters, Text), jobs.c.price_micro)
    return (
        select(
            jobs.c.endpoint,
            alike[1].label("parameters"),
            jobs.c.price_micro.label("price_usd"),
            func.count().label("jobs"),
        )
        .where(jobs.c.state == State.PENDING, asked_for)
        .group_by(*alike)
        .order_by(*alike)
    )
