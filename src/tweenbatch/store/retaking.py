"""Add another take of a finished clip: a new job with its own row.

An import replaces all rows of its file, but retakes must survive it. So their rows belong to a
separate manifest without a file, one for each real manifest.
"""

from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import Connection

from tweenbatch.records import JobSpec
from tweenbatch.states import State
from tweenbatch.store.reading import spec_of
from tweenbatch.store.statements import imports, retakes, staged, work


def retake(connection: Connection, job_id: int, *, now: datetime) -> int | None:
    """Add another take of a successful job, and return its id.

    It returns None if the job did not succeed or no row asks for it any more.
    """
    job = connection.execute(work.jobs_with_attempt(), {"job_ids": [job_id]}).first()
    row = connection.execute(retakes.newest_row(job_id)).first()
    if job is None or row is None or job.state is not State.SUCCEEDED:
        return None
    manifest_id = _manifest(connection, row, now=now)
    spec = _next_take(connection, spec_of(job), manifest_id, row.number)
    name = _free_name(connection, job, spec)
    add = retakes.add_job(job, spec, name=name, now=now)
    added: int = connection.execute(add).scalar_one()
    connection.execute(retakes.add_row(row, manifest_id, job_id=added, take=spec.take))
    connection.execute(retakes.count_row(manifest_id))
    return added


def _manifest(connection: Connection, row: Any, *, now: datetime) -> int:
    found = connection.execute(retakes.manifest_for(row.original)).scalar()
    if found is None:
        add = retakes.add_manifest(row.original, row.path, now=now)
        found = connection.execute(add).scalar_one()
    return int(found)


def _next_take(connection: Connection, spec: JobSpec, manifest_id: int, number: int) -> JobSpec:
    """Return the content with the next unused take."""
    asked_for = set(connection.execute(retakes.takes_of(manifest_id, number)).scalars())
    for take in count(spec.take + 1):
        next_spec = replace(spec, take=take)
        keys = [next_spec.key]
        if take not in asked_for and not connection.execute(imports.known_jobs(keys)).all():
            return next_spec
    raise AssertionError("unreachable")


def _free_name(connection: Connection, job: Any, spec: JobSpec) -> str:
    """Return the name that an import would give this take."""
    stem = job.output_name.removesuffix(f"-t{job.take}")
    for suffix in staged.SUFFIXES:
        name = f"{stem}-t{spec.take}" + (f"-{spec.key[:suffix]}" if suffix else "")
        if not connection.execute(imports.taken_names([name.lower()])).all():
            break
    return name
