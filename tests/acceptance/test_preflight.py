"""Frames, pairs and rows are looked at for nothing, before anything is paid."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from support import manifests
from support.command import Command
from support.fal import Server
from tweenbatch.files import space as disk


@pytest.fixture
def doubtful(tweenbatch: Command) -> Command:
    """A batch of one row whose end frame has a hole."""
    manifests.project(tweenbatch.folder, 1)
    Image.new("RGBA", (640, 360), (9, 9, 9, 0)).save(tweenbatch.folder / "b.png")
    return tweenbatch


def test_plan_and_run_show_warnings_and_go_on(doubtful: Command, fal: Server) -> None:
    said = "row 2, column 'end_image': 'b.png' has transparent parts"
    shown = doubtful("plan", "manifest.csv").stdout
    assert "1 warning:" in shown
    assert said in shown
    (warning,) = json.loads(doubtful("plan", "manifest.csv", "--json").stdout)["warnings"]
    assert (warning["kind"], warning["row"]) == ("transparent", 2)
    ran = doubtful("run", "manifest.csv", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert said in ran.stdout
    assert fal.ledger()["requests"]["submit"] == 1


@pytest.mark.parametrize("command", [("plan",), ("run", "--yes")])
def test_with_strictness_nothing_is_spent_on_them(
    doubtful: Command, fal: Server, command: tuple[str, ...]
) -> None:
    refused = doubtful(*command, "manifest.csv", "--strict")
    assert refused.returncode == 2
    assert "1 problem; nothing was imported" in refused.stderr
    assert "'b.png' has transparent parts" in refused.stderr
    assert sum(fal.ledger()["requests"].values()) == 0
    assert not (doubtful.folder / "tweenbatch.db").exists()


def test_of_each_kind_the_first_twenty_are_shown_and_all_are_in_the_json(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 0)
    (row,) = manifests.rows(1)
    rows = [{**row, "prompt": f"@Image1 {'!' * n} melts"} for n in range(24)]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    shown = tweenbatch("plan", "manifest.csv").stdout
    assert "23 warnings:" in shown
    assert shown.count("differs from row 2 only in case") == 20
    assert "… and 3 more of this kind: plan --json" in shown
    read = json.loads(tweenbatch("plan", "manifest.csv", "--json").stdout)
    assert len(read["warnings"]) == 23


def test_more_clips_than_the_disk_holds_are_reported_by_plan_and_refused_by_run(
    tweenbatch: Command, fal: Server
) -> None:
    free = shutil.disk_usage(tweenbatch.folder).free
    manifests.project(tweenbatch.folder, free // disk.CLIP_BYTES // 100 + 10, takes="100")
    planned = tweenbatch("plan", "manifest.csv").stdout
    assert "warning: " in planned
    assert "B are free in videos; free some space there" in planned
    refused = tweenbatch("run", "manifest.csv", "--yes")
    assert refused.returncode == 2
    assert " clips need about " in refused.stderr
    assert "nothing was submitted" in refused.stderr
    assert sum(fal.ledger()["requests"].values()) == 0
    some = tweenbatch("run", "manifest.csv", "--yes", "--limit", "1")
    assert some.returncode == 3, some.stderr
    assert fal.ledger()["requests"]["submit"] == 1


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


FITTED = "fitted: b.png: padded 800×600 → 1067×600"


def test_plan_shows_how_frames_would_be_fitted_and_run_fits_them(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    original = manifests.frame(tweenbatch.folder / "b.png", size=(800, 600)).read_bytes()
    warned = tweenbatch("plan", "manifest.csv")
    assert "800×600 px" in warned.stdout
    assert "add --fit" in warned.stdout
    before = sorted(tweenbatch.folder.iterdir())
    planned = tweenbatch("plan", "--fit", "manifest.csv")
    assert FITTED in planned.stdout
    assert "warning" not in planned.stdout
    (told,) = json.loads(tweenbatch("plan", "manifest.csv", "--json", "--fit").stdout)["fitted"]
    assert told["frame"] == "b.png"
    assert sorted(tweenbatch.folder.iterdir()) == before
    ran = tweenbatch("run", "--fit", "pad", "--yes", "--strict", "manifest.csv")
    assert ran.returncode == 0, ran.stderr
    assert FITTED in ran.stdout
    (copy,) = (tweenbatch.folder / "videos" / "fitted").iterdir()
    assert size(copy) == (1067, 600)
    assert (tweenbatch.folder / "b.png").read_bytes() == original
    again = tweenbatch("run", "manifest.csv", "--fit", "--yes")
    assert "Nothing to do" in again.stdout
    assert fal.ledger()["requests"]["submit"] == 1
    left_out = "end frame was fitted before and is not fitted now (b.png); add --fit"
    assert left_out in tweenbatch("plan", "manifest.csv").stdout


def test_a_rehearsal_keeps_copies_of_its_own(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    manifests.frame(tweenbatch.folder / "b.png", size=(800, 600))
    ran = tweenbatch("run", "manifest.csv", "--rehearse", "--fit", "crop")
    assert ran.returncode == 0, ran.stderr
    assert "fitted: b.png: cropped 800×600 → 800×450" in ran.stdout
    (copy,) = (tweenbatch.folder / "rehearsal" / "videos" / "fitted").iterdir()
    assert size(copy) == (800, 450)
    assert not (tweenbatch.folder / "videos").exists()


def test_another_way_to_fit_is_refused_in_one_line(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch("plan", "manifest.csv", "--fit=stretch")
    assert refused.returncode == 2
    assert "'stretch' is not one of 'pad', 'crop'" in refused.stderr
