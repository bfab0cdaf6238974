"""A table of an earlier release: it is copied, brought up to date, and loses nothing."""

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect

from support.jobtable import NOON, manifest, row
from tweenbatch.errors import TableUnusable
from tweenbatch.records import Money
from tweenbatch.states import State
from tweenbatch.store import Store
from tweenbatch.store.engine import Database, parse_url
from tweenbatch.store.migrate import HEAD, REVISIONS
from tweenbatch.store.schema import VERSION_TABLE, metadata

GOLDEN = Path(__file__).with_name("golden")
RELEASED = REVISIONS[:-1]

COUNTS = {
    State.PENDING: 1,
    State.SUBMITTING: 1,
    State.UNCERTAIN: 1,
    State.SUBMITTED: 1,
    State.READY: 1,
    State.SUCCEEDED: 2,
    State.FAILED: 4,
    State.CANCELLED: 2,
}
MONEY = Money(spent=Decimal("4.48"), reserved=Decimal("1.12"), uncertain=Decimal("0.56"))


def golden(url: str, version: str) -> str:
    """Put the table of an earlier release there, as its own program wrote it."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript((GOLDEN / f"{version}.sqlite.sql").read_text())
    else:
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute((GOLDEN / f"{version}.postgresql.sql").read_text())
    return url


@pytest.fixture(params=RELEASED)
def old(request: pytest.FixtureRequest, url: str) -> str:
    return golden(url, request.param)


@pytest.fixture(params=RELEASED)
def old_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    file = tmp_path / "tweenbatch.db"
    golden(f"sqlite:///{file}", request.param)
    return file


def contents(connection: Connection) -> dict[str, list[Any]]:
    """All values by table: a column that has nothing in it is none."""

    def rows(name: str) -> list[Any]:
        found = connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()
        return [{key: value for key, value in row.items() if value is not None} for row in found]

    return {
        name: sorted(rows(name), key=repr)
        for name in set(inspect(connection).get_table_names()) & set(metadata.tables)
    }


def looked_at(url: str, look: Any) -> Any:
    database = Database(parse_url(url))
    try:
        return database.read(look)
    finally:
        database.close()


def test_there_is_a_table_of_every_earlier_release_for_every_database() -> None:
    kinds = ("postgresql", "sqlite")
    expected = {f"{version}.{kind}.sql" for version in RELEASED for kind in kinds}
    assert {path.name for path in GOLDEN.iterdir()} == expected


def test_an_earlier_table_keeps_its_rows_and_its_money(old: str) -> None:
    before = looked_at(old, contents)
    store = Store.open(old, create=False)
    assert store.views.counts() == COUNTS
    assert store.views.money() == MONEY
    assert len(list(store.views.export())) == 13
    store.close()
    after = looked_at(old, contents)
    for run in before["runs"]:
        if "told_at" in run:
            run["notified_at"] = run.pop("told_at")
    assert {name: after.pop(name) for name in before} == before
    assert not any(after.values()), "what is new has nothing in it"


def test_work_goes_on_in_an_earlier_table(old: str) -> None:
    store = Store.open(old)
    run_id = store.runs.begin(host="x", pid=9, version="2", now=NOON, max_cost_usd=None)
    assert store.runs.recover(run_id, now=NOON.replace(hour=20)).uncertain == 1
    assert store.manifests.put(manifest(row(100)), now=NOON).new == 1
    assert store.jobs.claim(run_id, [State.PENDING], limit=1, now=NOON.replace(hour=20))
    store.close()


def shape(connection: Connection) -> dict[str, Any]:
    look = inspect(connection)
    # The order in an index is told by its text alone.
    source = (
        "SELECT tbl_name, sql FROM sqlite_master WHERE type = 'index'"
        if connection.dialect.name == "sqlite"
        else "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = current_schema()"
    )
    definitions = connection.exec_driver_sql(source).all()

    def facts(table: str) -> dict[str, Any]:
        lists: dict[str, list[Any]] = {
            "columns": look.get_columns(table),
            "checks": look.get_check_constraints(table),
            "foreign": look.get_foreign_keys(table),
            "unique": look.get_unique_constraints(table),
            "indexes": [
                {
                    **index,
                    "dialect_options": {k: str(v) for k, v in index["dialect_options"].items()},
                }
                for index in look.get_indexes(table)
            ],
            "primary": [look.get_pk_constraint(table)],
            "definitions": [index for index in definitions if index[0] == table],
        }
        return {kind: sorted(map(str, found)) for kind, found in lists.items()}

    return {table: facts(table) for table in look.get_table_names()}


def test_a_migrated_schema_equals_a_fresh_one(old: str) -> None:
    Store.open(old).close()
    migrated = looked_at(old, shape)

    def clear(connection: Connection) -> None:
        metadata.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")

    database = Database(parse_url(old))
    database.write(clear)
    database.close()
    Store.open(old).close()
    assert looked_at(old, shape) == migrated
    assert set(migrated) == {*metadata.tables, VERSION_TABLE}


def test_before_its_first_step_a_file_is_copied_for_its_owner_alone(old_file: Path) -> None:
    (version,) = version_of(old_file)
    first = REVISIONS[REVISIONS.index(version) + 1]
    with closing(sqlite3.connect(old_file)) as connection:
        before = list(connection.iterdump())
    Store.open(f"sqlite:///{old_file}").close()
    copy = old_file.with_name(f"tweenbatch.db.before-{first}")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert version_of(old_file) == (HEAD,)
    with closing(sqlite3.connect(copy)) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert names_beside(old_file) == {old_file.name, copy.name}


def version_of(file: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(file)) as connection:
        return tuple(
            version for (version,) in connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")
        )


def names_beside(file: Path) -> set[str]:
    """Names in the table's folder, but for a journal that SQLite keeps at length zero."""
    return {path.name for path in file.parent.iterdir() if path.suffix != ".db-journal"}


def test_the_copy_has_what_still_lies_in_a_write_ahead_log(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("UPDATE runs SET note = 'in the log'")
        writer.commit()
        assert old_file.with_name("tweenbatch.db-wal").stat().st_size
        with closing(sqlite3.connect(old_file)) as reader:
            from tweenbatch.store.sqlitefile import keep_copy

            copy = old_file.with_name("copy")
            keep_copy(old_file, copy)
            assert reader.execute("SELECT DISTINCT note FROM runs").fetchall() == [("in the log",)]
    with closing(sqlite3.connect(copy)) as connection:
        notes = connection.execute("SELECT DISTINCT note FROM runs").fetchall()
    assert notes == [("in the log",)]


def test_a_newer_copy_takes_the_place_of_an_older_one(old_file: Path) -> None:
    (version,) = version_of(old_file)
    first = REVISIONS[REVISIONS.index(version) + 1]
    copy = old_file.with_name(f"tweenbatch.db.before-{first}")
    copy.write_text("of a migration that was killed")
    copy.with_name(f".{copy.name}.0123456789abcdef.part").write_text("half a copy")
    Store.open(f"sqlite:///{old_file}").close()
    assert version_of(copy) == (version,)
    assert names_beside(old_file) == {old_file.name, copy.name}


def test_a_new_table_is_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "tweenbatch.db"
    Store.open(f"sqlite:///{file}").close()
    Store.open(f"sqlite:///{file}").close()
    assert names_beside(file) == {file.name}


def test_without_room_for_the_copy_nothing_is_changed(old_file: Path) -> None:
    """The limit of a file's length stands for a full disk; it holds for this process only."""
    before = old_file.read_bytes()
    script = """
        import resource, sys
        from tweenbatch.errors import TableUnusable
        from tweenbatch.store import Store
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            Store.open(sys.argv[1])
        except TableUnusable as error:
            print(error)
    """
    said = run_python(script, f"sqlite:///{old_file}")
    assert "can't be made" in said
    assert "free some space or choose another disk; nothing was changed" in said
    assert said.count("\n") == 1
    assert str(old_file) in said
    assert old_file.read_bytes() == before
    assert names_beside(old_file) == {old_file.name}


def test_a_copy_that_can_t_have_its_place_is_refused_too(old_file: Path) -> None:
    (version,) = version_of(old_file)
    first = REVISIONS[REVISIONS.index(version) + 1]
    copy = old_file.with_name(f"tweenbatch.db.before-{first}")
    copy.mkdir()
    with pytest.raises(TableUnusable, match="can't be made"):
        Store.open(f"sqlite:///{old_file}")
    assert version_of(old_file) == (version,)
    assert names_beside(old_file) == {old_file.name, copy.name}


def run_python(script: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_killed_at_any_statement_of_a_migration_the_table_is_old_or_new(old_file: Path) -> None:
    """One process forks one child for each statement, which dies before it is executed."""
    script = """
        import os, shutil, signal, sqlite3, sys
        from sqlalchemy import Engine, event
        from tweenbatch.store import Store
        import tweenbatch.store.migrate, alembic.command

        golden, file = sys.argv[1:]
        begun = 0

        def die_at(last):
            def count(*_):
                global begun
                begun += 1
                if begun == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            event.listen(Engine, "before_cursor_execute", count)
            event.listen(Engine, "commit", count)
            Store.open(f"sqlite:///{file}").close()
            os._exit(0)

        for last in range(1, 1000):
            shutil.copy(golden, file)
            child = os.fork()
            if not child:
                die_at(last)
            _, status = os.waitpid(child, 0)
            found = sqlite3.connect(file)
            (version,) = found.execute(f"SELECT version_num FROM tweenbatch_version").fetchone()
            schema = found.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            found.close()
            print(version, schema)
            Store.open(f"sqlite:///{file}").close()
            if status == 0:
                break
    """
    (version,) = version_of(old_file)
    with closing(sqlite3.connect(old_file)) as connection:
        (old,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    said = run_python(script, str(old_file), str(old_file.with_name("killed.db"))).splitlines()
    *killed, survived = [tuple(line.split()) for line in said]
    assert set(killed) == {(version, str(old))}
    assert survived[0] == HEAD
    assert len(killed) > 5
