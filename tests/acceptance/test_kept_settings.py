"""A run that resumes work keeps the folder and the limits of the run before it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")
ONE = ("--limit", "1")


def clips(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.mp4")}


@pytest.fixture(autouse=True)
def three_rows(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)


def from_elsewhere(tweenbatch: Command) -> Command:
    other = tweenbatch.folder / "elsewhere"
    other.mkdir()
    return replace(tweenbatch, folder=other, environment={"HOME": str(tweenbatch.folder)})


@pytest.mark.parametrize("folder", ["shots", "/absolute"])
@pytest.mark.parametrize("moves", [False, True])
def test_all_clips_of_one_work_lie_in_one_folder(
    tweenbatch: Command,
    fal: Server,
    tmp_path_factory: pytest.TempPathFactory,
    folder: str,
    moves: bool,
) -> None:
    output = tmp_path_factory.mktemp("absolute") if folder == "/absolute" else Path(folder)
    assert tweenbatch(*RUN, *ONE, "--output", str(output)).returncode == 3
    command = from_elsewhere(tweenbatch) if moves else tweenbatch
    db = f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}"
    resumed = command("run", "--yes", *ONE, *(["--db", db] if moves else []))
    assert resumed.returncode == 3, resumed.stderr
    assert "as in the last run; --output chooses another one" in resumed.stdout
    manifest = str(tweenbatch.folder / "manifest.csv")
    named = command("run", manifest, "--yes", *(["--db", db] if moves else []))
    assert named.returncode == 0, named.stderr
    assert clips(tweenbatch.folder / output) == {f"clip-{n}.mp4" for n in (1, 2, 3)}
    assert not (command.folder / "videos").exists()
    assert fal.totals()["posts"] == 3


def test_a_folder_that_is_named_goes_before_the_one_kept_and_is_kept_from_then_on(
    tweenbatch: Command, fal: Server
) -> None:
    assert tweenbatch(*RUN, *ONE, "--output", "shots").returncode == 3
    other = tweenbatch("run", "--yes", *ONE, "--output", "others")
    assert (
        "The clips of the last run are in shots; this run uses the folder of --output"
        in other.stdout
    )
    assert tweenbatch("run", "--yes").returncode == 0
    assert clips(tweenbatch.folder / "shots") == {"clip-1.mp4"}
    assert clips(tweenbatch.folder / "others") == {"clip-2.mp4", "clip-3.mp4"}
    assert fal.totals()["posts"] == 3


def test_a_folder_that_was_moved_with_its_table_is_found_there(tweenbatch: Command) -> None:
    project = tweenbatch.folder / "project"
    project.mkdir()
    manifests.project(project, 2)
    here = replace(tweenbatch, folder=project)
    assert here(*RUN, *ONE, "--output", "shots").returncode == 3
    project.rename(tweenbatch.folder / "moved")
    there = replace(tweenbatch, folder=tweenbatch.folder / "moved")
    assert there("run", "--yes").returncode == 0
    assert clips(there.folder / "shots") == {"clip-1.mp4", "clip-2.mp4"}
    assert not project.exists()


def test_a_folder_outside_that_is_not_there_any_more_is_not_made_again(
    tweenbatch: Command, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gone = tmp_path_factory.mktemp("disk") / "shots"
    assert tweenbatch(*RUN, *ONE, "--output", str(gone)).returncode == 3
    shutil.rmtree(gone)
    assert tweenbatch("run", "--yes").returncode == 1, "the clip in it can't be found"
    assert not gone.exists()
    assert clips(tweenbatch.folder / "videos") == {"clip-2.mp4", "clip-3.mp4"}


def test_another_manifest_has_a_folder_of_its_own(tweenbatch: Command) -> None:
    assert tweenbatch(*RUN, "--output", "shots").returncode == 0
    manifests.write(tweenbatch.folder / "other.csv", manifests.rows(1, name="x", prompt="other"))
    assert tweenbatch("run", "other.csv", "--yes").returncode == 0
    assert clips(tweenbatch.folder / "videos") == {"x.mp4"}


@pytest.mark.parametrize("option", ["--max-cost", "--max-cost-per-day", "--max-cost-per-month"])
def test_a_run_without_manifests_keeps_the_limits_of_money(
    tweenbatch: Command, fal: Server, option: str
) -> None:
    assert tweenbatch(*RUN, option, "0.60").returncode == 3
    resumed = tweenbatch("run", "--yes")
    assert resumed.returncode == 3
    assert f"As in the last run: {option} 0.60" in resumed.stdout
    assert f"stopped by {option}" in resumed.stdout
    posts = 2 if option == "--max-cost" else 1
    assert fal.totals()["posts"] == posts
    assert tweenbatch("run", "--yes", option, "9").returncode == 0
    assert fal.totals()["posts"] == 3


def test_a_run_with_manifests_has_its_own_limits(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch(*RUN, "--max-cost", "0.60").returncode == 3
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3


def test_of_several_works_the_strictest_limit_is_kept(tweenbatch: Command, fal: Server) -> None:
    manifests.write(tweenbatch.folder / "other.csv", manifests.rows(1, name="x", prompt="other"))
    assert tweenbatch(*RUN, "--max-cost", "0").returncode == 3
    assert (
        tweenbatch("run", "other.csv", "--yes", "--limit", "0", "--max-cost", "9").returncode == 3
    )
    assert tweenbatch("run", "--yes").returncode == 3
    assert fal.totals()["posts"] == 0
