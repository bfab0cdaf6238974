"""A plan says what a run would do and cost, and changes nothing."""

import json
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server


def test_a_plan_writes_nothing_and_asks_nobody(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3, duration="10")
    before = sorted(tweenbatch.folder.iterdir())
    planned = tweenbatch("plan", "manifest.csv")
    assert planned.returncode == 0
    assert "A run would submit 3 clips for $3.36." in planned.stdout
    assert sorted(tweenbatch.folder.iterdir()) == before
    assert sum(fal.ledger()["requests"].values()) == 0


def test_a_plan_needs_no_key(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    keyless = Command(folder=tweenbatch.folder, key=None)
    assert keyless("plan", "manifest.csv").returncode == 0


def test_a_plan_tells_new_from_done_changed_removed_and_repeated(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes")
    first, second, _third = manifests.rows(3)
    edited = {**second, "duration": "10"}
    new = {**first, "name": "clip-9", "prompt": "new"}
    manifests.write(tweenbatch.folder / "manifest.csv", [first, edited, new, first])
    said = json.loads(tweenbatch("plan", "manifest.csv", "--json").stdout)
    assert {group: count for group, count in said["rows"].items() if count} == {
        "new": 1,
        "changed": 1,
        "done": 1,
    }
    assert said["to_submit"] == 2
    assert said["money"]["to_pay"] == 1.68
    assert said["repeated"] == 1
    assert [row["name"] for row in said["removed"]] == ["clip-3"]


def test_each_take_is_a_clip_of_its_own(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1, takes="3")
    assert "3 clips for $1.68" in tweenbatch("plan", "manifest.csv").stdout
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert fal.ledger()["accepted_count"] == 3
    names = sorted(path.name for path in (tweenbatch.folder / "videos").glob("*.mp4"))
    assert names == ["clip-1-t2.mp4", "clip-1-t3.mp4", "clip-1.mp4"]


def test_a_higher_priority_goes_first(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 0)
    rows = [{**row, "priority": str(n)} for n, row in enumerate(manifests.rows(3))]
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    tweenbatch("run", "manifest.csv", "--yes", "--concurrency", "1")
    assert fal.prompts() == [row["prompt"] for row in reversed(rows)]


def test_a_row_that_was_taken_out_before_it_was_paid_is_not_paid(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes", "--limit", "1")
    manifests.write(tweenbatch.folder / "manifest.csv", manifests.rows(3)[:2])
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 2


def said(tweenbatch: Command, *names: str) -> dict[str, Any]:
    planned = tweenbatch("plan", *(names or ("manifest.csv",)), "--json")
    shape: dict[str, Any] = json.loads(planned.stdout)
    return shape


def standing(shape: dict[str, Any]) -> dict[str, int]:
    return {group: count for group, count in shape["rows"].items() if count}


def test_a_row_is_run_again_for_reasons_that_the_plan_and_the_run_name(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 2)
    tweenbatch("run", "manifest.csv", "--yes")
    first, second = manifests.rows(2)
    edited = {**second, "duration": "10", "prompt": "another", "takes": "1"}
    more = {**first, "takes": "2"}
    manifests.write(tweenbatch.folder / "manifest.csv", [more, edited])
    lines = (
        "row 2 (clip-1): take 2 is new",
        "row 3 (clip-2): prompt changed; duration 5 → 10",
    )
    shown = tweenbatch("plan", "manifest.csv").stdout
    asked = tweenbatch("run", "manifest.csv")
    for line in lines:
        assert line in shown
        assert line in asked.stdout
    assert asked.returncode == 2
    shape = said(tweenbatch)
    assert [(row["row"], row["take"], row["group"]) for row in shape["reasons"]] == [
        (2, 2, "new"),
        (3, 1, "changed"),
    ]
    assert shape["reasons"][1]["reasons"] == ["prompt changed", "duration 5 → 10"]
    assert shape["changed"][0]["reason"] == "prompt changed; duration 5 → 10"


def test_a_frame_that_was_replaced_under_its_name_is_the_reason(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch("run", "manifest.csv", "--yes")
    manifests.frame(tweenbatch.folder / "b.png", (1, 2, 3))
    assert "row 2 (clip-1): end frame's bytes changed (b.png)" in (
        tweenbatch("plan", "manifest.csv").stdout
    )


def test_rows_that_were_renamed_reordered_and_pushed_down_are_not_changed(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 3, name="")
    tweenbatch("run", "manifest.csv", "--yes")
    old = manifests.rows(3, name="")
    added = {**old[0], "prompt": "something new"}
    renamed = {**old[0], "name": "now-with-a-name"}
    manifests.write(tweenbatch.folder / "manifest.csv", [added, old[2], renamed, old[1]])
    shape = said(tweenbatch)
    assert standing(shape) == {"new": 1, "done": 3}
    assert (shape["reasons"], shape["removed"]) == ([], [])


def test_a_clip_that_another_manifest_paid_for_is_not_paid_again_and_is_named(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 2)
    tweenbatch("run", "manifest.csv", "--yes")
    manifests.write(tweenbatch.folder / "second.csv", manifests.rows(3))
    shown = tweenbatch("plan", "second.csv").stdout
    assert "2  paid for another manifest" in shown
    assert str(tweenbatch.folder / "manifest.csv") in shown
    shape = said(tweenbatch, "second.csv")
    assert standing(shape) == {"new": 1, "done": 2}
    assert [(row["row"], row["paid_for"]) for row in shape["elsewhere"]] == [
        (2, str(tweenbatch.folder / "manifest.csv")),
        (3, str(tweenbatch.folder / "manifest.csv")),
    ]


def test_what_went_away_is_shown_with_its_cost_and_what_still_waited(
    tweenbatch: Command,
) -> None:
    manifests.project(tweenbatch.folder, 3)
    tweenbatch("run", "manifest.csv", "--yes", "--limit", "1")
    manifests.write(tweenbatch.folder / "manifest.csv", manifests.rows(3)[2:])
    shown = tweenbatch("plan", "manifest.csv").stdout
    assert "2  no longer in the manifest" in shown
    assert "$0.56  spent; a run cancels 1 clip in the queue" in shown
    shape = said(tweenbatch)
    assert [(row["name"], row["cost"], row["withdrawn"]) for row in shape["removed"]] == [
        ("clip-1", 0.56, False),
        ("clip-2", 0, True),
    ]


def test_before_any_clip_the_time_is_that_of_the_models_page(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 16)
    shown = tweenbatch("plan", "manifest.csv", "--concurrency", "4").stdout
    assert "about 4 min to 20 min at 4 at a time (a clip takes 1 to 5 min)" in shown
    assert said(tweenbatch)["estimate"] == {
        "low_seconds": 120,
        "high_seconds": 600,
        "clip_seconds": None,
        "clips_seen": 0,
        "concurrency": 8,
        "concurrency_assumed": True,
    }
    assert (
        "about 2 min to 10 min if fal runs 8 at a time" in tweenbatch("plan", "manifest.csv").stdout
    )


def test_a_rehearsal_says_nothing_of_the_time_that_fal_takes(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    planned = tweenbatch("plan", "manifest.csv", "--rehearse", "--json")
    assert json.loads(planned.stdout)["estimate"] is None


@pytest.mark.parametrize("count", ["0", "1001", "many"])
def test_a_plan_for_no_number_of_clips_is_refused(tweenbatch: Command, count: str) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch("plan", "manifest.csv", "--concurrency", count)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--concurrency" in refused.stderr
