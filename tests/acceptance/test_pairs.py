"""From a folder of key frames to a manifest that runs."""

import csv
import json
from pathlib import Path

import pytest

from support.command import Command
from support.fal import Server
from support.manifests import frame


def key_frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(1, count + 1):
        frame(folder / f"frame{n}.png", (n * 10, 0, 0))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_key_frames_become_a_manifest_that_a_run_takes_as_it_is(
    tweenbatch: Command, fal: Server
) -> None:
    key_frames(tweenbatch.folder / "frames", 11)
    made = tweenbatch("pairs", "frames", "-o", "manifest.csv", "--loop", "--prompt", "@Image1, {n}")
    assert (made.returncode, made.stdout) == (0, "")
    assert made.stderr == "11 rows written to manifest.csv\n"
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert fal.ledger()["accepted_count"] == 11
    clips = sorted(path.stem for path in (tweenbatch.folder / "videos").glob("*.mp4"))
    assert (clips[0], clips[8]) == ("010-frame1-to-frame2", "090-frame9-to-frame10")
    assert clips[-1] == "110-frame11-to-frame1"


ODD = ("=SUM(1)", "-dash", "~tilde", " blank", "com,ma", 'quo"te', "日", "{brace}")


def test_a_manifest_of_oddly_named_frames_passes_the_plan_from_another_folder(
    tweenbatch: Command,
) -> None:
    project = tweenbatch.folder / "project"
    key_frames(project, 2)
    for n, name in enumerate(ODD):
        frame(project / f"{name}.png", (0, n, 9))
    made = tweenbatch("pairs", "project", "-o", "project/all.csv", "--prompt", "={start}")
    assert made.returncode == 0, made.stderr
    (tweenbatch.folder / "other").mkdir()
    elsewhere = Command(folder=tweenbatch.folder / "other", key=None)
    planned = elsewhere("plan", "../project/all.csv", "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["to_submit"] == len(ODD) + 1


def test_frames_that_lie_elsewhere_are_named_with_the_option_that_lets_them_through(
    tweenbatch: Command,
) -> None:
    key_frames(tweenbatch.folder / "far" / "away", 3)
    (tweenbatch.folder / "a" / "b").mkdir(parents=True)
    inside = Command(folder=tweenbatch.folder / "a" / "b", key=None)
    made = inside("pairs", str(tweenbatch.folder / "far" / "away"), "-o", "m.csv")
    option = f"--frames {tweenbatch.folder / 'far' / 'away'}"
    assert option in made.stderr
    assert inside("plan", "m.csv").returncode == 2
    assert inside("plan", "m.csv", *option.split()).returncode == 0


def test_the_manifest_may_go_to_stdout(tweenbatch: Command) -> None:
    key_frames(tweenbatch.folder, 3)
    made = tweenbatch("pairs", "frame3.png", "frame1.png", "-o", "-", "--keep-order")
    (row,) = rows(made.stdout)
    assert (row["start_image"], row["end_image"]) == ("frame3.png", "frame1.png")
    assert (made.stderr, row["duration"], row["order"]) == ("", "5", "1")


def test_a_manifest_is_not_written_over_unasked(tweenbatch: Command) -> None:
    key_frames(tweenbatch.folder, 2)
    mine = tweenbatch.folder / "manifest.csv"
    mine.write_text("mine")
    refused = tweenbatch("pairs", ".", "-o", "manifest.csv")
    assert (refused.returncode, mine.read_text()) == (2, "mine")
    assert tweenbatch("pairs", ".", "-o", "manifest.csv", "--force").returncode == 0
    assert rows(mine.read_text())[0]["sequence"] == "manifest"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frame1.png", "-o", "m.csv"], "1 key frame found; a transition needs two"),
        (["gone.png", "frame1.png", "-o", "m.csv"], "'gone.png' does not exist"),
        ([".", "-o", "m.xlsx"], "-o m.xlsx: expected a name that ends in .csv"),
        ([".", "-o", "m.csv", "--prompt", "{x}"], "--prompt has {x}; expected one of {start}"),
        ([".", "-o", "m.csv", "--duration", "7"], "--duration is 7; Kling O1 allows"),
    ],
    ids=["one frame", "missing frame", "another format", "unknown placeholder", "length"],
)
def test_what_can_not_be_made_is_refused_in_one_line(
    tweenbatch: Command, arguments: list[str], said: str
) -> None:
    key_frames(tweenbatch.folder, 2)
    refused = tweenbatch("pairs", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not list(tweenbatch.folder.glob("m.*"))
