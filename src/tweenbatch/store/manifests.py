"""Import, compare and move manifests, and keep the settings of their runs.

Each method is one transaction.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from tweenbatch.records import Imported, KnownJob
from tweenbatch.records.manifest import LastImport, Manifest
from tweenbatch.store import importing
from tweenbatch.store.comparing import Comparison
from tweenbatch.store.part import TablePart
from tweenbatch.store.staging import chunks, stage
from tweenbatch.store.statements import imports, retakes

T = TypeVar("T")


class ManifestTable(TablePart):
    """The manifests of a table, their rows, and the settings of their runs."""

    def put(self, manifest: Manifest, *, now: datetime) -> Imported:
        """Import a manifest; a repeated import changes only what differs."""

        def put(connection: Connection) -> Imported:
            self._database.one_at_a_time(connection)
            return importing.import_manifest(
                connection, manifest, sqlite_dialect=self._database.is_sqlite, now=now
            )

        return self._database.write(put)

    def move(self, path: Path, to: Path) -> bool:
        """Record the new path of an imported file; False if another manifest has that path."""

        def move(connection: Connection) -> bool:
            if connection.execute(imports.manifest_id(str(to.absolute()))).scalar() is not None:
                return False
            manifest_id = connection.execute(imports.manifest_id(str(path.absolute()))).scalar()
            if manifest_id is not None:
                connection.execute(imports.move_manifest(manifest_id, str(to.absolute())))
                connection.execute(retakes.move(manifest_id, str(to.absolute())))
            return True

        return self._database.write(move)

    def last_import(self) -> LastImport | None:
        """Return the latest import, if its rows can be reused without reading its file."""
        return self._database.read(importing.last_import)

    def run_settings(self, manifests: Iterable[Path] | None) -> list[str]:
        """Return the settings of the last runs of these files, the latest first.

        None means all unfinished work.
        """
        paths = None if manifests is None else [str(path.absolute()) for path in manifests]
        query = imports.run_settings_of(paths)
        return self._database.read(lambda connection: list(connection.execute(query).scalars()))

    def keep_run_settings(self, manifest_ids: Collection[int] | None, text: str) -> None:
        """Record the settings of a run of these manifests; None means all unfinished work."""

        def keep(connection: Connection) -> None:
            connection.execute(imports.keep_run_settings(manifest_ids, text))

        self._database.write(keep)

    def compare(self, manifests: Sequence[Manifest], work: Callable[[Comparison], T]) -> T:
        """Return the result of the work on a comparison with the table; nothing changes."""

        def compare(connection: Connection) -> T:
            with stage(connection, manifests, adding=False) as found:
                return work(Comparison(connection, manifests, renewed=found.renewed))

        return self._database.read(compare)

    def lookup(self, keys: Iterable[str]) -> dict[str, KnownJob]:
        """Return the existing jobs of these keys."""

        def look(connection: Connection) -> dict[str, KnownJob]:
            return {
                job.key: KnownJob(
                    state=job.state,
                    price_usd=job.price_micro,
                    output_name=job.output_name,
                    error_type=job.error_type,
                )
                for chunk in chunks(keys_once)
                for job in connection.execute(imports.known_jobs(chunk))
            }

        keys_once = list(dict.fromkeys(keys))
        return self._database.read(look)

    def retakes_of(self, manifests: Iterable[Path]) -> list[int]:
        """Return the manifests that contain the retakes of these files."""

        def look(connection: Connection) -> list[int]:
            return list(connection.execute(retakes.manifests_for(paths)).scalars())

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(look)
