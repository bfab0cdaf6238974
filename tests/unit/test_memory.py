"""A frame is looked at once; again only where its file may be another by now."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError
from tweenbatch.frames.appearance import Appearance
from tweenbatch.frames.cache import INSPECTOR_VERSION, TICK_NS, FrameCache
from tweenbatch.frames.inspect import FrameFacts
from tweenbatch.manifest import Reading
from tweenbatch.records import CachedFrame
from tweenbatch.records.manifest import Manifest

SECOND = 1_000_000_000


@dataclass
class Desk:
    """A manifest of two frames, and what was remembered of them."""

    path: Path
    kept: dict[str, CachedFrame] = field(default_factory=dict)
    looks: int = 0
    asked: list[str] = field(default_factory=list)

    def recall(self, paths: Iterable[str]) -> Mapping[str, CachedFrame]:
        self.asked = list(paths)
        return {path: self.kept[path] for path in self.asked if path in self.kept}

    def begun(self) -> None:
        self.looks += 1

    def looked_at(self) -> None:
        """Nobody waits for it here."""

    def memory(self, *, after_ns: int = 10 * SECOND) -> FrameCache:
        """Return a memory that looks so long after the last change of the frames."""
        files = [path.stat() for path in self.path.parent.glob("*.png")]
        latest = max(max(file.st_mtime_ns, file.st_ctime_ns) for file in files)
        return FrameCache(recall=self.recall, watcher=self, now_ns=lambda: latest + after_ns)

    def read(self, *, after_ns: int = 10 * SECOND, **reading: Any) -> tuple[Manifest, int]:
        """Read, remember, and tell how many frames were really looked at."""
        memory = self.memory(after_ns=after_ns)
        self.looks = 0
        read = manifest.read(self.path, Reading(memory=memory, **reading))
        self.kept |= {frame.path: frame for frame in memory.new()}
        return read, self.looks


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(manifests.project(tmp_path, 3))


def keys(read: Manifest) -> list[str]:
    return [row.spec.key for row in read.rows]


def test_a_remembered_frame_is_not_looked_at_again(desk: Desk) -> None:
    first, looks = desk.read()
    assert looks == 2
    again, looks = desk.read()
    assert looks == 0
    assert keys(again) == keys(first)


def test_what_a_look_found_holds_as_long_as_the_look(desk: Desk) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGBA", (400, 400), (9, 9, 9, 7)).save(desk.path.with_name("a.png"), exif=exif)
    first, _ = desk.read()
    assert len(first.warnings) > 1
    again, looks = desk.read()
    assert (looks, again.warnings) == (0, first.warnings)


@pytest.mark.parametrize("fact", ["bytes", "mtime_ns", "ctime_ns", "inode"])
def test_a_file_in_another_state_is_looked_at_again(desk: Desk, fact: str) -> None:
    desk.read()
    path = str(desk.path.with_name("a.png"))
    seen = desk.kept[path]
    other = replace(seen.file, **{fact: getattr(seen.file, fact) + 1})
    desk.kept[path] = replace(seen, file=other)
    assert desk.read()[1] == 1
    assert desk.kept[path] == seen


def test_the_state_of_a_file_is_what_the_file_system_says_of_it(desk: Desk) -> None:
    desk.read()
    assert desk.kept
    for path, seen in desk.kept.items():
        status = Path(path).stat()
        assert astuple(seen.file) == (
            *(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino),
        )


def rewrite(frame: Path, new: bytes) -> None:
    frame.write_bytes(new)


def exchange(frame: Path, new: bytes) -> None:
    other = frame.with_name("other")
    other.write_bytes(new)
    other.replace(frame)


@pytest.mark.parametrize("change", [rewrite, exchange])
def test_neither_its_size_nor_a_restored_time_hides_another_image(desk: Desk, change: Any) -> None:
    frame = desk.path.with_name("a.png")
    Image.new("RGB", (400, 400), (1, 2, 3)).save(frame, "PNG", compress_level=0)
    first, _ = desk.read()
    before = frame.stat()
    Image.new("RGB", (400, 400), (3, 2, 1)).save(frame.with_name("new"), "PNG", compress_level=0)
    change(frame, frame.with_name("new").read_bytes())
    os.utime(frame, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (frame.stat().st_size, frame.stat().st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )
    again, looks = desk.read()
    assert looks == 1
    assert not set(keys(again)) & set(keys(first))


@pytest.mark.parametrize(("after_ns", "kept"), [(TICK_NS - 1, False), (TICK_NS, True)])
@pytest.mark.parametrize("set_back", [False, True])
def test_a_file_that_was_changed_a_moment_ago_is_not_remembered(
    desk: Desk, after_ns: int, *, kept: bool, set_back: bool
) -> None:
    latest = manifests.frame(desk.path.with_name("b.png"), (1, 2, 3))
    if set_back:
        os.utime(latest, ns=(0, 0))
    desk.read(after_ns=after_ns)
    assert (str(latest) in desk.kept) is kept


def test_a_file_that_changes_while_it_is_looked_at_is_not_remembered(desk: Desk) -> None:
    memory = desk.memory()
    manifest.read(desk.path, Reading(memory=memory))
    manifests.frame(desk.path.with_name("a.png"), (9, 9, 9))
    assert [Path(frame.path).name for frame in memory.new()] == ["b.png"]


def test_a_damaged_frame_is_never_remembered(desk: Desk) -> None:
    frame = desk.path.with_name("a.png")
    frame.write_bytes(frame.read_bytes()[:-40])
    memory = desk.memory()
    with pytest.raises(ManifestError, match="can't be decoded"):
        manifest.read(desk.path, Reading(memory=memory))
    assert [Path(frame.path).name for frame in memory.new()] == ["b.png"]


@pytest.mark.parametrize(
    "change",
    [
        {"inspector_version": INSPECTOR_VERSION + 1},
        {"facts": {}},
        {"facts": {"look": {}, "bytes": 1, "format": "PNG"}},
    ],
)
def test_what_another_version_found_is_not_believed(desk: Desk, change: dict[str, Any]) -> None:
    desk.read()
    path = str(desk.path.with_name("a.png"))
    desk.kept[path] = replace(desk.kept[path], **change)
    assert desk.read()[1] == 1


def test_a_frame_that_is_too_large_is_read_to_be_refused(desk: Desk) -> None:
    desk.read()
    path = str(desk.path.with_name("a.png"))
    facts = {**desk.kept[path].facts, "bytes": 30_000_001}
    desk.kept[path] = replace(desk.kept[path], facts=facts)
    assert desk.read()[1] == 1


def test_a_remembered_frame_outside_the_batch_stays_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "x" / "y"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    frame = manifests.frame(tmp_path / "far.png")
    manifests.frame(inner / "b.png")
    path = manifests.write(inner / "m.csv", manifests.rows(1, start_image=str(frame)))
    desk = Desk(path)
    desk.read(frames=(tmp_path,))
    assert str(frame) in desk.kept
    with pytest.raises(ManifestError, match="outside the folders of this batch"):
        desk.read()


def test_addresses_are_never_asked_for(desk: Desk) -> None:
    looks_alike = desk.path.parent / "https:" / "x.example"
    looks_alike.mkdir(parents=True)
    manifests.frame(looks_alike / "a.png")
    manifests.write(
        desk.path,
        manifests.rows(2, start_image="https://x.example/a.png", end_image="https://x.example/b"),
    )
    desk.read()
    assert desk.asked == []


@pytest.mark.parametrize("name", ["\udcff.png", "é" * 1001])
def test_a_path_that_no_table_holds_is_not_asked_for(desk: Desk, name: str) -> None:
    desk.memory().expect([Path(name)])
    assert desk.asked == []


def test_whoever_changes_what_a_look_finds_changes_the_number_of_the_looker() -> None:
    found = [each.name for kind in (FrameFacts, Appearance) for each in fields(kind)]
    assert {INSPECTOR_VERSION: found} == {
        1: [
            *("sha256", "bytes", "format", "width", "height", "content_type"),
            *("turned", "transparent", "cmyk", "deep", "animated", "tiny"),
        ]
    }
