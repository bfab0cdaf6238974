"""Money is spent only where what it buys can be written."""

from pathlib import Path

import pytest

from tweenbatch.errors import OutputUnusable
from tweenbatch.files import output
from tweenbatch.files import space as disk


def test_a_disk_with_room_is_no_trouble(tmp_path: Path) -> None:
    assert disk.trouble([tmp_path]) is None


def test_below_the_floor_it_says_how_much_is_free_and_where(tmp_path: Path) -> None:
    said = disk.trouble([tmp_path], floor_bytes=10**18)
    assert said is not None
    assert f"B are free in {tmp_path}, and nothing is submitted with less than" in said
    assert "free some space there" in said


def test_every_folder_is_looked_at(tmp_path: Path) -> None:
    said = disk.trouble([tmp_path, tmp_path / "gone"])
    assert said is not None
    assert f"{tmp_path / 'gone'} can't be reached (No such file or directory)" in said


def test_before_anything_is_submitted_it_is_a_matter_of_usage(tmp_path: Path) -> None:
    with pytest.raises(OutputUnusable, match="nothing was submitted"):
        output.check_room([tmp_path / "gone"])


@pytest.mark.parametrize(("free", "enough"), [(520_000_000, True), (519_000_000, False)])
def test_clips_fit_where_the_floor_stays_free_beside_them(free: int, enough: bool) -> None:
    room = disk.Room(folder=Path("videos"), clips=10, needed_bytes=520_000_000, free_bytes=free)
    assert (room.shortage is None) == enough


def test_what_clips_take_is_counted_before_their_folder_is_there(tmp_path: Path) -> None:
    room = disk.room(tmp_path / "not" / "yet", 10)
    assert room is not None
    assert room.needed_bytes == 10 * 27_000_000 + disk.FLOOR_BYTES
    assert room.free_bytes > 0


def test_too_little_room_says_how_much_is_needed_and_free_and_what_to_do(tmp_path: Path) -> None:
    room = disk.room(tmp_path, 10**9)
    assert room is not None
    with pytest.raises(OutputUnusable) as refusal:
        output.check_room([tmp_path], room)
    said = str(refusal.value)
    assert "1,000,000,000 clips need about 27,000.00 TB" in said
    assert f"B are free in {tmp_path}; free some space there" in said
    assert "--output" in said
    assert "--limit" in said
    assert said.endswith("nothing was submitted")
