"""Disks that fill, break or go read-only: nothing that was paid for is lost.

``TWEENBATCH_TEST_DISK=200`` lets the disk fail at operations 1, 2, 3 … 200, one after the other.
"""

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command, executable, until
from support.fal import Server
from support.faulty import Disk, doubled, needs_strace, steps

RESUME = ("run", "--yes", "--settle", "0")
TABLE = ("tweenbatch.db", "tweenbatch.db-journal", "tweenbatch.db-wal")
PARTS = tuple(f"videos/clip-{n}.mp4.part" for n in (1, 2, 3))
WITNESS = ("tweenbatch.db.witness",)

DISKS = {
    "table full": Disk(calls="pwrite64", error="ENOSPC", files=TABLE),
    "table broken": Disk(calls="fdatasync,fsync", error="EIO", files=TABLE),
    "table and witness full": Disk(calls="pwrite64", error="ENOSPC", files=TABLE + WITNESS),
    "table and witness broken": Disk(
        calls="fdatasync,fsync", error="EIO", files=(*TABLE, *WITNESS)
    ),
    "clips full": Disk(calls="write", error="ENOSPC", files=PARTS),
    "clips broken": Disk(calls="fsync", error="EIO", files=(*PARTS, "videos")),
    "clips read-only": Disk(calls="openat", error="EROFS", files=PARTS),
}

SPREAD = {
    "table full": (1, 60, 120, 300),
    "table broken": (9, 25),
    "table and witness full": (60,),
    "table and witness broken": (12,),
    "clips full": (1,),
    "clips broken": (3,),
    "clips read-only": (1,),
}
LONG = int(os.environ.get("TWEENBATCH_TEST_DISK", "0"))
CASES = [(name, k) for name, some in SPREAD.items() for k in (range(1, LONG + 1) if LONG else some)]


def says_what_to_do(ended: "subprocess.CompletedProcess[str]") -> bool:
    last = ended.stderr.splitlines()[-1]
    return "run again" in last or "--adopt" in last


@needs_strace
@pytest.mark.parametrize(("name", "k"), CASES)
def test_a_disk_that_fails_from_operation_k_on_costs_no_request_and_no_clip(
    tweenbatch: Command, fal: Server, name: str, k: int
) -> None:
    manifests.project(tweenbatch.folder, 3)
    assert tweenbatch("run", "manifest.csv", "--yes", "--limit", "0").returncode == 3
    # Only what this machine wrote down can tell: fal's own list does not, in these cases.
    if "witness" not in name:
        fal.script({"on": "history", "do": "omit"})
    ended, failed = DISKS[name].run(tweenbatch, k, *RESUME)
    assert "Traceback" not in ended.stderr
    if failed:
        assert ended.returncode in {2, 4}, ended.stderr
        assert says_what_to_do(ended), ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr
    if ended.returncode == 2:
        assert fal.ledger()["posts"] == 0
    jobs = tweenbatch.jobs()
    assert sum(jobs.values()) == 3
    again = tweenbatch(*RESUME)
    jobs = tweenbatch.jobs()
    ledger = fal.ledger()
    assert jobs.get("succeeded", 0) == ledger["accepted_count"] == ledger["posts"], again.stderr
    assert doubled(fal.prompts()) == []
    # An intent may be on the disk although its commit was said to have failed: nothing was sent.
    assert (again.returncode, jobs.get("uncertain", 0)) in {(0, 0), (5, 3 - ledger["posts"])}
    assert sum(jobs.values()) == 3
    videos = sorted(path.name for path in (tweenbatch.folder / "videos").iterdir())
    clips = [f"clip-{n}.mp4" for n in (1, 2, 3)]
    assert [name for name in videos if name in clips] == videos[: jobs["succeeded"]]
    assert videos[jobs["succeeded"] :] == ["results.csv"]
    assert not (tweenbatch.folder / WITNESS[0]).exists()


def test_what_can_be_written_nowhere_is_reported_and_can_be_given_by_hand(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(
        {"on": "submit", "do": "hold", "at": "reply", "id": "late"},
        {"on": "history", "do": "omit"},
    )
    with tweenbatch.started("run", "manifest.csv", "--yes") as run:
        fal.wait_for("held")
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (0, 0))
        fal.release("late")
        _, said = run.communicate(timeout=60)
    assert run.returncode == 4
    assert "failed during the run" in said.splitlines()[-1]
    request_id = fal.ledger()["accepted"][0]["request_id"]
    [by_hand] = re.findall(r"tweenbatch (resolve \d+ --adopt \S+)", said)
    assert by_hand == f"resolve 1 --adopt {request_id}"
    assert tweenbatch(*RESUME).returncode == 5
    assert tweenbatch(*by_hand.split(), "--yes").returncode == 0
    assert tweenbatch(*RESUME).returncode == 0
    assert (tweenbatch.jobs(), fal.ledger()["posts"]) == ({"succeeded": 1}, 1)


@contextmanager
def one_at_home_one_at_fal_and_one_waiting(
    tweenbatch: Command, fal: Server, run: "subprocess.Popen[str]"
) -> Iterator[None]:
    """Hold a run there; afterwards let it go on to its end."""
    fal.wait_for("held", count=2)
    until(lambda: tweenbatch.jobs() == {"pending": 1, "ready": 1, "submitted": 1})
    yield
    fal.script()
    fal.release()
    run.wait(60)


HELD = (
    {"on": "download", "do": "hold", "after_bytes": 100, "nth": 1},
    {"on": "generation", "do": "hold", "prompt_contains": "number 2"},
)
ONE_SLOT = ("run", "manifest.csv", "--yes", "--concurrency", "1")


def test_a_folder_that_becomes_read_only_stops_the_run_and_the_next_one_collects(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    videos = tweenbatch.folder / "videos"
    videos.mkdir(mode=0o555)
    if os.access(videos, os.W_OK):
        pytest.skip("this user may write everywhere")
    videos.chmod(0o755)
    fal.script(*HELD)
    with tweenbatch.started(*ONE_SLOT) as run:
        with one_at_home_one_at_fal_and_one_waiting(tweenbatch, fal, run):
            videos.chmod(0o555)
        out, said = run.communicate()
    videos.chmod(0o755)
    assert run.returncode == 4
    assert f"{videos} " in said.splitlines()[-1]
    assert "run again" in said.splitlines()[-1]
    assert "  stopped: " in out
    assert "  results  not written to videos/results.csv" in out
    assert (tweenbatch.jobs(), fal.ledger()["posts"]) == ({"pending": 1, "ready": 2}, 2)
    assert tweenbatch(*RESUME).returncode == 0
    assert (tweenbatch.jobs(), fal.ledger()["posts"]) == ({"succeeded": 3}, 3)
    assert not list(videos.glob("*.part"))


needs_mounts = pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="file systems of its own are not allowed here",
)


@contextmanager
def small_disk(command: Command, megabytes: int, *arguments: str) -> Iterator[tuple[Any, Path]]:
    """Run with the videos on a disk of that size; hand over the run and that disk's folder."""
    (command.folder / "videos").mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs videos"
    script = f'{mount} && exec "$0" "$@"'
    with subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", script, executable(), *arguments],
        cwd=command.folder,
        env=command.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            yield run, Path(f"/proc/{run.pid}/root{command.folder}/videos")
        finally:
            run.kill()


@needs_mounts
def test_with_too_little_room_nothing_is_submitted(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    with small_disk(tweenbatch, 100, "run", "manifest.csv", "--yes") as (run, _):
        _, said = run.communicate(timeout=60)
    assert run.returncode == 2
    assert f"only 104 MB are free in {tweenbatch.folder / 'videos'}" in said
    assert "free some space there, and run again; nothing was submitted" in said
    assert fal.ledger()["posts"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


@needs_mounts
def test_a_disk_that_fills_in_mid_run_takes_what_was_paid_for_and_nothing_new(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script(*HELD)
    with small_disk(tweenbatch, 400, *ONE_SLOT) as (run, videos):
        with one_at_home_one_at_fal_and_one_waiting(tweenbatch, fal, run):
            (videos / "ballast").write_bytes(bytes(200_000_000))
        out, said = run.communicate()
    assert run.returncode == 4
    assert "MB are free in" in said.splitlines()[-1]
    assert "run again" in said.splitlines()[-1]
    assert "  stopped: only " in out
    assert (tweenbatch.jobs(), fal.ledger()["posts"]) == ({"pending": 1, "succeeded": 2}, 2)


@needs_strace
def test_a_clip_is_on_the_disk_under_its_name_before_the_table_says_so(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 1)
    assert tweenbatch("run", "manifest.csv", "--yes", "--limit", "0").returncode == 3
    seen = steps(tweenbatch, "clip-1.mp4", "clip-1.mp4.part", "videos", "tweenbatch.db")
    home = seen.index("fsync clip-1.mp4.part")
    until_removed = seen.index("unlink clip-1.mp4.part", home)
    assert seen[home : until_removed + 1] == [
        "fsync clip-1.mp4.part",
        "link clip-1.mp4 clip-1.mp4.part",
        "fsync videos",
        "unlink clip-1.mp4.part",
    ]
    after = seen[until_removed + 1 :]
    assert [step for step in after if step.endswith(" tweenbatch.db")][:2] == [
        "pwrite64 tweenbatch.db",
        "fdatasync tweenbatch.db",
    ]


@needs_strace
@pytest.mark.parametrize("error", ["EINVAL", "EOPNOTSUPP"])
def test_where_folders_can_t_be_synced_all_is_done_as_elsewhere(
    tweenbatch: Command, fal: Server, error: str
) -> None:
    """CIFS and vboxsf are so, for the table as for the clips."""
    manifests.project(tweenbatch.folder, 2)
    (tweenbatch.folder / "videos").mkdir()
    nas = Disk(calls="fsync", error=error, files=("", "videos"))
    ended, failed = nas.run(tweenbatch, 1, "run", "manifest.csv", "--yes")
    assert failed
    assert ended.returncode == 0, ended.stderr
    assert (tweenbatch.jobs(), fal.ledger()["downloads"]["started"]) == ({"succeeded": 2}, 2)


@needs_strace
def test_a_folder_that_can_t_be_written_to_is_found_before_anything_is_paid(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    (tweenbatch.folder / "videos").mkdir()
    broken = Disk(calls="fsync", error="EIO", files=("videos",))
    ended, failed = broken.run(tweenbatch, 1, "run", "manifest.csv", "--yes")
    assert failed
    assert (ended.returncode, fal.ledger()["posts"]) == (2, 0)
    assert "can't write to the output folder" in ended.stderr


@needs_strace
@pytest.mark.parametrize("error", ["EINVAL", "EXDEV", "EIO", "EPERM"])
def test_where_there_are_no_hard_links_clips_come_home(
    tweenbatch: Command, fal: Server, error: str
) -> None:
    manifests.project(tweenbatch.folder, 2)
    clips = [f"videos/clip-{n}.mp4" for n in (1, 2)]
    nas = Disk(calls="link,linkat", error=error, files=(*PARTS, *clips))
    ended, failed = nas.run(tweenbatch, 1, "run", "manifest.csv", "--yes")
    assert failed == 2
    assert ended.returncode == 0, ended.stderr
    assert (tweenbatch.jobs(), fal.ledger()["downloads"]["started"]) == ({"succeeded": 2}, 2)


@needs_strace
def test_the_intent_and_the_witness_are_on_the_disk_before_the_first_byte_of_the_post(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    assert tweenbatch("run", "manifest.csv", "--yes", "--limit", "0").returncode == 3
    # Of the two, whichever can't be synced keeps the POST back.
    for name in ("witness", "table"):
        files = WITNESS if name == "witness" else TABLE
        broken = Disk(calls="fdatasync,fsync", error="EIO", files=files)
        ended, failed = broken.run(tweenbatch, 1, *RESUME)
        assert failed
        assert ended.returncode in {2, 4}
        assert fal.ledger()["posts"] == 0
