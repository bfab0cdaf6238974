"""A plan says what a run would do and cost, and changes nothing."""

import json

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
