"""Opening a table: what is made, what is refused and how it is said."""

import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from support.jobtable import NOON, changed, manifest, row
from tweenbatch.errors import TableBusy, TableMissing, TableTooNew, TableUnusable
from tweenbatch.models import DEFAULT
from tweenbatch.planning.preview import preview_of
from tweenbatch.settings import RunSettings
from tweenbatch.states import State
from tweenbatch.store import Store
from tweenbatch.store.engine import FIRST_WAL_SAFE, PAGE_BYTES, Database, parse_url
from tweenbatch.store.schema import VERSION_TABLE


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tweenbatch.db"


def at(file: Path) -> str:
    return f"sqlite:///{file}"


def test_what_was_written_is_there_when_the_table_is_opened_again(url: str) -> None:
    store = Store.open(url)
    store.manifests.put(manifest(row()), now=NOON)
    store.close()
    store = Store.open(url, create=False)
    assert store.views.counts()[State.PENDING] == 1
    store.close()


def test_a_new_table_and_its_folder_are_made_and_the_file_is_its_owner_s(tmp_path: Path) -> None:
    file = tmp_path / "rehearsal" / "tweenbatch.db"
    Store.open(at(file)).close()
    assert file.stat().st_mode & 0o777 == 0o600


def test_sqlite_commits_to_the_disk_in_large_pages_and_keeps_its_references(file: Path) -> None:
    store = Store.open(at(file))

    def pragmas(connection: Connection) -> list[object]:
        names = ("synchronous", "foreign_keys", "busy_timeout", "journal_mode", "page_size")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    wal_is_safe = sqlite3.sqlite_version_info >= FIRST_WAL_SAFE
    journal = "wal" if wal_is_safe else "truncate"
    assert store._database.read(pragmas) == [2, 1, 30_000, journal, PAGE_BYTES]
    store.close()


def test_a_writer_is_alone_from_its_first_moment_on(file: Path) -> None:
    Store.open(at(file)).close()
    database = Database(parse_url(at(file)))
    other = sqlite3.connect(file, timeout=0, isolation_level=None)

    def write(_connection: Connection) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")

    database.write(write)
    database.close()
    other.close()


def test_a_locked_table_is_waited_for_and_the_work_is_done_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(at(file), busy_seconds=0)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("time.sleep", lambda _seconds: other.rollback())
    assert store.manifests.put(manifest(row()), now=NOON).new == 1
    store.close()
    other.close()


def test_a_table_that_stays_locked_is_an_error_in_the_end(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    store = Store.open(at(file), busy_seconds=0)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TableBusy, match=r"tweenbatch\.db is locked by another program"):
        store.manifests.put(manifest(row()), now=NOON)
    other.rollback()
    assert store.views.counts()[State.PENDING] == 0
    store.close()
    other.close()


def test_without_create_nothing_is_made(url: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for _ in range(2):
        with pytest.raises(TableUnusable, match="no job table here yet; 'tweenbatch run MANIFEST'"):
            Store.open(url, create=False)
    assert sorted(tmp_path.iterdir()) == before


def test_where_there_is_no_table_yet_none_is_found_and_none_is_made(
    url: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    assert Store.find(url) is None
    assert sorted(tmp_path.iterdir()) == before
    Store.open(url).close()
    store = Store.find(url)
    assert store is not None
    store.close()


def test_a_first_batch_is_all_new_and_makes_no_table(url: str, tmp_path: Path) -> None:
    settings = RunSettings(db=url, output=tmp_path / "videos")
    new = changed(row(), endpoint=DEFAULT.id)
    assert preview_of([manifest(new)], Store.find(url), settings).to_pay == 1
    assert Store.find(url) is None
    with pytest.raises(TableMissing):
        Store.open(url, create=False)


def unusable(file: Path) -> str:
    with pytest.raises(TableUnusable) as caught:
        Store.open(at(file))
    message = str(caught.value)
    assert str(file) in message
    assert "\n" not in message
    return message


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(file: Path) -> None:
    file.write_text("prompt,start_image,end_image\n" * 50)
    assert "isn't a SQLite database" in unusable(file)
    assert file.read_text().startswith("prompt,")


def test_a_folder_is_refused(file: Path) -> None:
    file.mkdir()
    assert "is a folder" in unusable(file)


def test_a_damaged_table_is_refused(file: Path) -> None:
    Store.open(at(file)).close()
    content = bytearray(file.read_bytes())
    content[100:4096] = bytes(range(256)) * 15 + bytes(156)
    file.write_bytes(content)
    assert "damaged" in unusable(file)


def skip_unless_refused(path: Path) -> None:
    if os.access(path, os.W_OK):
        pytest.skip("this user may write everywhere, as root does")


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_table_that_may_not_be_opened_is_refused(file: Path, mode: int) -> None:
    file.touch(mode=mode)
    skip_unless_refused(file)
    assert re.search("can't be|isn't writable", unusable(file))


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    skip_unless_refused(tmp_path)
    said = unusable(tmp_path / "tweenbatch.db")
    assert f"(Permission denied); make {tmp_path} writable" in said
    tmp_path.chmod(0o700)


def test_a_file_where_a_folder_is_needed_is_named(file: Path) -> None:
    file.touch()
    assert "part of this path is a file, not a folder" in unusable(file / "tweenbatch.db")


def test_another_program_s_database_is_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    assert "tables of another program (bookmarks)" in unusable(file)


@pytest.mark.parametrize(
    "url",
    ["tweenbatch.db", "mysql://me:secret@db/x", "me:secret@db", "sqlite:///file:x?mode=ro&uri=1"],
)
def test_a_url_of_no_database_that_we_know_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(TableUnusable, match="expected sqlite:///FILE or postgresql://") as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(TableUnusable, match=r"postgresql://me:\*\*\*@127\.0\.0\.1:1/x") as caught:
        Store.open("postgresql://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_of_a_newer_program_is_refused_with_what_to_do(url: str) -> None:
    store = Store.open(url)

    def pretend(connection: Connection) -> None:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")

    store._database.write(pretend)
    store.close()
    with pytest.raises(TableTooNew, match=r"schema is 9999.*pip install --upgrade") as caught:
        Store.open(url)
    assert "\n" not in str(caught.value)


def test_a_table_in_memory_needs_no_file() -> None:
    store = Store.open("sqlite:///:memory:")
    assert store.manifests.put(manifest(row()), now=NOON).new == 1
    store.close()


# In a SQLite file nobody can write while another reads.
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_tables_that_another_process_makes_between_two_statements_are_not_foreign(url: str) -> None:
    looked_at: list[str] = []

    def be_faster(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "pg_class" in statement and not looked_at:
            looked_at.append(statement)
            Store.open(url).close()

    event.listen(Engine, "after_cursor_execute", be_faster)
    try:
        store = Store.open(url)
    finally:
        event.remove(Engine, "after_cursor_execute", be_faster)
    assert looked_at
    assert sum(store.views.counts().values()) == 0
    store.close()


def test_processes_that_start_together_make_one_table(url: str) -> None:
    script = """
        import sys
        from tweenbatch.store import Store
        import tweenbatch.store.migrate, alembic.command
        print("ready", flush=True)
        sys.stdin.readline()
        store = Store.open(sys.argv[1])
        print(sum(store.views.counts().values()))
        store.close()
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), url]
    pipe = subprocess.PIPE
    together = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(6)
    ]
    for process in together:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in together:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [finish(process) for process in together] == ["0"] * 6


def test_a_look_at_a_current_table_imports_nothing_heavy(url: str) -> None:
    Store.open(url).close()
    script = """
        import sys
        from tweenbatch.store import Store
        store = Store.open(sys.argv[1], create=False)
        store.views.counts(), store.views.money(), store.views.attention()
        heavy = {"alembic", "sqlalchemy.orm", "pandas", "fal_client"}
        print(sorted(heavy & set(sys.modules)))
    """
    assert finish(python(script, url)) == "[]"


def test_the_package_costs_nothing_until_it_is_used() -> None:
    script = """
        import sys
        import tweenbatch.store
        print("sqlalchemy" in sys.modules)
    """
    assert finish(python(script)) == "False"
