from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command import Command
from support.fal import Server, server


@pytest.fixture
def fal() -> Iterator[Server]:
    """A fresh stand-in for fal with an empty ledger."""
    with server() as running:
        yield running


@pytest.fixture
def tweenbatch(tmp_path: Path, fal: Server) -> Command:
    """The installed command in an empty folder, with a key, connected to the stand-in."""
    return Command(folder=tmp_path, connect_to=fal.url)
