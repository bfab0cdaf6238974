"""A table that is not ours to change is looked into as it is, whatever wrote it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.jobtable import Table, manifest, row
from tweenbatch.errors import TableMissing, TableTooNew, TableUnusable
from tweenbatch.planning import planner
from tweenbatch.records.plan import Group
from tweenbatch.states import State
from tweenbatch.store import Store
from tweenbatch.store.migrate import REVISIONS
from tweenbatch.store.other_tables import open_unchanged

GOLDEN = Path(__file__).with_name("golden")


def test_a_table_of_this_release_is_opened(table: Table, url: str) -> None:
    table.load(row(2), row(3))
    with open_unchanged(url) as other:
        assert sum(other.views.counts().values()) == 2
        made = planner.make([manifest(row(3), row(4))], other)
    assert (made.count(Group.WAITING), made.count(Group.NEW)) == (1, 1)


@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_one_of_an_earlier_release_stays_as_it_is(tmp_path: Path, version: str) -> None:
    file = tmp_path / "tweenbatch.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((GOLDEN / f"{version}.sqlite.sql").read_text())
    before = file.read_bytes()
    with open_unchanged(f"sqlite:///{file}") as other:
        assert other.views.counts()[State.SUCCEEDED] == 2
        assert planner.make([manifest(row(2), row(5))], other).count(Group.DONE) == 1
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "-journal" not in path.name] == [file.name]


def test_a_file_that_is_not_a_table_and_a_newer_table_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "tweenbatch.db"
    with pytest.raises(TableMissing), open_unchanged(f"sqlite:///{file}"):
        pass
    assert not file.exists()
    Store.open(f"sqlite:///{file}").close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE tweenbatch_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(TableTooNew), open_unchanged(f"sqlite:///{file}"):
        pass
    file.write_bytes(b"SQLite format 3\x00" + b"\xff" * 8_192)
    with pytest.raises(TableUnusable), open_unchanged(f"sqlite:///{file}"):
        pass


def test_a_server_that_can_t_be_reached_is_reported() -> None:
    pytest.importorskip("psycopg")
    url = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(TableUnusable), open_unchanged(url):
        pass


def test_what_runs_went_by_is_kept_by_manifest_and_for_unfinished_work(table: Table) -> None:
    paths = [Path("/jobs/one.csv"), Path("/jobs/two.csv"), Path("/jobs/three.csv")]
    one, two, _ = (
        table.load(row(n), path=str(path)).manifest_id for n, path in enumerate(paths, start=2)
    )
    table.store.manifests.keep_run_settings([one], "first")
    table.later(1)
    table.load(row(3), path=str(paths[1]))
    table.store.manifests.keep_run_settings([two], "second")
    assert table.store.manifests.run_settings([paths[0]]) == ["first"]
    assert table.store.manifests.run_settings([paths[2]]) == []
    assert table.store.manifests.run_settings(None) == ["second", "first"]
    table.store.jobs.cancel([2], now=table.now)
    assert table.store.manifests.run_settings(None) == ["first"]
    table.store.manifests.keep_run_settings(None, "resumed")
    assert [table.store.manifests.run_settings([path]) for path in paths] == [
        ["resumed"],
        ["second"],
        ["resumed"],
    ]
