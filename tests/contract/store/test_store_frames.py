"""What image files were found to be is remembered by their paths."""

from dataclasses import replace

from support.jobtable import Table
from tweenbatch.records import CachedFrame, FileState

FILE = FileState(bytes=7, mtime_ns=1_772_000_000_123_456_789, ctime_ns=2**62, inode=2**64 - 1)
DAWN = CachedFrame(
    path="/frames/dawn é 日.png",
    file=FILE,
    sha256="a" * 64,
    facts={"width": 300, "format": "PNG", "alpha": False, "orientation": None},
    inspector_version=1,
)


def test_a_frame_comes_back_as_it_was_found(table: Table) -> None:
    table.store.cache.remember_frames([DAWN])
    assert table.store.cache.remembered_frames([DAWN.path, "/frames/never.png"]) == {
        DAWN.path: DAWN
    }


def test_of_a_path_the_latest_look_counts(table: Table) -> None:
    again = replace(DAWN, sha256="b" * 64, file=replace(FILE, mtime_ns=3), inspector_version=2)
    table.store.cache.remember_frames([DAWN])
    table.store.cache.remember_frames([replace(again, inspector_version=1), again])
    assert table.store.cache.remembered_frames([DAWN.path]) == {DAWN.path: again}


def test_more_frames_than_one_statement_holds_are_remembered(table: Table) -> None:
    found = [replace(DAWN, path=f"/frames/{number}.png") for number in range(12_000)]
    table.store.cache.remember_frames(found)
    assert len(table.store.cache.remembered_frames(frame.path for frame in found)) == len(found)


def test_nothing_asked_for_and_nothing_found_is_nothing(table: Table) -> None:
    table.store.cache.remember_frames([])
    assert table.store.cache.remembered_frames([]) == {}
