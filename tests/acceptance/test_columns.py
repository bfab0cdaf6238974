"""Manifests made for other tools: their columns are understood, pointed at or carried through."""

import csv
import json
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_slip_in_a_column_is_found_before_anything_is_spent(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1, duraton="10")
    refused = tweenbatch("run", "manifest.csv", "--yes")
    assert refused.returncode == 2
    assert (
        "column 'duraton': there is no such column; rename it if you mean 'duration'"
        in refused.stderr
    )
    assert fal.ledger()["posts"] == 0
    assert tweenbatch("plan", "manifest.csv", "--keep", "duraton").returncode == 0


def test_own_columns_come_out_behind_the_fixed_ones_and_a_shared_file_has_them_empty(
    tweenbatch: Command, fal: Server
) -> None:
    row = {
        "Shot": "7a",
        "text": "{Shot} in {season}",
        "order": "3",
        "first_frame": "a.png",
        "last_frame": "b.png",
    }
    manifests.project(tweenbatch.folder, 0)
    manifests.write(tweenbatch.folder / "manifest.csv", [row])
    arguments = ("manifest.csv", "--set", "season=May", "--takes", "2")
    planned = tweenbatch("plan", *arguments)
    mapped = "columns: text → prompt, first_frame → start_image, last_frame → end_image"
    assert mapped in planned.stdout
    assert "own columns, kept in the results: Shot\n" in planned.stdout
    told = json.loads(tweenbatch("plan", *arguments, "--json").stdout)["mapped"]
    assert told == [
        {
            "file": str(tweenbatch.folder / "manifest.csv"),
            "columns": {"text": "prompt", "first_frame": "start_image", "last_frame": "end_image"},
            "carried": ["Shot"],
        }
    ]
    done = tweenbatch("run", *arguments, "--yes")
    assert done.returncode == 0, done.stderr
    assert mapped in done.stdout
    assert fal.prompts() == ["7a in May"] * 2
    written = lines(tweenbatch.folder / "videos" / "results.csv")
    assert [list(each)[24:] for each in written] == [["Shot", "order"]] * 2
    assert [(each["Shot"], each["order"], each["take"]) for each in written] == [
        ("7a", "3", "1"),
        ("7a", "3", "2"),
    ]
    tweenbatch("export", "-o", "shared.jsonl", "--redact")
    shared = (tweenbatch.folder / "shared.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["Shot"] for line in shared] == ["", ""]


def test_an_export_is_a_manifest_that_asks_for_the_same_clips(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2, prompt="{{a}} and {note}", note="x", season="May")
    tweenbatch("run", "manifest.csv", "--yes")
    sent = fal.prompts()
    assert sent == ["{a} and x"]
    tweenbatch("export", "-o", "again.csv")
    again = tweenbatch("run", "again.csv", "--yes")
    assert again.returncode == 0, again.stderr
    assert fal.prompts() == sent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "duration"), "expected COLUMN=VALUE"),
        (("--set", "=10"), "expected COLUMN=VALUE"),
        (("--set", "duration=5", "--set", "duration=10"), "--set duration is given twice"),
        (("--takes", "0"), "--takes"),
        (("--name", "../{name}"), "--name '../{name}': '..' can't be a file"),
    ],
)
def test_an_option_that_is_not_understood_is_refused_in_one_line(
    tweenbatch: Command, arguments: tuple[str, ...], said: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    refused = tweenbatch("plan", "manifest.csv", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr
