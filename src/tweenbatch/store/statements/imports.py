"""Statements that import a manifest."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    delete,
    distinct,
    exists,
    func,
    select,
    update,
)

from tweenbatch.records.imports import WITHDRAWN
from tweenbatch.records.manifest import Manifest
from tweenbatch.states import State
from tweenbatch.store.schema import jobs, manifests, rows
from tweenbatch.store.statements import work
from tweenbatch.store.statements.base import upsert

MOST_UNFINISHED = 10_000
"""The manifests of unfinished work are found from this many jobs."""

WITHDRAWN_MESSAGE = "no manifest asks for it any more"


def keep_manifest(manifest: Manifest, *, sqlite_dialect: bool, now: datetime) -> Insert:
    """Record the import of a new or known file; returns the manifest's id."""
    path = str(manifest.path.absolute())
    facts = {
        "sha256": manifest.sha256,
        "imported_at": now,
        "row_count": manifest.row_count,
        "reading": manifest.reading,
    }
    insert = upsert(manifests, sqlite_dialect=sqlite_dialect)
    return (
        insert.values(path=path, **facts)
        .on_conflict_do_update(index_elements=[manifests.c.path], set_=facts)
        .returning(manifests.c.id)
    )


def last_imports() -> Select[Any]:
    """Read the last two imports, the latest first."""
    columns = manifests.c.path, manifests.c.sha256, manifests.c.reading, manifests.c.row_count
    latest = select(*columns, manifests.c.imported_at).where(manifests.c.retakes_of.is_(None))
    return latest.order_by(manifests.c.imported_at.desc()).limit(2)


def manifest_id(path: str) -> Select[int]:
    """Read the id of an imported file."""
    return select(manifests.c.id).where(manifests.c.path == path)


def move_manifest(manifest_id: int, path: str) -> Update:
    """Change the path of an imported file."""
    return update(manifests).where(manifests.c.id == manifest_id).values(path=path)


def run_settings_of(paths: Collection[str] | None) -> Select[str]:
    """Read the settings of these files' last runs, the latest first; None: unfinished work.

    If there are many unfinished jobs, only some of them count.
    """
    query = select(manifests.c.run_settings).where(manifests.c.run_settings.is_not(None))
    if paths is not None:
        query = query.where(manifests.c.path.in_(paths))
    else:
        query = query.where(manifests.c.id.in_(_of_unfinished_work()))
    return query.order_by(manifests.c.imported_at.desc(), manifests.c.id.desc())


def _of_unfinished_work() -> Select[int]:
    unfinished = select(jobs.c.id).where(jobs.c.finished_at.is_(None)).limit(MOST_UNFINISHED)
    return select(rows.c.manifest_id).where(rows.c.job_id.in_(unfinished))


def keep_run_settings(manifest_ids: Collection[int] | None, text: str) -> Update:
    """Record the settings of a run of these manifests; None: all unfinished work."""
    of_run = _of_unfinished_work() if manifest_ids is None else manifest_ids
    return update(manifests).where(manifests.c.id.in_(of_run)).values(run_settings=text)


def count_rows_of(manifest_id: int) -> Select[int]:
    """Count the rows of the last import."""
    return select(func.count()).select_from(rows).where(rows.c.manifest_id == manifest_id)


def forget_rows(manifest_id: int) -> Delete:
    """Remove the rows of the earlier import."""
    return delete(rows).where(rows.c.manifest_id == manifest_id)


def known_jobs(keys: Collection[str]) -> Select[Any]:
    """Read the jobs of these keys."""
    return select(
        jobs.c.id,
        jobs.c.key,
        jobs.c.state,
        jobs.c.price_micro,
        jobs.c.priority,
        jobs.c.start_source,
        jobs.c.end_source,
        jobs.c.output_name,
        jobs.c.error_type,
    ).where(jobs.c.key.in_(keys))


def asking_for(keys: Collection[str]) -> Select[Any]:
    """Read for each of these keys its newest manifest and the number of its manifests."""
    asking = (
        select(
            jobs.c.key,
            func.max(rows.c.manifest_id).label("manifest_id"),
            func.count(distinct(rows.c.manifest_id)).label("manifests"),
        )
        .select_from(jobs.join(rows, rows.c.job_id == jobs.c.id))
        .where(jobs.c.key.in_(keys))
        .group_by(jobs.c.key)
        .subquery()
    )
    return select(asking.c.key, manifests.c.path, asking.c.manifests).select_from(
        asking.join(manifests, manifests.c.id == asking.c.manifest_id)
    )


def taken_names(folded: Collection[str]) -> Select[str]:
    """Read which of these names are taken."""
    return select(jobs.c.output_folded).where(jobs.c.output_folded.in_(folded))


def rename() -> Update:
    """Rename waiting jobs."""
    return (
        update(jobs)
        .where(jobs.c.id == bindparam("job_id"))
        .values(
            output_name=bindparam("new_name"),
            output_folded=func.lower(bindparam("new_name")),
            updated_at=bindparam("now"),
        )
    )


def withdraw_unasked(*, now: datetime) -> Update:
    """Cancel waiting jobs without a lease and without a row in any manifest."""
    return (
        update(jobs)
        .where(
            jobs.c.state == State.PENDING,
            jobs.c.finished_at.is_(None),
            jobs.c.leased_by.is_(None),
            ~exists().where(rows.c.job_id == jobs.c.id),
        )
        .values(**work.cancelled(WITHDRAWN, WITHDRAWN_MESSAGE, now=now))
    )


def count_jobs_of(manifest_id: int) -> Select[int]:
    """Count the different jobs of the manifest's rows."""
    return select(func.count(distinct(rows.c.job_id))).where(rows.c.manifest_id == manifest_id)
