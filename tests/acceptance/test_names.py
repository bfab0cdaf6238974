"""Clips lie where the person wants them: below the output folder, under names of their choice."""

import csv
from pathlib import Path

from support import manifests
from support.command import Command
from support.fal import Server
from tweenbatch.clips import mp4

NAME = "{sequence}/{row:04}-{name}-t{take}"


def videos(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder / "videos")) for path in (folder / "videos").rglob("*.mp4*")
    )


def test_clips_lie_in_folders_under_the_names_that_were_asked_for(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    first, second = manifests.rows(2, takes="2")
    rows = [{**first, "sequence": "Part 1"}, {**second, "sequence": "Part 2"}]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    done = tweenbatch("run", "manifest.csv", "--yes", "--name", NAME)
    assert done.returncode == 0, done.stderr
    assert videos(tweenbatch.folder) == [
        *("Part-1/0002-clip-1-t1.mp4", "Part-1/0002-clip-1-t2.mp4"),
        *("Part-2/0003-clip-2-t1.mp4", "Part-2/0003-clip-2-t2.mp4"),
    ]
    with (tweenbatch.folder / "videos" / "results.csv").open(encoding="utf-8") as file:
        paths = [Path(line["video_path"]) for line in csv.DictReader(file)]
    folder = tweenbatch.folder / "videos"
    assert sorted(str(path.relative_to(folder)) for path in paths) == videos(tweenbatch.folder)
    for path in paths:
        mp4.check(path)
    again = tweenbatch("run", "manifest.csv", "--yes", "--name", "{row}-{take}")
    assert "every clip is already there" in again.stdout
    assert fal.ledger()["posts"] == 4


def test_one_name_for_two_contents_is_found_before_anything_is_paid(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    for command in (("plan",), ("run", "--yes")):
        refused = tweenbatch(*command, "manifest.csv", "--name", "{start}-{end}")
        assert refused.returncode == 2
        assert "take 1 of row 3 and take 1 of row 2 would both be named 'a-b.mp4'" in refused.stderr
    assert fal.ledger()["posts"] == 0


def test_a_folder_that_leads_elsewhere_is_found_before_anything_is_paid(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    elsewhere = tweenbatch.folder / "elsewhere"
    elsewhere.mkdir()
    (tweenbatch.folder / "videos").mkdir()
    (tweenbatch.folder / "videos" / "clip-1").symlink_to(elsewhere)
    refused = tweenbatch("run", "manifest.csv", "--yes", "--name", "{name}/a/b")
    assert refused.returncode == 2
    assert "leads out of" in refused.stderr
    assert fal.ledger()["posts"] == 0
    assert list(elsewhere.iterdir()) == []
