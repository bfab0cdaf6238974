"""``retake``: another take of a clip that is there, which outlives the next import."""

import csv
import json

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture(autouse=True)
def two_clips(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 2)
    assert tweenbatch(*RUN).returncode == 0


def exported(tweenbatch: Command) -> dict[str, str]:
    """Return each clip's file by its name and take."""
    tweenbatch("export", "-o", "all.csv")
    with (tweenbatch.folder / "all.csv").open(newline="") as file:
        return {f"{row['name']} {row['take']}": row["video_path"] for row in csv.DictReader(file)}


def retake(tweenbatch: Command, *jobs: str) -> list[str]:
    made = tweenbatch("retake", "--yes", "--json", *jobs)
    assert made.returncode == 0, made.stderr
    return [each["name"] for each in json.loads(made.stdout)["takes"]]


def test_a_retake_is_another_clip_and_paid_once(tweenbatch: Command, fal: Server) -> None:
    assert retake(tweenbatch, "1") == ["clip-1-t2"]
    planned = tweenbatch("plan", "manifest.csv")
    assert "1  further takes to make" in planned.stdout
    assert "A run would submit 1 clip for $0.56" in planned.stdout
    refused = tweenbatch("run", "manifest.csv")
    assert "1 clip for $0.56 would be submitted" in refused.stderr
    for _ in range(2):
        assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3
    assert fal.prompts()[2].startswith("prompt number 1:")
    assert exported(tweenbatch).keys() == {"clip-1 1", "clip-1 2", "clip-2 1"}
    assert (tweenbatch.folder / "videos" / "clip-1-t2.mp4").is_file()


def test_it_outlives_an_edit_of_the_manifest(tweenbatch: Command, fal: Server) -> None:
    retake(tweenbatch, "1")
    rows = manifests.rows(2)
    rows[1]["prompt"] = "another"
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 4
    assert tweenbatch.jobs() == {"succeeded": 4}


def test_each_further_take_is_another_one(tweenbatch: Command, fal: Server) -> None:
    assert retake(tweenbatch, "1") == ["clip-1-t2"]
    assert tweenbatch(*RUN).returncode == 0
    assert retake(tweenbatch, "--name", "clip-1*") == ["clip-1-t3", "clip-1-t4"]
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.totals()["posts"] == 5
    assert retake(tweenbatch, "--manifest", "manifest.csv", "--row", "2") == [
        f"clip-1-t{take}" for take in (5, 6, 7, 8)
    ]


def test_a_take_that_the_manifest_asks_for_later_is_the_same_one(
    tweenbatch: Command, fal: Server
) -> None:
    retake(tweenbatch, "1")
    assert tweenbatch(*RUN, "--takes", "2").returncode == 0
    assert fal.totals()["posts"] == 4
    assert exported(tweenbatch).keys() == {"clip-1 1", "clip-1 2", "clip-2 1", "clip-2 2"}


def test_clips_have_to_be_named(tweenbatch: Command) -> None:
    asked = tweenbatch("retake", "--yes")
    assert asked.returncode == 2
    assert "which clips? Give job numbers, --manifest" in asked.stderr
    unknown = tweenbatch("retake", "--yes", "9")
    assert unknown.returncode == 2
    assert "job 9: not succeeded" in unknown.stderr
