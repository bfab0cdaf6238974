"""The cache of frame inspections and uploads.

Each method is one transaction.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection

from tweenbatch.records import CachedFrame
from tweenbatch.store import reading
from tweenbatch.store.part import TablePart
from tweenbatch.store.staging import chunks
from tweenbatch.store.statements import cache


class Cache(TablePart):
    """The cache of frame inspections and uploads."""

    def remembered_frames(self, paths: Iterable[str]) -> dict[str, CachedFrame]:
        """Return the cached inspections of the files at these paths."""

        def read(connection: Connection) -> dict[str, CachedFrame]:
            return {
                row.path: reading.cached_frame_of(row)
                for chunk in chunks(paths_once)
                for row in connection.execute(cache.cached_frames(chunk))
            }

        paths_once = list(dict.fromkeys(paths))
        return self._database.read(read) if paths_once else {}

    def remember_frames(self, found: Iterable[CachedFrame]) -> None:
        """Record inspections of files; the last one of each path counts."""
        statement = cache.cache_frame(sqlite_dialect=self._database.is_sqlite)
        # A fixed order prevents a deadlock of two programs that write the same paths.
        values = [
            {
                "path": frame.path,
                "bytes": frame.file.bytes,
                "mtime_ns": frame.file.mtime_ns,
                "ctime_ns": frame.file.ctime_ns,
                "inode": str(frame.file.inode),
                "sha256": frame.sha256,
                "facts": dict(frame.facts),
                "looker": frame.inspector_version,
            }
            for frame in sorted(found, key=lambda frame: frame.path)
        ]

        def keep(connection: Connection) -> None:
            for chunk in chunks(values):
                connection.execute(statement, chunk)

        if values:
            self._database.write(keep)

    def upload_url(self, sha256: str, key_fingerprint: str, *, since: datetime) -> str | None:
        """Return the URL of these bytes, if they were uploaded with that key since then."""
        query = cache.upload_url(sha256, key_fingerprint, since=since)
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def remember_upload(
        self,
        *,
        sha256: str,
        key_fingerprint: str,
        url: str,
        bytes: int,  # noqa: A002 - as in the table
        now: datetime,
    ) -> None:
        """Record the URL of uploaded bytes."""
        statement = cache.remember_upload(
            sqlite_dialect=self._database.is_sqlite,
            sha256=sha256,
            key_fingerprint=key_fingerprint,
            url=url,
            size=bytes,
            now=now,
        )

        def keep(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(keep)

    def forget_uploads(self, urls: Collection[str]) -> None:
        """Delete the records of these URLs, so that the files are uploaded again."""
        statement = cache.forget_uploads(urls)

        def forget(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(forget)
