"""Files that appear whole or not at all, with the rights that they had."""

import fcntl
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from support.planted import KINDS, Outside
from tweenbatch.files import atomic


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.csv"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        (None, None, 0o640),
        (0o600, None, 0o600),
        (0o664, None, 0o664),
        (None, 0o600, 0o600),
        (0o664, 0o600, 0o600),
    ],
)
def test_a_file_has_the_mode_of_the_one_before_it_or_of_any_new_one(
    path: Path, before: int | None, given: int | None, after: int
) -> None:
    if before is not None:
        path.touch()
        path.chmod(before)
    old = os.umask(0o027)
    try:
        atomic.write(path, b"new", mode=given)
    finally:
        os.umask(old)
    assert (path.read_bytes(), mode_of(path)) == (b"new", after)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_what_was_there_and_nothing_else(
    path: Path, error: type[BaseException]
) -> None:
    def fail() -> None:
        with atomic.writing_text(path) as file:
            file.write("half")
            raise error

    path.write_text("old")
    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_name_comes_after_the_content_and_before_the_folder_s_sync(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def traced(name: str) -> None:
        real = getattr(os, name)

        def call(first: Any, *more: Any, **options: Any) -> Any:
            kind = ""
            if name == "fsync":
                kind = " folder" if stat.S_ISDIR(os.fstat(first).st_mode) else " file"
            steps.append(name + kind)
            return real(first, *more, **options)

        monkeypatch.setattr(os, name, call)

    traced("fsync")
    traced("replace")
    atomic.write(path, b"new")
    assert steps == ["fsync file", "replace", "fsync folder"]


def test_without_leave_nothing_is_written_over(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(FileExistsError), atomic.writing(path, over=False) as file:
        file.write(b"new")
    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


def test_a_long_name_is_written_under_a_shorter_one_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".csv")
    atomic.write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_cleared_and_what_a_living_one_writes_is_not(
    path: Path,
) -> None:
    left = path.with_name(".out.csv.0123456789abcdef.part")
    left.write_text("half")
    others = [path.with_name(name) for name in ("out.csv.part", ".out.csv.old.part", "mine.part")]
    for other in others:
        other.write_text("mine")
    with atomic.unfinished(path) as (part, _):
        atomic.clear_leftovers(path)
        assert part.exists()
        assert not left.exists()
    assert all(other.exists() for other in others)


def test_two_at_one_time_write_a_whole_file_each(path: Path) -> None:
    with atomic.writing(path) as one, atomic.writing(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert list(path.parent.iterdir()) == [path]


def test_where_there_are_no_locks_files_are_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(37, os.strerror(37))

    left = path.with_name(".out.csv.0123456789abcdef.part")
    left.write_text("it may be written by somebody")
    monkeypatch.setattr(fcntl, "flock", flock)
    atomic.clear_leftovers(path)
    atomic.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert left.exists()


def test_nothing_is_moved_over_a_name_that_is_taken(tmp_path: Path, path: Path) -> None:
    path.write_text("mine")
    place = tmp_path / "there.csv"
    place.symlink_to("nothing")
    with pytest.raises(FileExistsError):
        atomic.move(path, place)
    assert path.exists()
    place.unlink()
    atomic.move(path, place)
    assert place.read_text() == "mine"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nothing")
    with pytest.raises(NotADirectoryError, match="a exists, but isn't a folder"):
        atomic.make_folder_of(tmp_path, "a/clip")


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_file_is_made_only_under_a_free_name(tmp_path: Path, path: Path, kind: str) -> None:
    outside = Outside(tmp_path / "outside")
    outside.plant(path, kind)
    with pytest.raises(FileExistsError):
        atomic.created(path)
    assert outside.is_untouched


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND])
def test_what_is_planted_between_the_look_and_the_opening_is_not_opened_either(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, flags: int
) -> None:
    outside = Outside(tmp_path / "outside")
    real = os.open

    def swapped(name: Path, *arguments: Any, **options: Any) -> int:
        if name == path and not os.path.lexists(path):
            outside.plant(path, kind)
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", swapped)
    if kind == "hard link" and flags == os.O_RDONLY:
        os.close(atomic.open_regular(path, flags))  # reading changes nothing
        return
    with pytest.raises(OSError):  # noqa: PT011 - the system's or ours
        atomic.open_regular(path, flags, create=True)
    assert outside.is_untouched
