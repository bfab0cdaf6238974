"""A SQLite file is read through after a run died over it, and only then."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.jobtable import NOON, manifest, row
from tweenbatch.errors import TableUnusable
from tweenbatch.records import RecoveryCounts
from tweenbatch.store import Store


def table_of_a_run(file: Path, *, died: bool) -> Store:
    store = Store.open(f"sqlite:///{file}")
    store.manifests.put(manifest(*(row(n) for n in range(2, 200))), now=NOON)
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
    if not died:
        store.runs.end(run_id, now=NOON, exit_code=0, note="")
    return store


def damage(file: Path) -> None:
    """Wipe one page that neither opening the table nor claiming a job reads."""
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'artifacts'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(bytes(size))


def recover(file: Path) -> RecoveryCounts:
    store = Store.open(f"sqlite:///{file}")
    try:
        run_id = store.runs.begin(host="here", pid=2, version="1", now=NOON, max_cost_usd=None)
        return store.runs.recover(run_id, now=NOON)
    finally:
        store.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tweenbatch.db"


def test_a_damaged_table_that_a_run_died_over_is_refused_until_it_is_fixed(file: Path) -> None:
    table_of_a_run(file, died=True).close()
    whole = file.read_bytes()
    damage(file)
    for _ in range(2):
        with pytest.raises(TableUnusable, match="damaged; restore it from a copy") as caught:
            recover(file)
        message = str(caught.value)
        assert message.startswith(f"{file}: ")
        assert re.search(r"\.recover.*Nothing was submitted", message)
        assert "\n" not in message
    file.write_bytes(whole)
    assert recover(file) == RecoveryCounts(freed=0, uncertain=0)


def test_a_table_that_was_closed_as_it_should_be_is_not_read_through(file: Path) -> None:
    table_of_a_run(file, died=False).close()
    damage(file)
    assert recover(file) == RecoveryCounts(freed=0, uncertain=0)
