"""Manifests and their rows: imported, compared, moved, and with which settings they ran.

Every method is one whole transaction.
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
    """Manifests and their rows: imported, compared, moved, and with which settings they ran."""

    def put(self, manifest: Manifest, *, now: datetime) -> Imported:
        """Put a manifest into the table; importing it again changes only what changed."""

        def put(connection: Connection) -> Imported:
            self._database.one_at_a_time(connection)
            return importing.import_manifest(
                connection, manifest, sqlite_dialect=self._database.is_sqlite, now=now
            )

        return self._database.write(put)

    def move(self, path: Path, to: Path) -> bool:
        """Note that a file that was imported lies elsewhere now; False: the table knows another."""

        def move(connection: Connection) -> bool:
            if connection.execute(imports.manifest_id(str(to.absolute()))).scalar() is not None:
                return False
            found = connection.execute(imports.manifest_id(str(path.absolute()))).scalar()
            if found is not None:
                connection.execute(imports.move_manifest(found, str(to.absolute())))
                connection.execute(retakes.move(found, str(to.absolute())))
            return True

        return self._database.write(move)

    def last_import(self) -> LastImport | None:
        """Return the import that came last, where its rows can be had without reading its file."""
        return self._database.read(importing.last_import)

    def run_settings(self, manifests: Iterable[Path] | None) -> list[str]:
        """Return what the last runs of these files went by, the latest first.

        None stands for all unfinished work.
        """
        paths = None if manifests is None else [str(path.absolute()) for path in manifests]
        query = imports.run_settings_of(paths)
        return self._database.read(lambda connection: list(connection.execute(query).scalars()))

    def keep_run_settings(self, manifest_ids: Collection[int] | None, text: str) -> None:
        """Note what a run of these manifests goes by; None stands for all unfinished work."""

        def keep(connection: Connection) -> None:
            connection.execute(imports.keep_run_settings(manifest_ids, text))

        self._database.write(keep)

    def compare(self, manifests: Sequence[Manifest], look: Callable[[Comparison], T]) -> T:
        """Return what is made of the manifests held against the table; nothing is changed."""

        def held(connection: Connection) -> T:
            with stage(connection, manifests, adding=False) as found:
                return look(Comparison(connection, manifests, renewed=found.renewed))

        return self._database.read(held)

    def lookup(self, keys: Iterable[str]) -> dict[str, KnownJob]:
        """Return what the table knows of these keys."""

        def look(connection: Connection) -> dict[str, KnownJob]:
            return {
                job.key: KnownJob(
                    state=job.state,
                    price_usd=job.price_micro,
                    output_name=job.output_name,
                    error_type=job.error_type,
                )
                for chunk in chunks(wanted)
                for job in connection.execute(imports.known_jobs(chunk))
            }

        wanted = list(dict.fromkeys(keys))
        return self._database.read(look)

    def retakes_of(self, manifests: Iterable[Path]) -> list[int]:
        """Return the manifests that hold the retakes of these files."""

        def look(connection: Connection) -> list[int]:
            return list(connection.execute(retakes.manifests_for(paths)).scalars())

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(look)
