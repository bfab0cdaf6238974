"""A clip that came home and is not there any more is noticed, and comes back for nothing."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from support import manifests
from support.fal import Server
from support.forked import Forked
from support.judging import exported

ROWS = 3
RUN = ("run", "manifest.csv", "--yes", "--settle", "0")
RESUME = ("run", "--yes", "--settle", "0")
SPENT = 1.68


@pytest.fixture(autouse=True)
def home(tweenbatch: Forked, fal: Server) -> dict[str, bytes]:
    """All clips are home; returns what they hold."""
    manifests.project(tweenbatch.folder, ROWS)
    ended = tweenbatch(*RUN)
    assert ended.returncode == 0, ended.stderr
    assert fal.totals()["posts"] == ROWS
    return clips(tweenbatch.folder / "videos")


def clips(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.glob("*.mp4") if path.is_file())
    return {path.name: path.read_bytes() for path in found}


def nothing_was_paid(tweenbatch: Forked, fal: Server) -> bool:
    money = json.loads(tweenbatch("status", "--json").stdout)["money"]
    pots = [round(money[name], 2) for name in ("spent", "reserved", "uncertain")]
    return (fal.totals()["posts"], pots) == (ROWS, [SPENT, 0, 0])


def recorded_clips_are_there(tweenbatch: Forked) -> bool:
    rows = exported(tweenbatch)
    digests = [hashlib.sha256(Path(row["video_path"]).read_bytes()).hexdigest() for row in rows]
    return digests == [row["sha256"] for row in rows]


def one(harm: Callable[[Path], object]) -> Callable[[Path], None]:
    def harmed(folder: Path) -> None:
        harm(folder / "videos" / "clip-1.mp4")

    return harmed


def linked_to_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def turned_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def all_deleted(folder: Path) -> None:
    for path in folder.glob("videos/*.mp4"):
        path.unlink()


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "deleted": (one(Path.unlink), "is not there"),
    "emptied": (one(lambda path: path.write_bytes(b"")), "is empty"),
    "shortened": (one(lambda path: path.write_bytes(path.read_bytes()[:900])), "has only 900"),
    "moved": (one(lambda path: path.rename(path.with_name("elsewhere.mp4"))), "is not there"),
    "replaced": (one(lambda path: path.write_bytes(b"mine" * 1000)), "has 4,000 bytes"),
    "a dead link": (one(linked_to_nowhere), "is not there"),
    "a folder": (one(turned_into_a_folder), "is no longer a file"),
    "all deleted": (all_deleted, "is not there"),
    "the folder gone": (lambda folder: shutil.rmtree(folder / "videos"), "is not there"),
}


@pytest.mark.parametrize(
    ("harm", "verb"),
    [("deleted", RESUME), *((harm, verb) for harm in HARMS for verb in (RUN, ("fetch",)))],
)
def test_a_clip_that_is_not_there_any_more_is_brought_back_for_nothing(
    tweenbatch: Forked, fal: Server, harm: str, verb: tuple[str, ...]
) -> None:
    do, _ = HARMS[harm]
    do(tweenbatch.folder)
    ended = tweenbatch(*verb)
    assert ended.returncode == 0, ended.stderr
    assert recorded_clips_are_there(tweenbatch)
    assert len(clips(tweenbatch.folder / "videos")) >= ROWS
    assert nothing_was_paid(tweenbatch, fal)
    assert "Nothing to do" in tweenbatch(*RUN).stdout


@pytest.mark.parametrize("harm", HARMS)
def test_everybody_who_looks_is_told_and_nothing_is_changed(
    tweenbatch: Forked, fal: Server, harm: str
) -> None:
    do, why = HARMS[harm]
    do(tweenbatch.folder)
    before = clips(tweenbatch.folder / "videos")
    for command in (("plan", "manifest.csv"), ("status",), ("export",)):
        ended = tweenbatch(*command)
        assert ended.returncode == 0
        said = ended.stdout + ended.stderr
        assert "at no cost" in said, command
        assert why in said or "can't be found there" in said, command
    verified = tweenbatch("verify")
    assert verified.returncode == 1
    assert why in verified.stdout
    assert clips(tweenbatch.folder / "videos") == before
    assert nothing_was_paid(tweenbatch, fal)


def test_clips_that_are_there_are_nobody_s_concern(tweenbatch: Forked, fal: Server) -> None:
    for command in (("plan", "manifest.csv"), ("status",), ("export",), RUN):
        said = tweenbatch(*command)
        assert "at no cost" not in said.stdout + said.stderr
    assert tweenbatch("verify").stdout == "3 clips checked, 0 not as recorded\n"
    assert "Nothing to download" in tweenbatch("fetch").stdout
    assert fal.totals()["downloads"]["started"] == ROWS


def test_another_content_under_a_clip_s_name_is_never_written_over(
    tweenbatch: Forked, fal: Server, home: dict[str, bytes]
) -> None:
    path = tweenbatch.folder / "videos" / "clip-1.mp4"
    path.write_bytes(b"mine" * 1000)
    ended = tweenbatch(*RUN)
    assert path.read_bytes() == b"mine" * 1000
    [row] = [row for row in exported(tweenbatch) if row["name"] == "clip-1"]
    beside = Path(row["video_path"])
    assert beside.name.startswith("clip-1-")
    assert beside.read_bytes() == home["clip-1.mp4"]
    assert str(beside) in ended.stderr
    assert nothing_was_paid(tweenbatch, fal)


def test_other_content_of_the_same_size_is_found_by_verify_and_fetched_by_its_number(
    tweenbatch: Forked, fal: Server
) -> None:
    path = tweenbatch.folder / "videos" / "clip-1.mp4"
    path.write_bytes(b"x" * path.stat().st_size)
    assert tweenbatch(*RUN).returncode == 0
    verified = json.loads(tweenbatch("verify", "--json").stdout)
    assert verified["looked_at"] == ROWS
    [wrong] = verified["wrong"]
    assert (wrong["path"], wrong["why"]) == (str(path), "has different content")
    fetched = tweenbatch("fetch", str(wrong["job"]), "--json")
    assert json.loads(fetched.stdout) == {
        "fetched": [wrong["job"]],
        "not_fetched": [],
        "exit_code": 0,
    }
    assert recorded_clips_are_there(tweenbatch)
    assert path.read_bytes() == b"x" * path.stat().st_size
    assert tweenbatch("verify").returncode == 0
    assert nothing_was_paid(tweenbatch, fal)


def test_another_output_folder_changes_nothing_about_clips_that_are_there(
    tweenbatch: Forked, fal: Server, home: dict[str, bytes]
) -> None:
    ended = tweenbatch(*RUN, "--output", "other")
    assert ended.returncode == 0
    assert "Nothing to do" in ended.stdout
    assert clips(tweenbatch.folder / "videos") == home
    assert nothing_was_paid(tweenbatch, fal)


def test_a_folder_that_is_not_there_is_reported_in_one_sentence_and_left_to_a_person(
    tweenbatch: Forked, fal: Server, home: dict[str, bytes]
) -> None:
    """It may be on a disk that is not mounted: another run's output is not where it belongs."""
    shutil.rmtree(tweenbatch.folder / "videos")
    ended = tweenbatch(*RUN, "--output", "other")
    assert ended.returncode == 1
    [line] = [line for line in ended.stdout.splitlines() if "mount" in line]
    assert "3 clips recorded in" in line
    assert "tweenbatch fetch" in ended.stdout.splitlines()[-1]
    assert fal.totals()["downloads"]["started"] == ROWS
    assert tweenbatch("fetch", "--output", "other").returncode == 0
    assert clips(tweenbatch.folder / "other") == home
    assert recorded_clips_are_there(tweenbatch)
    assert nothing_was_paid(tweenbatch, fal)


def test_clips_that_were_moved_with_their_folder_are_found_and_not_fetched(
    tweenbatch: Forked, fal: Server
) -> None:
    (tweenbatch.folder / "videos").rename(tweenbatch.folder / "moved")
    ended = tweenbatch(*RUN, "--output", "moved")
    assert ended.returncode == 0, ended.stdout
    assert recorded_clips_are_there(tweenbatch)
    assert fal.totals()["downloads"]["started"] == ROWS
    assert nothing_was_paid(tweenbatch, fal)


GONE = {"on": "download", "do": "reply", "status": 404}
NO_RESULT = {"on": "result", "do": "reply", "status": 404}
NO_LIST = {"on": "history", "do": "omit"}


@pytest.mark.parametrize("verb", [RUN, ("fetch",)])
def test_a_clip_that_fal_has_no_more_stays_done_and_is_not_bought_again(
    tweenbatch: Forked, fal: Server, verb: tuple[str, ...]
) -> None:
    (tweenbatch.folder / "videos" / "clip-1.mp4").unlink()
    fal.script(GONE, NO_RESULT, NO_LIST)
    ended = tweenbatch(*verb)
    assert ended.returncode == 1
    assert "fal does not have it now" in ended.stdout + ended.stderr
    assert tweenbatch.jobs() == {"succeeded": ROWS}
    assert nothing_was_paid(tweenbatch, fal)
    fal.script()
    assert tweenbatch(*verb).returncode == 0
    assert recorded_clips_are_there(tweenbatch)
    assert nothing_was_paid(tweenbatch, fal)


@pytest.mark.parametrize("where", ["result", "history"])
def test_a_missing_clip_is_fetched_from_whatever_address_fal_names_now(
    tweenbatch: Forked, fal: Server, where: str
) -> None:
    (tweenbatch.folder / "videos" / "clip-1.mp4").unlink()
    expired = {"on": "download", "do": "expire", "times": 1}
    # After its effect, which is a fresh address, the answer is lost.
    fal.script(expired, *([{**NO_RESULT, "at": "reply"}] if where == "history" else []))
    assert tweenbatch("fetch").returncode == 0
    assert recorded_clips_are_there(tweenbatch)
    assert nothing_was_paid(tweenbatch, fal)


def test_what_can_t_be_fetched_now_is_laid_aside_and_fetched_by_the_next_run(
    tweenbatch: Forked, fal: Server
) -> None:
    (tweenbatch.folder / "videos" / "clip-1.mp4").unlink()
    fal.script({"on": "download", "do": "reply", "status": 451})
    assert tweenbatch(*RUN).returncode == 3
    assert tweenbatch.jobs() == {"ready": 1, "succeeded": ROWS - 1}
    fal.script()
    assert tweenbatch(*RUN).returncode == 0
    assert recorded_clips_are_there(tweenbatch)
    assert nothing_was_paid(tweenbatch, fal)


def test_a_clip_that_was_given_up_comes_back_for_nothing_and_that_is_what_is_proposed(
    tweenbatch: Forked, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, ROWS + 1)
    fal.script(GONE)
    assert tweenbatch(*RUN).returncode == 3
    with closing(sqlite3.connect(tweenbatch.folder / "tweenbatch.db")) as table:
        table.execute("UPDATE attempts SET unfetched_since = '2020-01-01 00:00:00.000000'")
        table.commit()
    given_up = tweenbatch(*RUN)
    assert given_up.returncode == 1
    assert tweenbatch.jobs() == {"succeeded": ROWS, "failed": 1}
    job = f"clip-{ROWS + 1}"
    for said in (given_up, tweenbatch("status"), tweenbatch("show", job)):
        free, _, _ = said.stdout.partition("tweenbatch retry")
        assert "tweenbatch fetch" in free, "the free remedy is proposed first"
    assert "tweenbatch fetch" in tweenbatch("retry", "--name", job).stderr
    assert tweenbatch("fetch").returncode == 1, "still nowhere"
    assert tweenbatch.jobs() == {"succeeded": ROWS, "failed": 1}
    fal.script()
    assert tweenbatch("fetch").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": ROWS + 1}
    assert recorded_clips_are_there(tweenbatch)
    assert fal.totals()["posts"] == ROWS + 1


def test_a_part_that_a_killed_run_left_goes_also_where_the_clip_is_here_after_all(
    tweenbatch: Forked, fal: Server
) -> None:
    clip = tweenbatch.folder / "videos" / "clip-1.mp4"
    part, elsewhere = clip.with_name("clip-1.mp4.part"), tweenbatch.folder / "clip-1.mp4"
    clip.rename(elsewhere)
    fal.script({"on": "download", "do": "hold", "after_bytes": 100})
    with tweenbatch.running(*RESUME) as run:
        fal.wait_for("held")
        run.kill()
        run.wait()
    fal.script()
    part.write_bytes(b"what came")
    elsewhere.rename(clip)
    assert tweenbatch(*RESUME).returncode == 0
    assert not part.exists()
    assert nothing_was_paid(tweenbatch, fal)


def test_the_morning_after_proposes_what_costs_nothing(tweenbatch: Forked, fal: Server) -> None:
    (tweenbatch.folder / "videos" / "clip-1.mp4").unlink()
    fal.script(GONE, NO_RESULT, NO_LIST)
    assert tweenbatch(*RUN, "--digests", "digests").returncode == 1
    [written] = (tweenbatch.folder / "digests").glob("*.json")
    told = json.loads(written.read_text())["runs"][-1]
    assert told["why"] == "missing clips: 1"
    assert told["next"].startswith("tweenbatch fetch ")


@pytest.mark.parametrize("paid", [True, False])
def test_a_failed_job_without_an_address_is_told_what_may_help(
    tweenbatch: Forked, fal: Server, *, paid: bool
) -> None:
    with closing(sqlite3.connect(tweenbatch.folder / "tweenbatch.db")) as table:
        table.execute("UPDATE jobs SET state = 'failed', error_type = 'x' WHERE id = 1")
        table.execute(
            "UPDATE attempts SET outcome = 'failed', video_url = NULL, billed = ? WHERE job_id = 1",
            ["yes" if paid else "no"],
        )
        table.commit()
    ended = tweenbatch("fetch", "1")
    assert ended.returncode == 1
    helps = "tweenbatch resolve 1 --adopt" if paid else "it has no paid clip"
    assert helps in ended.stdout
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": ROWS - 1}
    assert fal.totals()["posts"] == ROWS
