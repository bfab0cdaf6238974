"""Statements that compare the staged rows with the table; they change nothing."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    cast,
    distinct,
    exists,
    func,
    or_,
    select,
)

from tweenbatch.records.imports import WITHDRAWN
from tweenbatch.states import State
from tweenbatch.store.schema import attempts, jobs, manifests, rows
from tweenbatch.store.statements.staged import staged
from tweenbatch.store.statements.views import billed_or_maybe, kept_clips

_CONTENTS = staged.outerjoin(jobs, jobs.c.id == staged.c.job_id)
"""Each row with its job, if any. The first row of each content represents that content."""

_ASKED_HERE = exists().where(rows.c.job_id == jobs.c.id, rows.c.manifest_id == staged.c.manifest_id)
"""Whether the last import of the same file asked for the job."""

_ASKED_AT_ALL = exists().where(rows.c.job_id == jobs.c.id)

_FILES = select(staged.c.manifest_id)


def count_staged() -> Select[int]:
    """Count the staged rows."""
    return select(func.count()).select_from(staged)


def _paid_elsewhere(made: Collection[State]) -> ColumnElement[bool]:
    return and_(jobs.c.state.in_(made), ~_ASKED_HERE, _ASKED_AT_ALL)


def contents(made: Collection[State]) -> Select[Any]:
    """Count the contents in the same situation, with the price of their jobs.

    A content is ``paid_elsewhere`` if its job is in one of the states ``made`` and only the last
    import of another file asked for it.
    """
    withdrawn = and_(jobs.c.state == State.CANCELLED, jobs.c.error_type == WITHDRAWN)
    alike = (
        jobs.c.state,
        case((withdrawn, 1), else_=0).label("withdrawn"),
        case((_ASKED_HERE, 1), else_=0).label("asked"),
        case((_paid_elsewhere(made), 1), else_=0).label("paid_elsewhere"),
        staged.c.endpoint,
        # As text: a database can't compare JSON values.
        cast(staged.c.parameters, Text).label("parameters"),
        staged.c.price_micro,
    )
    counts = func.count().label("clips"), func.sum(jobs.c.price_micro).label("price_usd")
    return select(*alike, *counts).select_from(_CONTENTS).where(staged.c.first).group_by(*alike)


def kept(*, limit: int) -> Select[Any]:
    """Read the downloaded clips of the first contents that have a job."""
    first = select(staged.c.job_id).where(staged.c.first, staged.c.job_id.is_not(None))
    return kept_clips().where(jobs.c.id.in_(first.order_by(staged.c.position).limit(limit)))


def folders(open_states: Collection[State]) -> Select[str]:
    """Read the names, with folders, of contents without a job or with one in these states."""
    unpaid = or_(jobs.c.id.is_(None), jobs.c.state.in_(open_states))
    return (
        select(staged.c.wanted_name)
        .select_from(_CONTENTS)
        .where(unpaid, staged.c.wanted_name.contains("/"))
        .order_by(staged.c.position)
    )


def _rows() -> Select[Any]:
    return select(
        staged,
        jobs.c.state,
        jobs.c.error_type,
        jobs.c.price_micro.label("job_price"),
    ).order_by(staged.c.position)


def _firsts() -> Select[Any]:
    return _rows().select_from(_CONTENTS).where(staged.c.first)


def failed(*, limit: int) -> Select[Any]:
    """Read the first rows of contents that failed."""
    return _firsts().where(jobs.c.state == State.FAILED).limit(limit)


def paid_elsewhere(made: Collection[State], *, limit: int) -> Select[Any]:
    """Read the first rows of contents that are ``paid_elsewhere``."""
    return _firsts().where(_paid_elsewhere(made)).limit(limit)


def fresh(*, limit: int) -> Select[Any]:
    """Read contents that are new since the last import of their file.

    ``stayed`` is true if that import contained an earlier take of the same row.
    """
    take = staged.alias()
    stayed = exists().where(
        take.c.position < staged.c.position,
        take.c.position > staged.c.position - staged.c.take,
        take.c.number == staged.c.number,
        take.c.place == staged.c.place,
        rows.c.job_id == take.c.job_id,
        rows.c.manifest_id == staged.c.manifest_id,
    )
    return (
        _firsts()
        .add_columns(stayed.label("stayed"))
        .where(staged.c.manifest_id > 0, ~_ASKED_HERE)
        .limit(limit)
    )


def count_earlier_jobs() -> Select[int]:
    """Count the jobs in the last imports of the files, separately for each file."""
    each = (
        select(func.count(distinct(rows.c.job_id)).label("jobs"))
        .where(rows.c.manifest_id.in_(_FILES))
        .group_by(rows.c.manifest_id)
        .subquery()
    )
    return select(func.coalesce(func.sum(each.c.jobs), 0))


def copies() -> Select[int]:
    """Read jobs that the last import of one file contains more than once."""
    return (
        select(rows.c.job_id)
        .where(rows.c.manifest_id.in_(_FILES))
        .group_by(rows.c.manifest_id, rows.c.job_id)
        .having(func.count() > 1)
    )


def rows_of(job_ids: Collection[int]) -> Select[Any]:
    """Read the staged rows that ask for these jobs."""
    return (
        _rows()
        .select_from(staged.join(jobs, jobs.c.id == staged.c.job_id))
        .where(jobs.c.id.in_(job_ids))
    )


_EARLIER = manifests.join(rows, rows.c.manifest_id == manifests.c.id).join(
    jobs, jobs.c.id == rows.c.job_id
)


def _earlier(*facts: Any) -> Select[Any]:
    return (
        select(
            manifests.c.path.label("manifest"),
            rows.c.number,
            rows.c.name,
            rows.c.take.label("row_take"),
            rows.c.start_image,
            rows.c.end_image,
            jobs,
            *facts,
        )
        .select_from(_EARLIER)
        .order_by(manifests.c.id, rows.c.position)
    )


def earlier_rows_of(job_ids: Collection[int]) -> Select[Any]:
    """Read the rows of the last imports of the files that asked for these jobs."""
    return _earlier().where(jobs.c.id.in_(job_ids), manifests.c.id.in_(_FILES))


_REMOVED = and_(
    manifests.c.id.in_(_FILES),
    ~exists().where(staged.c.manifest_id == rows.c.manifest_id, staged.c.key == jobs.c.key),
)
"""An earlier row whose file no longer contains its content."""


def _cost() -> Any:
    return func.coalesce(
        select(func.sum(attempts.c.price_micro))
        .where(attempts.c.job_id == jobs.c.id, billed_or_maybe(attempts))
        .scalar_subquery(),
        0,
    )


def _withdrawn() -> ColumnElement[bool]:
    """Whether an import cancels the job because no row asks for it any more."""
    elsewhere = rows.alias()
    return and_(
        jobs.c.state == State.PENDING,
        ~exists().where(staged.c.key == jobs.c.key),
        ~exists().where(elsewhere.c.job_id == jobs.c.id, elsewhere.c.manifest_id.not_in(_FILES)),
    )


def removed(*, limit: int) -> Select[Any]:
    """Read earlier rows whose content was removed, with its cost and withdrawal."""
    facts = _cost().label("cost_usd"), case((_withdrawn(), 1), else_=0).label("withdrawn")
    return _earlier(*facts).where(_REMOVED).limit(limit)


def count_removed() -> Select[Any]:
    """Count the earlier rows whose content was removed, and sum the cost of their jobs."""
    each = (
        select(
            jobs.c.id,
            func.count().label("rows"),
            _cost().label("cost"),
            case((_withdrawn(), 1), else_=0).label("withdrawn"),
        )
        .select_from(_EARLIER)
        .where(_REMOVED)
        .group_by(jobs.c.id)
        .subquery()
    )
    return select(
        func.coalesce(func.sum(each.c.rows), 0).label("rows"),
        func.coalesce(func.sum(each.c.cost), 0).label("cost_usd"),
        func.coalesce(func.sum(each.c.withdrawn), 0).label("withdrawn"),
    )
