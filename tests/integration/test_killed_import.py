"""An import that is killed leaves nothing behind; done again, it is done whole."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.jobtable import NOON, manifest, row
from tweenbatch.states import State
from tweenbatch.store import Store

ROWS = 12_000
"""More than travel in one statement."""

PROGRAM = """
import os, signal, sys
from pathlib import Path
from support.jobtable import NOON, columns_of, row
from tweenbatch.manifest.spool import Spool
from tweenbatch.records.manifest import Manifest
from tweenbatch.store import Store

class Deadly(Spool):
    '''Rows whose reader is killed at the n-th look at them: row by row, or for their number.'''
    def __init__(self, looks, at):
        super().__init__()
        self.looks, self.at = looks, at
    def look(self, kind):
        if kind == self.looks:
            self.at -= 1
            if not self.at:
                os.kill(os.getpid(), signal.SIGKILL)
    def __len__(self):
        self.look("number")
        return super().__len__()
    def columns(self):
        for part in super().columns():
            for _ in part["key"]:
                self.look("row")
            yield part

url, count, looks, at = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
rows = Deadly(looks, at)
for first in range(2, count + 2, 1_000):
    rows.extend(columns_of([row(number) for number in range(first, first + 1_000)]))
read = Manifest(path=Path("/jobs/manifest.csv"), sha256="f" * 64, rows=rows)
Store.open(url).manifests.put(read, now=NOON)
"""


@pytest.mark.parametrize(
    ("looks", "at"),
    [("row", 1), ("row", 7_000), ("row", ROWS), ("number", 1), ("number", 2)],
    ids=["at once", "while rows come", "at the last row", "before the jobs", "after the jobs"],
)
@pytest.mark.parametrize("before", [0, 3], ids=["new table", "known file"])
def test_an_import_that_is_killed_changes_nothing_and_is_done_again_whole(
    tmp_path: Path, looks: str, at: int, before: int
) -> None:
    url = f"sqlite:///{tmp_path / 'tweenbatch.db'}"
    store = Store.open(url)
    store.manifests.put(manifest(*(row(n) for n in range(2, 2 + before))), now=NOON)
    store.close()
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, str(ROWS), looks, str(at)],
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    store = Store.open(url)
    assert store.views.counts()[State.PENDING] == before
    assert len(list(store.views.export())) == before
    again = store.manifests.put(manifest(*(row(n) for n in range(2, 2 + ROWS))), now=NOON)
    assert (again.new, again.known) == (ROWS - before, before)
    assert len(list(store.views.export())) == ROWS
    store.close()
