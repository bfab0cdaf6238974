"""Every writer, in a folder where another program has put something under its names."""

import asyncio
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from types import MappingProxyType

import click
import pytest
from click.testing import CliRunner

from support import manifests
from support.jobtable import NOON
from support.planted import KINDS, Outside
from tweenbatch import logs, manifest
from tweenbatch.cli.commands import backup, export, pairs, schedule
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import ManifestError, Problem, TweenbatchError
from tweenbatch.files import atomic
from tweenbatch.files.output import check_output
from tweenbatch.frames.fit import Fit, Way
from tweenbatch.manifest import Reading, problems_file
from tweenbatch.models import KLING_O1
from tweenbatch.models.remembered import remember
from tweenbatch.nights.digests import DigestDelivery
from tweenbatch.records import Request
from tweenbatch.recovery.witness import AcceptedRequest, Witness
from tweenbatch.report import results
from tweenbatch.report.digest import Digest
from tweenbatch.store import RunnerLock, Store

REQUEST = Request(request_id="r-1", status_url="s", response_url="r", cancel_url="c")
NOTE = AcceptedRequest(key="k" * 64, attempt=1, endpoint="kling", request=REQUEST, accepted_at=NOON)
BAD = "prompt,start_image,end_image\n,https://example.com/a.png,https://example.com/b.png\n"


def called(command: click.Command, *arguments: str) -> None:
    ended = CliRunner().invoke(command, arguments)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception


def fitted(folder: Path) -> None:
    source = folder.parent / "source"
    source.mkdir(exist_ok=True)
    manifests.frame(source / "a.png")
    manifests.frame(source / "b.png", size=(360, 640))
    row = {"prompt": "x", "start_image": "a.png", "end_image": "b.png"}
    path = manifests.write(source / "m.csv", [row])
    fit = Fit(way=Way.PAD, folder=folder / "fitted", writes=True)
    try:
        manifest.read(path, Reading(fit=fit))
    except ManifestError as error:  # it says so of the row
        raise OSError(str(error.problems[0].message)) from error


def problems(folder: Path) -> None:
    path = folder / "m.csv"
    path.write_text(BAD)
    found = ManifestError(path, [Problem(message="it is wrong", row=2)], has_columns=True)
    problems_file.write(found)
    if found.listed is None:
        raise OSError(found.unlisted)


def digest(folder: Path) -> None:
    said: list[str] = []
    told = Digest(job="night", night=date(2026, 12, 1), why="no run")
    if not DigestDelivery(folder=folder, targets=(), say=said.append).send(told):
        raise OSError(said[0])


def remembered(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TWEENBATCH_MODELS", str(folder))
        remember(KLING_O1)


def manifest_of_frames(folder: Path) -> None:
    source = folder.parent / "source"
    source.mkdir(exist_ok=True)
    manifests.frame(source / "a.png", (1, 2, 3))
    manifests.frame(source / "b.png", (4, 5, 6))
    called(pairs.command, str(source), "-o", str(folder / "e.csv"), "--force")


def table(folder: Path) -> str:
    url = f"sqlite:///{folder.parent / 'table.db'}"
    Store.open(url).close()
    return url


def exported(folder: Path) -> None:
    called(export.command, "--db", table(folder), "-o", str(folder / "out.csv"), "--force")


def copied(folder: Path) -> None:
    called(backup.command, "--db", table(folder), str(folder / "copy.db"), "--force")


def scheduled(folder: Path) -> None:
    job = folder.parent / "night.toml"
    job.write_text('manifests = ["m.csv"]\nyes = true\n')
    called(schedule.command, str(job), "--systemd", "--write", str(folder), "--force")


def locked(folder: Path) -> None:
    with RunnerLock(f"sqlite:///{folder / 'tweenbatch.db'}"):
        pass


def new_table(folder: Path) -> None:
    Store.open(f"sqlite:///{folder / 'tweenbatch.db'}").close()


def witness(folder: Path) -> None:
    with Witness(folder / "tweenbatch.db.witness") as kept:
        kept.prepare(notes=1)
        kept.keep(NOTE)


def log(folder: Path) -> None:
    with logs.written(logs.Form.TEXT, file=folder / "run.log", level=None):
        logs.log.info("it ran")


def emulator(folder: Path) -> None:
    async def start_and_stop() -> None:
        server = Emulator(Settings(render=False), state=folder)
        try:
            await server.start()
        finally:
            await server.stop()

    asyncio.run(start_and_stop())


WRITERS: Mapping[str, Callable[[Path], None]] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            *(fitted, problems, digest, remembered, manifest_of_frames, exported, copied),
            *(scheduled, locked, new_table, witness, log, emulator),
        )
    }
)


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def guessed(name: str) -> list[str]:
    """What the unfinished file could be called, and was called once."""
    return [f"{name}.part", f"{name}.{os.getpid()}.part", f".{name}.part", f"{name}.tmp"]


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "work"
    place.mkdir()
    return place


@pytest.fixture(autouse=True)
def _waits_for_nobody() -> Iterator[None]:
    def ring(*_: object) -> None:
        pytest.fail("it waits for ever at something planted")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def written_by(writer: str, folder: Path) -> set[str]:
    """Let it write where nothing is planted; return the names of its files."""
    WRITERS[writer](folder)
    return names(folder) - {"m.csv"}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_writer_leaves_its_files_and_nothing_unfinished(writer: str, folder: Path) -> None:
    first = written_by(writer, folder)
    assert not [name for name in first if name.endswith((".part", ".tmp"))]
    # Again, over what it wrote itself.
    assert written_by(writer, folder) == first


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_planted_under_its_name_is_refused_in_a_sentence(
    writer: str, kind: str, folder: Path, outside: Outside
) -> None:
    for name in written_by(writer, folder) or {"tweenbatch.db.witness"}:
        planted = folder / name
        outside.plant(planted, kind)
        before = planted.lstat()
        try:
            WRITERS[writer](folder)
        except (OSError, TweenbatchError) as error:
            told = error.strerror if isinstance(error, atomic.NotRegular) else str(error)
            assert told
            assert planted.name in told
            assert "\n" not in told
            assert (planted.lstat().st_ino, planted.lstat().st_mode) == (
                *(before.st_ino, before.st_mode),
            )
        else:
            # A file is replaced under this name, and stays what it was under its other one.
            assert kind == "hard link"
        assert outside.is_untouched
        if planted.is_dir() and not planted.is_symlink():
            planted.rmdir()
        else:
            planted.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_planted_under_a_name_that_could_be_guessed_is_passed_over(
    writer: str, kind: str, folder: Path, outside: Outside
) -> None:
    own = written_by(writer, folder)
    planted = [(folder / name).with_name(each) for name in own for each in guessed(Path(name).name)]
    for path in planted:
        outside.plant(path, kind)
    before = [path.lstat() for path in planted]
    WRITERS[writer](folder)
    assert [path.lstat().st_ino for path in planted] == [facts.st_ino for facts in before]
    assert outside.is_untouched


@pytest.mark.parametrize("writer", sorted(WRITERS.keys() - {"fitted"}))
def test_a_read_only_folder_is_trouble_in_a_sentence(writer: str, folder: Path) -> None:
    (folder / "m.csv").write_text(BAD)
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")
    try:
        with pytest.raises((OSError, TweenbatchError), match=r"denied|can't be"):
            WRITERS[writer](folder)
        assert names(folder) == {"m.csv"}
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_results_file_of_ours_is_written_over(
    kind: str, folder: Path, outside: Outside
) -> None:
    path = folder / "results.csv"
    outside.plant(path, kind)
    if kind == "hard link":
        assert not results.may_be_overwritten(path)
    else:
        with pytest.raises(OSError, match=r"results\.csv is a"):
            results.may_be_overwritten(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_problems_is_ours_only_as_a_file(
    kind: str, folder: Path, outside: Outside
) -> None:
    place = folder / "m.csv.problems.csv"
    problems(folder)
    outside.file.write_bytes(place.read_bytes())
    outside.plant(place, kind)
    problems_file.forget([folder / "m.csv"])
    assert outside.file.exists()
    assert os.path.lexists(place) == (kind != "hard link")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_list_of_problems_is_ours_however_an_editor_saved_it(
    folder: Path, mark: bytes, end: bytes
) -> None:
    line = ",".join(problems_file.COLUMNS).encode()
    place = folder / "m.csv.problems.csv"
    place.write_bytes(mark + line + end + b"m.csv,2" + end)
    assert problems_file.is_ours(place)
    place.write_bytes(mark + line + b",mine" + end)
    assert not problems_file.is_ours(place)


@pytest.mark.parametrize(
    ("name", "content", "is_listed"),
    [
        ("passwd", "root:x:0:0:root:/root:/bin/bash\n", False),
        ("notes", "a,b,c\n1,2,3\n", False),
        ("shots", BAD, True),
        ("shots", "prompt\nx\n", True),
        ("m.csv", "a,b,c\n1,2,3\n", True),
    ],
)
def test_problems_are_listed_only_beside_what_is_meant_to_be_a_manifest(
    folder: Path, name: str, content: str, is_listed: bool
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ManifestError) as found:
        manifest.read_all([folder / name], Reading())
    problems_file.write(found.value)
    assert (found.value.listed is not None) == is_listed
    assert names(folder) == {name} | ({f"{name}.problems.csv"} if is_listed else set())


def test_the_emulator_removes_no_files_but_its_own_leftovers(
    folder: Path, outside: Outside
) -> None:
    emulator(folder)
    mine = folder / "files" / "mine.txt"
    mine.write_text("mine")
    left = folder / "files" / f"{'0' * 32}.mp4"
    left.write_bytes(b"half a preview")
    emulator(folder)
    assert mine.exists()
    assert not left.exists()
    for path in (folder / "files").iterdir():
        path.unlink()
    (folder / "files").rmdir()
    (folder / "files").symlink_to(outside.place)
    with pytest.raises(TweenbatchError, match="leads out of"):
        emulator(folder)
    assert outside.is_untouched


def test_a_journal_that_no_emulator_wrote_stays_as_it_is(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    for text in ("my notes\nand more", '{"mine": 1}\n{"torn'):
        journal.write_text(text)
        with pytest.raises(TweenbatchError, match="isn't an emulator's journal"):
            emulator(folder)
        assert journal.read_text() == text


def test_the_output_folder_is_tried_before_anything_is_paid(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_output(folder)
    assert names(folder) == set()
    real = os.fsync

    def fail(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(5, os.strerror(5))
        real(file)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TweenbatchError, match=r"Input/output error.*nothing was submitted"):
        check_output(folder)
    assert names(folder) == set()


def test_a_killed_trial_of_the_output_folder_leaves_nothing_for_good(folder: Path) -> None:
    left = [folder / f".write-test-{'a' * 16}", folder / f".write-test-{'b' * 16}.part"]
    alive = folder / f".write-test-{'c' * 16}.part"
    mine = folder / ".write-test-of-mine.part"
    for each in (*left, alive, mine):
        each.write_bytes(b"tweenbatch")
    with alive.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check_output(folder)
    assert names(folder) == {alive.name, mine.name}


def test_a_link_to_a_table_that_is_there_is_the_table(folder: Path) -> None:
    Store.open(f"sqlite:///{folder / 'real.db'}").close()
    (folder / "tweenbatch.db").symlink_to("real.db")
    with closing(Store.open(f"sqlite:///{folder / 'tweenbatch.db'}")) as store:
        assert store.file == folder / "real.db"


@pytest.mark.parametrize("create", [True, False])
def test_no_table_is_made_in_an_empty_file_behind_a_link(folder: Path, create: bool) -> None:
    (folder / "empty").touch()
    (folder / "tweenbatch.db").symlink_to("empty")
    with pytest.raises(TweenbatchError, match=r"tweenbatch\.db is a symbolic link"):
        Store.open(f"sqlite:///{folder / 'tweenbatch.db'}", create=create)
    assert (folder / "empty").read_bytes() == b""
