"""Names that every file system takes, and files that never overwrite one another."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.files.atomic import make_folder_of, publish, write
from tweenbatch.files.names import slug

DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("autumn to winter", "autumn-to-winter"),
        ("  Été à la café  ", "Ete-a-la-cafe"),
        ("v1.2_final", "v1.2_final"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\temp\\x.mp4", "C-temp-x.mp4"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("name. . .", "name"),
        ("a\0b\nc", "a-b-c"),
        ("a --- b", "a-b"),
        ("ﬁﬁ²", "fifi2"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("COM¹", "_COM1"),
        ("console", "console"),
        ("aux-1", "aux-1"),
        ("秋から冬", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_a_text_becomes_a_safe_name(text: str, name: str) -> None:
    assert slug(text) == name


def test_a_long_text_is_cut_without_leaving_a_dot_or_a_device_at_its_end() -> None:
    assert slug("x" * 500) == "x" * 120
    assert slug("x" * 119 + ".mp4") == "x" * 119
    assert slug("nul" + "-." * 100 + "x") == "_nul"
    assert slug("con." + "x" * 200) == "_con." + "x" * 115
    assert slug("con." + "x" * 114 + ".y") == "_con." + "x" * 114


@given(
    st.text()
    | st.text("conaulptx.-_ /\\0123", max_size=300)
    | st.builds("{}{}".format, st.sampled_from(sorted(DEVICES)), st.text(".- x", max_size=200))
)
def test_any_text_gives_a_safe_name_that_is_its_own_name(text: str) -> None:
    name = slug(text)
    assert slug(name) == name
    assert len(name.encode()) <= 120
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert name == name.strip(".-")
    assert name.partition(".")[0].lower() not in DEVICES


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "clip.part"
    path.write_bytes(b"whole clip")
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def refuse_links(code: int) -> Callable[..., None]:
    def link(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return link


@pytest.fixture(params=["links", "no links"])
def any_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse_links(errno.EPERM))


@pytest.mark.usefixtures("any_file_system")
def test_a_finished_file_takes_its_name_and_leaves_nothing_else(part: Path, target: Path) -> None:
    assert publish(part, target) == target
    assert target.read_bytes() == b"whole clip"
    assert target.stat().st_nlink == 1
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("other", [b"other clip", b"", b"whole clip, and more"])
def test_another_content_is_never_overwritten(part: Path, target: Path, other: bytes) -> None:
    target.write_bytes(other)
    with pytest.raises(FileExistsError):
        publish(part, target)
    assert target.read_bytes() == other
    assert part.read_bytes() == b"whole clip"


@pytest.mark.usefixtures("any_file_system")
def test_the_same_content_stays_and_the_part_goes(part: Path, target: Path) -> None:
    target.write_bytes(b"whole clip")
    before = target.stat()
    assert publish(part, target) == target
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not part.exists()


def test_a_crash_between_the_two_names_is_finished_by_the_next_try(
    part: Path, target: Path
) -> None:
    target.hardlink_to(part)
    assert publish(part, target) == target
    assert target.read_bytes() == b"whole clip"
    assert not part.exists()


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("kind", ["folder", "link to the same content", "link to nothing"])
def test_a_target_that_is_no_file_is_another_content(
    tmp_path: Path, part: Path, target: Path, kind: str
) -> None:
    if kind == "folder":
        target.mkdir()
    else:
        elsewhere = tmp_path / "elsewhere.mp4"
        if kind == "link to the same content":
            elsewhere.write_bytes(b"whole clip")
        target.symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        publish(part, target)
    assert part.read_bytes() == b"whole clip"


def test_a_part_that_is_a_symbolic_link_is_refused(tmp_path: Path, target: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    part = tmp_path / "clip.part"
    part.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        publish(part, target)
    assert not target.exists()


def test_a_file_is_not_published_onto_itself(part: Path) -> None:
    with pytest.raises(ValueError, match="onto itself"):
        publish(part, part.parent / "." / part.name)
    assert part.read_bytes() == b"whole clip"


@pytest.mark.parametrize(
    "code",
    sorted(
        {
            *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS),
            *(errno.EINVAL, errno.EXDEV, errno.EIO),
        }
    ),
)
def test_a_file_system_without_hard_links_is_served(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", refuse_links(code))
    assert publish(part, target).read_bytes() == b"whole clip"


def test_a_full_disk_is_no_missing_feature(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_links(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        publish(part, target)
    assert not target.exists()


def test_a_failed_rename_gives_the_name_back(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "link", refuse_links(errno.EPERM))
    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="broken"):
        publish(part, target)
    assert not target.exists()
    assert part.read_bytes() == b"whole clip"


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_folder_that_can_t_be_synced_is_no_trouble(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    refuse_to_sync(monkeypatch, stat.S_ISDIR, code)
    assert publish(part, target).read_bytes() == b"whole clip"
    write(target, b"another")
    assert target.read_bytes() == b"another"


@pytest.mark.parametrize(("of", "code"), [(stat.S_ISDIR, errno.EIO), (stat.S_ISREG, errno.EINVAL)])
def test_any_other_sync_that_fails_is_trouble(
    part: Path,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    of: Callable[[int], bool],
    code: int,
) -> None:
    refuse_to_sync(monkeypatch, of, code)
    with pytest.raises(OSError, match=os.strerror(code)):
        publish(part, target)
    with pytest.raises(OSError, match=os.strerror(code)):
        write(target.with_name("other"), b"whole")


def refuse_to_sync(monkeypatch: pytest.MonkeyPatch, of: Callable[[int], bool], code: int) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if of(os.fstat(file).st_mode):
            raise OSError(code, os.strerror(code))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)


def record_order(part: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Publish and return what was done to the file and its folder, in order."""
    steps: list[str] = []
    names = {part.stat().st_ino: "part", target.parent.stat().st_ino: "folder"}

    def traced(module: Any, name: str, describe: Callable[..., str]) -> None:
        real = getattr(module, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = real(*arguments, **options)
            steps.append(describe(*arguments))
            return result

        monkeypatch.setattr(module, name, call)

    traced(os, "fsync", lambda file: f"sync {names.get(os.fstat(file).st_ino, 'target')}")
    traced(os, "link", lambda *_: "name")
    traced(Path, "rename", lambda *_: "name")
    traced(Path, "unlink", lambda *_: "remove part")
    publish(part, target)
    return steps


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_the_part_goes(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = record_order(part, target, monkeypatch)
    assert steps == ["sync part", "name", "sync folder", "remove part"]


def test_without_hard_links_the_order_is_the_same(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_links(errno.EPERM))
    steps = record_order(part, target, monkeypatch)
    assert steps[:3] == ["sync part", "name", "sync folder"]


def test_a_target_left_by_a_crash_is_on_the_disk_before_the_part_goes(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(b"whole clip")
    steps = record_order(part, target, monkeypatch)
    assert steps == ["sync part", "sync target", "sync folder", "remove part"]


def test_the_folders_of_a_name_are_made_below_the_root_alone(tmp_path: Path) -> None:
    for _ in range(2):
        assert make_folder_of(tmp_path, "a/b/clip") == tmp_path / "a" / "b"
    assert make_folder_of(tmp_path, "clip") == tmp_path
    with pytest.raises(FileNotFoundError):
        make_folder_of(tmp_path / "gone", "a/clip")


def test_a_link_that_leads_out_of_the_root_is_refused_and_nothing_made_behind_it(
    tmp_path: Path,
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "a").symlink_to(outside)
    with pytest.raises(PermissionError, match="leads out of"):
        make_folder_of(root, "a/b/clip")
    assert list(outside.iterdir()) == []


def test_a_link_within_the_root_is_a_folder_like_others(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a").symlink_to("real")
    assert make_folder_of(tmp_path, "a/b/clip").resolve() == tmp_path / "real" / "b"
