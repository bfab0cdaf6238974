"""Import a manifest: only new content creates new jobs."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from tweenbatch.errors import TableBusy
from tweenbatch.records import Imported
from tweenbatch.records.manifest import LastImport, Manifest
from tweenbatch.store.staging import CHUNK, Staged, stage
from tweenbatch.store.statements import alike, imports, staged


def import_manifest(
    connection: Connection, manifest: Manifest, *, sqlite_dialect: bool, now: datetime
) -> Imported:
    """Replace the rows of the file and create the missing jobs, in this transaction.

    Raises ``TableBusy`` if the rows should equal the last import, but another import came later.
    """
    if manifest.same_as is not None:
        return _import_again(connection, manifest, sqlite_dialect=sqlite_dialect, now=now)
    keep = imports.keep_manifest(manifest, sqlite_dialect=sqlite_dialect, now=now)
    with stage(connection, [manifest], adding=True) as found:
        manifest_id: int = connection.execute(keep).scalar_one()
        requeued = known = 0
        if found.after:
            known = connection.execute(staged.count_known(after=found.after)).scalar_one()
        if known:
            requeued = connection.execute(staged.take_back_withdrawal(now=now)).rowcount
            connection.execute(staged.refresh_waiting_jobs(now=now))
            _rename(connection, now=now)
        if found.renewed:
            connection.execute(alike.take_newest_addresses(now=now))
        new = manifest.row_count - known
        if found.repeats:
            new = connection.execute(staged.count_new(after=found.after)).scalar_one()
        _add_jobs(connection, new, found, sqlite_dialect=sqlite_dialect, now=now)
        withdrawn = _replace_rows(connection, manifest_id, manifest.row_count, now=now)
        asked_for = manifest.row_count
        if found.repeats:
            asked_for = connection.execute(imports.count_jobs_of(manifest_id)).scalar_one()
    return Imported(
        manifest_id=manifest_id,
        new=new,
        known=asked_for - new,
        requeued=requeued,
        withdrawn=withdrawn,
    )


def last_import(connection: Connection) -> LastImport | None:
    """Return the latest import, if its rows can be reused without reading its file."""
    found = connection.execute(imports.last_imports()).all()
    # Equal times come from one run; the order of its imports is unknown.
    if not found or found[0].imported_at in [each.imported_at for each in found[1:]]:
        return None
    if found[0].reading is None:
        return None
    return LastImport(
        path=Path(found[0].path),
        sha256=found[0].sha256,
        reading=found[0].reading,
        row_count=found[0].row_count,
    )


def _import_again(
    connection: Connection, manifest: Manifest, *, sqlite_dialect: bool, now: datetime
) -> Imported:
    if last_import(connection) != manifest.same_as:
        raise TableBusy(
            f"another manifest was imported while {manifest.path} was being read; run again"
        )
    keep = imports.keep_manifest(manifest, sqlite_dialect=sqlite_dialect, now=now)
    manifest_id: int = connection.execute(keep).scalar_one()
    known = connection.execute(imports.count_jobs_of(manifest_id)).scalar_one()
    return Imported(manifest_id=manifest_id, new=0, known=known, requeued=0, withdrawn=0)


def _add_jobs(
    connection: Connection, new: int, found: Staged, *, sqlite_dialect: bool, now: datetime
) -> None:
    """Create a job for each new content, with a unique name regardless of case."""
    added = 0
    for suffix in staged.SUFFIXES:
        if added == new:
            break
        add = staged.add_jobs(
            sqlite_dialect=sqlite_dialect, after=found.after, suffix=suffix, now=now
        )
        added += connection.execute(add, execution_options={"preserve_rowcount": True}).rowcount
    if new and found.repeats:
        connection.execute(staged.refresh_waiting_jobs(now=now, repeats_only=True))


def _rename(connection: Connection, *, now: datetime) -> None:
    """Rename jobs that were never submitted to the names of the newest rows."""
    if not connection.execute(staged.give_back_names(now=now)).rowcount:
        return
    for page in _nameless(connection):
        left = {job.key: job for job in page}
        for suffix in staged.SUFFIXES:
            names = {key: _with_suffix(job, suffix) for key, job in left.items()}
            folded = {name.lower() for name in names.values()}
            used = set(connection.execute(imports.taken_names(folded)).scalars())
            given = []
            for key, name in names.items():
                if name.lower() not in used:
                    used.add(name.lower())
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
    """Replace the earlier rows by the staged ones; return the number of withdrawn jobs."""
    earlier = connection.execute(imports.count_rows_of(manifest_id)).scalar_one()
    if earlier == count == connection.execute(staged.same_rows(manifest_id)).scalar_one():
        return 0
    connection.execute(imports.forget_rows(manifest_id))
    connection.execute(staged.add_rows(manifest_id))
    # Without earlier rows, no job can have lost its last row.
    return connection.execute(imports.withdraw_unasked(now=now)).rowcount if earlier else 0
