"""A manifest becomes jobs: a job is its content, so only new content makes a new one."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from tweenbatch.records import Imported, Manifest
from tweenbatch.store.staging import CHUNK, stage
from tweenbatch.store.statements import imports, staged


def import_manifest(
    connection: Connection, manifest: Manifest, *, sqlite_dialect: bool, now: datetime
) -> Imported:
    """Replace the rows of the file and make the jobs that are missing, in this transaction."""
    with stage(connection, [manifest]):
        manifest_id: int = connection.execute(
            imports.keep_manifest(
                sqlite_dialect=sqlite_dialect,
                path=str(manifest.path.absolute()),
                sha256=manifest.sha256,
                row_count=len(manifest.rows),
                now=now,
            )
        ).scalar_one()
        requeued = connection.execute(staged.take_back_withdrawal(now=now)).rowcount
        connection.execute(staged.refresh_waiting_jobs(now=now))
        _rename(connection, now=now)
        new = _add_jobs(connection, sqlite_dialect=sqlite_dialect, now=now)
        withdrawn = _replace_rows(connection, manifest_id, len(manifest.rows), now=now)
    asked_for = connection.execute(imports.count_jobs_of(manifest_id)).scalar_one()
    return Imported(
        manifest_id=manifest_id,
        new=new,
        known=asked_for - new,
        requeued=requeued,
        withdrawn=withdrawn,
    )


def _add_jobs(connection: Connection, *, sqlite_dialect: bool, now: datetime) -> int:
    """Give every new content a job, with a name that no other has in any case; return how many."""
    new = 0
    for suffix in staged.SUFFIXES:
        if not connection.execute(staged.any_missing()).scalar_one():
            break
        add = staged.add_jobs(sqlite_dialect=sqlite_dialect, suffix=suffix, now=now)
        new += connection.execute(add, execution_options={"preserve_rowcount": True}).rowcount
        connection.execute(staged.find_jobs())
    if new:
        connection.execute(staged.refresh_waiting_jobs(now=now, repeats_only=True))
    return new


def _rename(connection: Connection, *, now: datetime) -> None:
    """Call jobs that were never submitted as the newest row asks."""
    if not connection.execute(staged.give_back_names(now=now)).rowcount:
        return
    for page in _nameless(connection):
        left = {job.key: job for job in page}
        for suffix in staged.SUFFIXES:
            names = {key: _with_suffix(job, suffix) for key, job in left.items()}
            folded = {name.lower() for name in names.values()}
            taken = set(connection.execute(imports.taken_names(folded)).scalars())
            given = []
            for key, name in names.items():
                if name.lower() not in taken:
                    taken.add(name.lower())
                    given.append({"job_id": left.pop(key).id, "new_name": name, "now": now})
            if given:
                connection.execute(imports.rename(), given)


def _nameless(connection: Connection) -> Iterator[list[Any]]:
    after = -1
    while page := connection.execute(staged.nameless(after=after, limit=CHUNK)).all():
        yield list(page)
        after = page[-1].position


def _with_suffix(job: Any, suffix: int) -> str:
    return f"{job.wanted_name}-{job.key[:suffix]}" if suffix else job.wanted_name


def _replace_rows(connection: Connection, manifest_id: int, count: int, *, now: datetime) -> int:
    """Put the staged rows in the place of the earlier ones; return how many jobs were withdrawn."""
    there = connection.execute(imports.count_rows_of(manifest_id)).scalar_one()
    if there == count == connection.execute(staged.same_rows(manifest_id)).scalar_one():
        return 0
    connection.execute(imports.forget_rows(manifest_id))
    connection.execute(staged.add_rows(manifest_id))
    # Rows that were never there can't have left a job behind.
    return connection.execute(imports.withdraw_unasked(now=now)).rowcount if there else 0
