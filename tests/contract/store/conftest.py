"""A table on every kind of database that the store knows."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from support.jobtable import NOON, Table
from tweenbatch.store import Store

POSTGRES = "TWEENBATCH_TEST_POSTGRES"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place for a table; on PostgreSQL a schema of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tweenbatch.db'}"
        return
    server = os.environ.get(POSTGRES)
    if not server:
        pytest.skip(f"{POSTGRES} names no server (postgresql://…)")
    psycopg = pytest.importorskip("psycopg")
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        separator = "&" if "?" in server else "?"
        yield f"{server}{separator}options={quote(f'-csearch_path={schema}')}"
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table without content: copying it is quicker than migrating one for each test."""
    file = tmp_path_factory.mktemp("blank") / "tweenbatch.db"
    Store.open(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def store(url: str, blank: Path) -> Iterator[Store]:
    if url.startswith("sqlite:///"):
        shutil.copy(blank, url.removeprefix("sqlite:///"))
    store = Store.open(url)
    yield store
    store.close()


@pytest.fixture
def table(store: Store) -> Table:
    """A table with a run and without jobs."""
    run_id = store.runs.begin(host="here", pid=1, version="1", now=NOON, max_cost_usd=None)
    return Table(store=store, run_id=run_id)
