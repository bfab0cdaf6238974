"""A file that made the last import is not read again, and all is as if it had been."""

import csv
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support.jobtable import NOON, PATHS, Table
from support.manifests import frame
from tweenbatch import manifest
from tweenbatch.errors import TableBusy
from tweenbatch.frames.fit import Fit, Way
from tweenbatch.manifest import Naming, Reading
from tweenbatch.models import ENDPOINTS, find
from tweenbatch.planning import planner as plan
from tweenbatch.records.manifest import Manifest
from tweenbatch.states import State
from tweenbatch.store import Store

COLUMNS = ("prompt", "start_image", "end_image", "duration", "name", "takes", "shot")
AT = "https://example.com"
ROWS = [
    ("one", f"{AT}/1-a.png", f"{AT}/1-b.png", "5", "clip", "", "s1"),
    ("two", f"{AT}/2-a.png", f"{AT}/2-b.png", "10", "clip two", "2", "s2"),
    ("one", f"{AT}/1-a.png", f"{AT}/1-b.png", "5", "the first again", "", ""),
    ("three", f"{AT}/3-a.png", f"{AT}/3-b.png", "10", "", "", "s3"),
]


def write(file: Path, rows: Sequence[tuple[str, ...]] = ROWS) -> Path:
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([COLUMNS, *rows])
    return file


@pytest.fixture
def table(tmp_path: Path) -> Table:
    store = Store.open(f"sqlite:///{tmp_path / 'tweenbatch.db'}")
    run_id = store.runs.begin(host="h", pid=1, version="1", now=NOON, max_cost_usd=None)
    return Table(store=store, run_id=run_id)


def read(table: Table, *files: Path, **how: Any) -> list[Manifest]:
    return manifest.read_all(files, Reading(latest=table.store.manifests.last_import(), **how))


def put(table: Table, *files: Path, **how: Any) -> None:
    for each in read(table, *files, **how):
        table.store.manifests.put(each, now=table.later(1))


def finish_some(table: Table) -> None:
    """One clip is there, one failed, and the rest waits."""
    table.walk(*PATHS[State.SUCCEEDED])
    table.walk(*PATHS[State.FAILED])


def test_it_is_planned_and_imported_as_if_it_had_been_read(table: Table, tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv")
    put(table, file)
    finish_some(table)
    before = list(table.store.views.export())
    (unread,), (whole,) = read(table, file), manifest.read_all([file], Reading())
    assert unread.same_as is not None
    assert (unread.row_count, list(unread.rows)) == (len(whole.rows), [])
    assert plan.make([unread], table.store) == plan.make([whole], table.store)
    again = table.store.manifests.put(unread, now=table.later(1))
    assert (again.new, again.known, again.withdrawn) == (0, 4, 0)
    assert list(table.store.views.export()) == before
    assert read(table, file)[0].same_as is not None


def rewritten(_: Table, file: Path) -> list[Path]:
    write(file, [("another", *ROWS[0][1:]), *ROWS[1:]])
    return [file]


def imported_after_it(table: Table, file: Path) -> list[Path]:
    put(table, write(file.with_name("other.csv"), ROWS[:1]))
    return [file]


def with_another(_: Table, file: Path) -> list[Path]:
    return [file, write(file.with_name("other.csv"), ROWS[:1])]


def copied(_: Table, file: Path) -> list[Path]:
    return [write(file.with_name("copy.csv"))]


@pytest.mark.parametrize("change", [rewritten, imported_after_it, with_another, copied])
def test_it_is_read_where_its_rows_may_be_others(
    table: Table, tmp_path: Path, change: Callable[[Table, Path], list[Path]]
) -> None:
    file = write(tmp_path / "m.csv")
    put(table, file)
    files = change(table, file)
    assert [each.same_as for each in read(table, *files)] == [None] * len(files)


@pytest.mark.parametrize(
    "how",
    [
        {"defaults": {"name": "n"}},
        {"takes": 2},
        {"naming": Naming.parse("{row}-{take}")},
        {"keep": ("promt",)},
        {"allow_open_ended": True},
        {"endpoint": find("o1-standard")},
        {"fit": Fit(way=Way.PAD, folder=Path("fitted"), writes=False)},
        {"check_urls": True},
    ],
    ids=lambda how: next(iter(how)),
)
def test_it_is_read_where_it_is_to_be_read_otherwise(
    table: Table, tmp_path: Path, how: dict[str, Any]
) -> None:
    put(table, write(tmp_path / "m.csv"))
    latest = table.store.manifests.last_import()
    assert latest is not None
    assert latest.reading == Reading().digest
    assert Reading(**how).digest != latest.reading


def test_a_file_with_frames_of_this_machine_is_read_each_time(table: Table, tmp_path: Path) -> None:
    frame(tmp_path / "a.png")
    file = write(tmp_path / "m.csv", [("one", "a.png", *ROWS[0][2:]), *ROWS[1:]])
    put(table, file)
    assert read(table, file)[0].same_as is None


def test_what_has_warnings_is_read_each_time_so_that_they_are_reported(
    table: Table, tmp_path: Path
) -> None:
    file = write(tmp_path / "m.csv", [*ROWS, ("ONE!", *ROWS[0][1:])])
    put(table, file)
    (again,) = read(table, file)
    assert again.same_as is None
    assert again.warnings


def test_what_two_files_of_one_run_made_is_read_again(table: Table, tmp_path: Path) -> None:
    files = write(tmp_path / "m.csv"), write(tmp_path / "n.csv", ROWS[:1])
    for each in read(table, *files):
        table.store.manifests.put(each, now=NOON)
    assert table.store.manifests.last_import() is None


def test_an_import_meanwhile_is_not_passed_over(table: Table, tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv")
    put(table, file)
    (unread,) = read(table, file)
    put(table, write(tmp_path / "other.csv", ROWS[:1]))
    before = list(table.store.views.export())
    with pytest.raises(TableBusy, match="run again"):
        table.store.manifests.put(unread, now=table.later(3600))
    assert list(table.store.views.export()) == before


def test_another_process_understands_what_the_last_one_wrote_down() -> None:
    program = "from tweenbatch.manifest import Reading; print(Reading().digest)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.decode().strip() == Reading().digest


def test_another_price_is_another_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Reading().digest
    model = find("o1-standard")
    assert model.price is not None
    dear = replace(model, price=replace(model.price, usd=Decimal(9)))
    monkeypatch.setattr("tweenbatch.manifest.reading.ENDPOINTS", {**ENDPOINTS, dear.id: dear})
    assert Reading().digest != before
