"""What need not be found out twice: frames that were inspected, and uploads.

Every method is one whole transaction.
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
    """What need not be found out twice: frames that were inspected, and uploads."""

    def remembered_frames(self, paths: Iterable[str]) -> dict[str, CachedFrame]:
        """Return what the files at these paths were found to be, where anybody has looked."""

        def look(connection: Connection) -> dict[str, CachedFrame]:
            return {
                row.path: reading.cached_frame_of(row)
                for chunk in chunks(wanted)
                for row in connection.execute(cache.cached_frames(chunk))
            }

        wanted = list(dict.fromkeys(paths))
        return self._database.read(look) if wanted else {}

    def remember_frames(self, found: Iterable[CachedFrame]) -> None:
        """Keep what files were found to be; of each path the latest counts."""
        statement = cache.cache_frame(sqlite_dialect=self._database.is_sqlite)
        # In one order: two programs that keep the same paths must not wait for each other.
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
        """Return where these bytes were uploaded with that key, if that was not before."""
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
        """Keep the address of uploaded bytes."""
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
        """Forget what was uploaded to these addresses: the next who needs it uploads it afresh."""
        statement = cache.forget_uploads(urls)

        def forget(connection: Connection) -> None:
            connection.execute(statement)

        self._database.write(forget)
