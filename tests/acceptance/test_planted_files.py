"""A folder from a stranger: what lies under the names of our files is not followed."""

import os
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.planted import KINDS, Outside

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    return Outside(tmp_path_factory.mktemp("home") / "outside")


def one_sentence(said: str, name: str) -> bool:
    (line,) = said.splitlines()
    return line.startswith("tweenbatch: ") and name in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_pays_nothing_where_its_lock_is_none(
    tweenbatch: Command, fal: Server, outside: Outside, kind: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    outside.plant(tweenbatch.folder / "tweenbatch.db.lock", kind)
    ran = tweenbatch(*RUN)
    assert ran.returncode == 2
    assert one_sentence(ran.stderr, "tweenbatch.db.lock")
    assert outside.is_untouched
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hard link"])
def test_a_run_pays_nothing_where_its_witness_is_none(
    tweenbatch: Command, fal: Server, outside: Outside, kind: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    outside.plant(tweenbatch.folder / "tweenbatch.db.witness", kind)
    ran = tweenbatch(*RUN)
    assert ran.returncode == 4
    assert "tweenbatch.db.witness can't be written" in ran.stderr.splitlines()[-1]
    assert outside.is_untouched
    assert fal.ledger()["posts"] == 0


def test_what_is_no_lock_of_ours_is_not_written_over(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    theirs = tweenbatch.folder / "app.lock"
    theirs.write_text("GEM\n  remote: https://example.com/\n")
    ran = tweenbatch(*RUN, "--db", "sqlite:///app")
    assert ran.returncode == 2
    assert one_sentence(ran.stderr, "app.lock already exists")
    assert theirs.read_text().startswith("GEM\n")
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize("end", ["", "-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "device", "folder"])
def test_a_table_that_is_none_is_neither_followed_nor_waited_for(
    tweenbatch: Command, fal: Server, outside: Outside, kind: str, end: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    if end:
        assert tweenbatch(*RUN, "--limit", "0").returncode == 3
    outside.plant(tweenbatch.folder / f"tweenbatch.db{end}", kind)
    for arguments in (RUN, ("status",)):
        ran = tweenbatch(*arguments)
        assert ran.returncode == 2
        assert one_sentence(ran.stderr, f"tweenbatch.db{end}")
    assert outside.is_untouched
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "device", "folder"])
def test_clips_come_home_beside_whatever_was_planted(
    tweenbatch: Command, fal: Server, outside: Outside, kind: str
) -> None:
    manifests.project(tweenbatch.folder, 2)
    videos = tweenbatch.folder / "videos"
    for name in ("clip-2.mp4", "results.csv", "results.csv.part"):
        outside.plant(videos / name, kind)
    if kind != "folder":
        outside.plant(videos / "clip-1.mp4.part", kind)
    ran = tweenbatch(*RUN)
    assert ran.returncode == 0, ran.stderr
    assert (tweenbatch.jobs(), fal.ledger()["posts"]) == ({"succeeded": 2}, 2)
    assert "  results  not written to videos/results.csv (results.csv is a " in ran.stdout
    assert (videos / "clip-1.mp4").stat().st_size > 0
    assert len([path for path in videos.glob("clip-2-*.mp4") if path.is_file()]) == 1
    assert outside.is_untouched


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_writes_the_list_of_problems_over_nothing_planted(
    tweenbatch: Command, outside: Outside, kind: str
) -> None:
    (tweenbatch.folder / "m.csv").write_text("prompt,start_image,end_image\n,a,b\n")
    outside.plant(tweenbatch.folder / "m.csv.problems.csv", kind)
    outside.plant(tweenbatch.folder / "m.csv.problems.csv.part", kind)
    ran = tweenbatch("plan", "m.csv")
    assert ran.returncode == 2
    assert "the list of all problems is missing: m.csv.problems.csv" in ran.stderr
    assert outside.is_untouched


@pytest.mark.parametrize("place", ["rehearsal", "rehearsal/tweenbatch.db", "rehearsal/videos"])
def test_a_rehearsal_keeps_apart_from_what_was_paid_for(tweenbatch: Command, place: str) -> None:
    manifests.project(tweenbatch.folder, 1)
    assert tweenbatch(*RUN, "--limit", "0").returncode == 3
    path = tweenbatch.folder / place
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tweenbatch.folder if place == "rehearsal" else tweenbatch.folder / path.name)
    ran = tweenbatch(*RUN, "--rehearse")
    assert ran.returncode == 2
    assert one_sentence(ran.stderr, place)
    assert tweenbatch.jobs() == {"pending": 1}


def test_a_rehearsal_removes_no_files_of_others(tweenbatch: Command, outside: Outside) -> None:
    manifests.project(tweenbatch.folder, 1)
    state = tweenbatch.folder / "rehearsal" / "emulator"
    state.mkdir(parents=True)
    (state / "files").symlink_to(outside.place)
    ran = tweenbatch(*RUN, "--rehearse")
    assert ran.returncode == 2
    assert "leads out of" in ran.stderr
    assert outside.is_untouched


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "folder" not in kind])
def test_a_log_is_written_to_a_file_alone(
    tweenbatch: Command, fal: Server, outside: Outside, kind: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    outside.plant(tweenbatch.folder / "run.log", kind)
    ran = tweenbatch(*RUN, "--log-file", "run.log")
    assert ran.returncode == 2
    assert one_sentence(ran.stderr, "run.log")
    assert outside.is_untouched
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize("name", ["rejected", "done"])
def test_an_inbox_puts_nothing_away_behind_a_link(
    tweenbatch: Command, outside: Outside, name: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    inbox = tweenbatch.folder / "inbox"
    inbox.mkdir()
    (inbox / name).symlink_to(outside.place)
    manifests.write(inbox / "m.csv", manifests.rows(1 if name == "done" else 0))
    for frame in ("a.png", "b.png"):
        (tweenbatch.folder / frame).rename(inbox / frame)
    os.utime(inbox / "m.csv", (1_000_000_000, 1_000_000_000))
    ran = tweenbatch("run", "--inbox", "inbox", "--yes")
    assert ran.returncode == (0 if name == "done" else 1), ran.stderr
    assert "can't be moved" in ran.stdout + ran.stderr
    assert "leads out of" in ran.stdout + ran.stderr
    assert Path(inbox, "m.csv").exists()
    assert outside.is_untouched
