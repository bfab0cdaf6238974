"""Money is spent only where what it buys can be written."""

from pathlib import Path

import pytest

from tweenbatch import disk, session
from tweenbatch.errors import OutputUnusable


def test_a_disk_with_room_is_no_trouble(tmp_path: Path) -> None:
    assert disk.trouble([tmp_path]) is None


def test_below_the_floor_it_says_how_much_is_free_and_where(tmp_path: Path) -> None:
    said = disk.trouble([tmp_path], floor_bytes=10**18)
    assert said is not None
    assert f" MB are free in {tmp_path}, and nothing is submitted with less than" in said
    assert "make room there" in said


def test_every_folder_is_looked_at(tmp_path: Path) -> None:
    said = disk.trouble([tmp_path, tmp_path / "gone"])
    assert said is not None
    assert f"{tmp_path / 'gone'} can't be reached (No such file or directory)" in said


def test_before_anything_is_submitted_it_is_a_matter_of_usage(tmp_path: Path) -> None:
    with pytest.raises(OutputUnusable, match="nothing was submitted"):
        session.check_room([tmp_path / "gone"])
