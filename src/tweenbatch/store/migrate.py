"""Create the tables or migrate them to the current schema.

New tables are created directly. Only tables of an earlier release use Alembic, whose import takes
as long as the rest of a start.
"""

from importlib.resources import files
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    text,
)

from tweenbatch.errors import TableMissing, TableTooNew, TableUnusable
from tweenbatch.store.engine import Database, table_path
from tweenbatch.store.schema import VERSION_TABLE, metadata
from tweenbatch.store.sqlitefile import keep_copy

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every version of the schema, oldest first."""

HEAD = REVISIONS[-1]


def bring_up_to_date(database: Database, *, create: bool) -> None:
    """Create or migrate the tables; several processes may do so at the same time.

    All steps are one transaction. A SQLite file is copied before the first step. Raises
    ``TableTooNew``, ``TableMissing``, or ``TableUnusable`` for tables of another program.
    """
    if database.read(lambda connection: version_of(database, connection, create=create)) == HEAD:
        return

    def migrate(connection: Connection) -> None:
        database.one_at_a_time(connection)
        # Another process may have done it while we waited.
        found = version_of(database, connection, create=create)
        if found is None:
            _create(connection)
        elif found != HEAD:
            _keep_copy(database, found)
            _upgrade(connection)

    database.write(migrate)


def script_location() -> Path:
    """Return the folder of the migrations: in the installed package, or in the checkout."""
    installed = Path(str(files("tweenbatch"))) / "migrations"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "migrations"


def version_of(database: Database, connection: Connection, *, create: bool) -> str | None:
    """Return the version of the existing tables; None: they must be created."""
    # One query: between two, another process could create our tables on a server.
    there = set(inspect(connection).get_table_names())
    number = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 - a constant
    found = connection.execute(number).scalar() if VERSION_TABLE in there else None
    if found is None:
        _refuse_foreign_tables(database, there)
        if not create:
            raise no_table_yet(database.name)
    elif found not in REVISIONS:
        raise TableTooNew(
            f"{database.name} was written by a newer tweenbatch (its schema is {found}, this"
            f' program knows up to {HEAD}): pip install --upgrade "tweenbatch"'
        )
    return found


def no_table_yet(name: str) -> TableMissing:
    """Return the error for a missing table."""
    return TableMissing(f"{name}: no job table here yet; 'tweenbatch run MANIFEST' creates one")


def _refuse_foreign_tables(database: Database, there: set[str]) -> None:
    """Refuse a file with other tables, and a server's schema with other tables of our names."""
    strangers = there - {VERSION_TABLE} if database.is_sqlite else there & set(metadata.tables)
    if strangers:
        raise TableUnusable(
            f"{database.name} has tables of another program ({', '.join(sorted(strangers)[:3])});"
            " choose another database with --db"
        )


def _create(connection: Connection) -> None:
    """Create the tables, and the one with Alembic's version number."""
    from tweenbatch.store.indexes import described

    described(connection.dialect.name).create_all(connection, checkfirst=False)
    version = Table(
        VERSION_TABLE,
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
    )
    version.create(connection, checkfirst=False)
    connection.execute(insert(version).values(version_num=HEAD))


def _keep_copy(database: Database, found: str) -> None:
    """Copy the file of a table while the transaction excludes other writers."""
    path = table_path(database.url)
    if path is not None:
        table = path.resolve()
        first = REVISIONS[REVISIONS.index(found) + 1]
        try:
            keep_copy(table, table.with_name(f"{table.name}.before-{first}"))
        except TableUnusable as error:
            raise TableUnusable(
                "the table must be migrated to a newer schema, but the copy before it can't be "
                f"made: {error}; nothing was changed"
            ) from error


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(script_location()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
