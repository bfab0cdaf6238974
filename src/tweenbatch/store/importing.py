"""A manifest becomes jobs: a job is its content, so only new content makes a new one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection

from tweenbatch.filenames import slug
from tweenbatch.records import Imported, Manifest, Row
from tweenbatch.states import State
from tweenbatch.store.statements import imports as statements

T = TypeVar("T")

CHUNK = 5_000
"""How many rows travel in one statement: below every database's limit of parameters."""


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """What a waiting job says now of the facts that a newer row may change."""

    id: int
    priority: int
    price_usd: Decimal
    start_source: str
    end_source: str | None

    @property
    def facts(self) -> tuple[int, Decimal, str, str | None]:
        return self.priority, self.price_usd, self.start_source, self.end_source


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cut into lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def import_manifest(
    connection: Connection, manifest: Manifest, *, sqlite_dialect: bool, now: datetime
) -> Imported:
    """Replace the rows of the file and make the jobs that are missing, in this transaction."""
    path = str(manifest.path.absolute())
    manifest_id: int = connection.execute(
        statements.keep_manifest(
            sqlite_dialect=sqlite_dialect,
            path=path,
            sha256=manifest.sha256,
            row_count=len(manifest.rows),
            now=now,
        )
    ).scalar_one()
    replaced = connection.execute(statements.forget_rows(manifest_id)).rowcount
    new = requeued = position = 0
    for chunk in chunks(manifest.rows):
        keyed = [(row.spec.key, row) for row in chunk]
        known = _known(connection, [key for key, _ in keyed])
        requeued += _take_back(connection, known.values(), now=now)
        ids = {key: job.id for key, job in known.items()}
        waiting = {
            key: _waiting(job)
            for key, job in known.items()
            if job.state is State.PENDING or _is_withdrawn(job)
        }
        fresh: dict[str, Row] = {}
        for key, row in keyed:
            if key not in known:
                fresh.setdefault(key, row)
        if fresh:
            new_ids = _add_jobs(connection, fresh, sqlite_dialect=sqlite_dialect, now=now)
            ids |= new_ids
            waiting |= {key: _newest(new_ids[key], row) for key, row in fresh.items()}
            new += len(new_ids)
        _refresh(connection, keyed, waiting, now=now)
        connection.execute(
            statements.add_rows(),
            [
                _row_values(manifest_id, position + offset, row, ids[key])
                for offset, (key, row) in enumerate(keyed)
            ],
        )
        position += len(chunk)
    # Rows that were never there can't have left a job behind.
    withdrawn = connection.execute(statements.withdraw_unasked(now=now)).rowcount if replaced else 0
    asked_for = connection.execute(statements.count_jobs_of(manifest_id)).scalar_one()
    return Imported(
        manifest_id=manifest_id,
        new=new,
        known=asked_for - new,
        requeued=requeued,
        withdrawn=withdrawn,
    )


def _known(connection: Connection, keys: Sequence[str]) -> dict[str, Any]:
    return {job.key: job for job in connection.execute(statements.known_jobs(set(keys)))}


def _is_withdrawn(job: Any) -> bool:
    return job.state is State.CANCELLED and job.error_type == statements.WITHDRAWN


def _take_back(connection: Connection, known: Iterable[Any], *, now: datetime) -> int:
    withdrawn = [job.id for job in known if _is_withdrawn(job)]
    if not withdrawn:
        return 0
    return connection.execute(statements.take_back_withdrawal(withdrawn, now=now)).rowcount


def _add_jobs(
    connection: Connection, fresh: Mapping[str, Row], *, sqlite_dialect: bool, now: datetime
) -> dict[str, int]:
    names = _output_names(connection, fresh)
    connection.execute(
        statements.add_jobs(sqlite_dialect=sqlite_dialect),
        [_job_values(key, row, names[key], now=now) for key, row in fresh.items()],
    )
    return {job.key: job.id for job in connection.execute(statements.ids_of(fresh.keys()))}


def _output_names(connection: Connection, fresh: Mapping[str, Row]) -> dict[str, str]:
    """Give every new job a file name of its own, whatever case a file system ignores."""
    wanted = {key: _plain_name(row) for key, row in fresh.items()}
    folded = {name.lower() for name in wanted.values()}
    taken = set(connection.execute(statements.taken_names(folded)).scalars())
    chosen: dict[str, str] = {}
    unlucky: dict[str, str] = {}
    for key, name in wanted.items():
        if name.lower() in taken:
            unlucky[key] = name
        else:
            chosen[key] = name
            taken.add(name.lower())
    for length in (8, 16, 64):
        tried = {key: f"{name}-{key[:length]}" for key, name in unlucky.items()}
        folded = {name.lower() for name in tried.values()}
        if folded:
            taken |= set(connection.execute(statements.taken_names(folded)).scalars())
        for key, name in tried.items():
            if name.lower() not in taken:
                chosen[key] = name
                taken.add(name.lower())
                del unlucky[key]
    return chosen


def _plain_name(row: Row) -> str:
    if row.output:
        return row.output
    name = slug(row.name) or f"row-{row.number:04d}"
    return f"{name}-t{row.spec.take}" if row.spec.take > 1 else name


def _refresh(
    connection: Connection,
    keyed: Sequence[tuple[str, Row]],
    waiting: dict[str, _Waiting],
    *,
    now: datetime,
) -> None:
    """Bring waiting jobs up to date with the newest row that asks for them."""
    changed: dict[int, _Waiting] = {}
    for key, row in keyed:
        if key not in waiting:
            continue
        newest = _newest(waiting[key].id, row)
        if newest.facts != waiting[key].facts:
            waiting[key] = changed[newest.id] = newest
    if changed:
        connection.execute(
            statements.refresh_waiting_job(),
            [
                {
                    "job_id": job.id,
                    "new_priority": job.priority,
                    "new_price": job.price_usd,
                    "new_start": job.start_source,
                    "new_end": job.end_source,
                    "now": now,
                }
                for job in changed.values()
            ],
        )


def _waiting(job: Any) -> _Waiting:
    return _Waiting(
        id=job.id,
        priority=job.priority,
        price_usd=job.price_micro,
        start_source=job.start_source,
        end_source=job.end_source,
    )


def _newest(job_id: int, row: Row) -> _Waiting:
    return _Waiting(
        id=job_id,
        priority=row.priority,
        price_usd=row.price_usd,
        start_source=row.spec.start.source,
        end_source=row.spec.end.source if row.spec.end else None,
    )


def _job_values(key: str, row: Row, name: str, *, now: datetime) -> dict[str, Any]:
    spec = row.spec
    return {
        "key": key,
        "endpoint": spec.endpoint,
        "prompt": spec.prompt,
        "start_source": spec.start.source,
        "start_sha256": spec.start.sha256,
        "end_source": spec.end.source if spec.end else None,
        "end_sha256": spec.end.sha256 if spec.end else None,
        "parameters": dict(spec.parameters),
        "take": spec.take,
        "price_micro": row.price_usd,
        "priority": row.priority,
        "output_name": name,
        "output_folded": name.lower(),
        "state": State.PENDING,
        "created_at": now,
        "updated_at": now,
    }


def _row_values(manifest_id: int, position: int, row: Row, job_id: int) -> dict[str, Any]:
    return {
        "manifest_id": manifest_id,
        "number": row.number,
        "take": row.spec.take,
        "position": position,
        "name": row.name,
        "job_id": job_id,
        "start_image": row.start_image,
        "end_image": row.end_image,
        "tags": list(row.tags),
        "extra": dict(row.extra),
    }
