"""Statements about the cache: inspected frames and uploaded files."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Delete, Insert, Select, delete, select

from tweenbatch.store.schema import frames, uploads
from tweenbatch.store.statements.base import upsert


def cached_frames(paths: Collection[str]) -> Select[Any]:
    """Read the cached inspections of the files at these paths."""
    return select(frames).where(frames.c.path.in_(paths))


def cache_frame(*, sqlite_dialect: bool) -> Insert:
    """Record the inspection of a file; it replaces an earlier one of the same path."""
    insert = upsert(frames, sqlite_dialect=sqlite_dialect)
    facts = {column.name: column for column in insert.excluded if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=[frames.c.path], set_=facts)


def upload_url(sha256: str, key_fingerprint: str, *, since: datetime) -> Select[str]:
    """Find the address of these bytes, if they were uploaded with that key since then."""
    return select(uploads.c.url).where(
        uploads.c.sha256 == sha256,
        uploads.c.key_fingerprint == key_fingerprint,
        uploads.c.uploaded_at >= since,
    )


def forget_uploads(urls: Collection[str]) -> Delete:
    """Delete the records of uploads to these addresses."""
    return delete(uploads).where(uploads.c.url.in_(urls))


def remember_upload(
    *, sqlite_dialect: bool, sha256: str, key_fingerprint: str, url: str, size: int, now: datetime
) -> Insert:
    """Record the address of uploaded bytes; it replaces an earlier one."""
    values = {
        "sha256": sha256,
        "key_fingerprint": key_fingerprint,
        "url": url,
        "bytes": size,
        "uploaded_at": now,
    }
    newest = {"url": url, "bytes": size, "uploaded_at": now}
    insert = upsert(uploads, sqlite_dialect=sqlite_dialect)
    return insert.values(**values).on_conflict_do_update(
        index_elements=[uploads.c.sha256, uploads.c.key_fingerprint], set_=newest
    )
