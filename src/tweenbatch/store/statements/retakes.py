"""Statements about retakes, whose rows belong to a manifest without a file."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, Select, Update, func, insert, select, update

from tweenbatch.records import JobSpec
from tweenbatch.states import State
from tweenbatch.store.schema import jobs, manifests, rows
from tweenbatch.store.statements.staged import highest_job


def newest_row(job_id: int) -> Select[Any]:
    """Read the latest row of a job and its file; a retake's file is the original's."""
    original = manifests.alias("original")
    file = func.coalesce(manifests.c.retakes_of, manifests.c.id)
    return (
        select(rows, original.c.id.label("original"), original.c.path)
        .select_from(
            rows.join(manifests, manifests.c.id == rows.c.manifest_id).join(
                original, original.c.id == file
            )
        )
        .where(rows.c.job_id == job_id)
        .order_by(rows.c.manifest_id.desc(), rows.c.number)
        .limit(1)
    )


def manifest_for(original: int) -> Select[int]:
    """Find the manifest with the retakes of a file."""
    return select(manifests.c.id).where(manifests.c.retakes_of == original)


def manifests_for(paths: Collection[str]) -> Select[int]:
    """Find the manifests with the retakes of the files at these paths."""
    files = select(manifests.c.id).where(manifests.c.path.in_(paths))
    return select(manifests.c.id).where(manifests.c.retakes_of.in_(files))


def move(original: int, path: str) -> Update:
    """Rename the manifest of a file's retakes after the file's new path."""
    return update(manifests).where(manifests.c.retakes_of == original).values(path=_path(path))


def _path(of_file: str) -> str:
    return f"{of_file} (retakes)"


def add_manifest(original: int, path: str, *, now: datetime) -> Insert:
    """Create the manifest for the retakes of a file; returns its id."""
    return (
        insert(manifests)
        .values(path=_path(path), sha256="", imported_at=now, row_count=0, retakes_of=original)
        .returning(manifests.c.id)
    )


def takes_of(manifest_id: int, number: int) -> Select[int]:
    """Read the takes of a row."""
    return select(rows.c.take).where(rows.c.manifest_id == manifest_id, rows.c.number == number)


def add_job(job: Any, spec: JobSpec, *, name: str, now: datetime) -> Insert:
    """Create a job like another one with its own take; returns its id."""
    end = spec.end
    return (
        insert(jobs)
        .values(
            id=highest_job().scalar_subquery() + 1,
            key=spec.key,
            endpoint=spec.endpoint,
            prompt=spec.prompt,
            start_source=spec.start.source,
            start_sha256=spec.start.sha256,
            end_source=end.source if end else None,
            end_sha256=end.sha256 if end else None,
            parameters=spec.parameters,
            take=spec.take,
            price_micro=job.price_micro,
            priority=job.priority,
            output_name=name,
            output_folded=name.lower(),
            state=State.PENDING,
            created_at=now,
            updated_at=now,
        )
        .returning(jobs.c.id)
    )


def add_row(row: Any, manifest_id: int, *, job_id: int, take: int) -> Insert:
    """Add a row for the take."""
    position = select(func.count()).where(rows.c.manifest_id == manifest_id).scalar_subquery()
    return insert(rows).values(
        manifest_id=manifest_id,
        number=row.number,
        take=take,
        position=position,
        name=row.name,
        job_id=job_id,
        start_image=row.start_image,
        end_image=row.end_image,
        tags=row.tags,
        extra=row.extra,
    )


def count_row(manifest_id: int) -> Update:
    """Count one more row."""
    return (
        update(manifests)
        .where(manifests.c.id == manifest_id)
        .values(row_count=manifests.c.row_count + 1)
    )
