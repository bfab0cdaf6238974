"""One test file runs in its own time: workers are started only where they save time."""

from pathlib import Path

import pytest

from support.workers import FEW_FILES, MANY, workers_for

HERE = Path(__file__)


@pytest.mark.parametrize(
    "named",
    [
        [str(HERE)],
        [f"{HERE}::test_a_whole_folder_gets_workers"],
        [f"{HERE}::one", f"{HERE}::two", f"{HERE}::three", f"{HERE}::four"],
        [str(HERE), str(HERE.parents[1] / "conftest.py")],
    ],
)
def test_a_few_files_get_no_workers(named: list[str]) -> None:
    assert workers_for(named) == 0


def test_a_whole_folder_gets_workers() -> None:
    assert workers_for([str(HERE.parent)]) == MANY


def test_a_folder_beside_a_file_gets_workers() -> None:
    assert workers_for([str(HERE), str(HERE.parent)]) == MANY


def test_many_files_get_workers() -> None:
    files = sorted(map(str, HERE.parent.glob("test_*.py")))
    assert len(files) > FEW_FILES
    assert workers_for(files) == MANY
