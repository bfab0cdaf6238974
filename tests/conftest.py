import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support import canary
from support.fal import Server, server
from support.forked import Forked, Zygote
from support.workers import workers_for

# How long an example takes depends on the machine and on what else it does.
settings.register_profile("tweenbatch", deadline=None)
settings.load_profile("tweenbatch")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start no worker processes for a few files: starting them takes longer than the tests."""
    return workers_for(config.args)


@pytest.fixture(autouse=True)
def no_key_anywhere(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Fail the test that left the key in a file, a log record or a traceback in one."""
    # Asked for now, the folder outlives whatever still writes to it.
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    caplog.set_level(logging.DEBUG, logger="tweenbatch")
    yield
    layout = logging.Formatter()
    for when in ("setup", "call"):
        for record in caplog.get_records(when):
            canary.refuse(layout.format(record), where=f"the log of {record.name}")
    if folder is not None:
        canary.refuse_below(folder)


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """What forked runs come from."""
    with Zygote() as warm:
        yield warm


@pytest.fixture
def fal(zygote: Zygote) -> Iterator[Server]:
    """A fresh stand-in for fal with an empty ledger."""
    with server(zygote) as running:
        yield running


@pytest.fixture
def tweenbatch(tmp_path: Path, fal: Server, zygote: Zygote) -> Forked:
    """The installed command in an empty folder, with a key, connected to the stand-in."""
    return Forked(folder=tmp_path, connect_to=fal.url, zygote=zygote)
