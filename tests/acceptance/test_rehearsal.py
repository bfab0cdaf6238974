"""What a newcomer does first: the seasons, rehearsed."""

import csv
import json
import shutil
import signal
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from support.command import Command, until
from support.forked import Forked, Zygote
from tweenbatch.clips import mp4, video

SEASONS = Path(__file__).parents[2] / "jobs" / "seasons"
RUN = ("run", "seasons/manifest.csv", "--rehearse")


@pytest.fixture
def newcomer(tmp_path: Path) -> Command:
    """Somebody without a key, in a folder with the example."""
    shutil.copytree(SEASONS, tmp_path / "seasons")
    return Command(folder=tmp_path, key=None)


def ends(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last picture of a clip as grey levels."""
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return pictures[0], pictures[-1]


def likeness(picture: np.ndarray, frame: Path) -> float:
    """Return the correlation of a picture with a key frame."""
    height, width = picture.shape
    wanted = np.asarray(Image.open(frame).convert("L").resize((width, height)))
    return float(np.corrcoef(picture.ravel(), wanted.ravel())[0, 1])


def test_the_example_becomes_one_clip_for_each_row_for_nothing(newcomer: Command) -> None:
    first = newcomer(*RUN)
    assert first.returncode == 0, first.stderr
    assert "4 clips to make here, for $0; on fal this would cost $2.80" in first.stdout
    assert "4 of 4 clips done" in first.stdout
    with (newcomer.folder / "seasons" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["duration"] for row in rows} == {"5", "10"}
    for row in rows:
        path = newcomer.folder / "rehearsal" / "videos" / f"{row['name']}.mp4"
        mp4.check(path)
        clip = video.probe(path)
        assert (clip.codec, clip.width, clip.height) == ("h264", 854, 480)
        assert clip.seconds == pytest.approx(float(row["duration"]), abs=0.1)
        start, end = ends(path)
        assert likeness(start, newcomer.folder / "seasons" / row["start_image"]) > 0.97
        assert likeness(end, newcomer.folder / "seasons" / row["end_image"]) > 0.97
    assert not (newcomer.folder / "tweenbatch.db").exists()
    assert not (newcomer.folder / "videos").exists()

    second = newcomer(*RUN)
    assert second.returncode == 0
    assert "Nothing to do (every clip is already there). No charge." in second.stdout


SHOWN = (
    ("plan", "seasons/manifest.csv"),
    ("status",),
    ("runs",),
    ("runs", "show", "1"),
    ("show", "1"),
    ("retake", "1", "--yes"),
)
"""Commands that show amounts."""

NOTE = "rehearsal: nothing is charged; amounts show what fal would charge"


def test_every_command_that_shows_amounts_says_that_they_are_a_rehearsals(
    newcomer: Command, zygote: Zygote
) -> None:
    assert newcomer(*RUN, "--limit", "1").returncode == 3
    tweenbatch = Forked(folder=newcomer.folder, key=None, zygote=zygote)
    for command in SHOWN:
        ended = tweenbatch(*command, "--rehearse")
        said = ended.stdout + ended.stderr
        assert ended.returncode == 0, said
        assert "$" in said, command
        assert NOTE in said or "(rehearsal): " in said, command
    for command in (("status",), ("show", "1"), ("runs", "show", "1")):
        assert json.loads(tweenbatch(*command, "--rehearse", "--json").stdout)["rehearsal"] is True
    (run,) = json.loads(tweenbatch("runs", "--rehearse", "--json").stdout)
    assert run["rehearsal"] is True
    digest = tweenbatch("runs", "show", "1", "--rehearse").stdout
    assert "spent     $0 (on fal: $" in digest


def test_what_is_not_rehearsed_is_not_called_a_rehearsal(newcomer: Command) -> None:
    planned = newcomer("plan", "seasons/manifest.csv")
    assert "$2.80" in planned.stdout
    assert "rehearsal" not in planned.stdout + planned.stderr


def test_a_rehearsal_that_was_killed_goes_on_with_the_same_requests(newcomer: Command) -> None:
    def submitted() -> bool:
        status = newcomer("status", "--rehearse", "--json")
        return status.returncode == 0 and json.loads(status.stdout)["jobs"]["submitted"] == 4

    with newcomer.started(*RUN) as run:
        until(submitted)
        run.send_signal(signal.SIGKILL)
        run.wait()
    resumed = newcomer("run", "--rehearse")
    assert resumed.returncode == 0, resumed.stderr
    status = json.loads(newcomer("status", "--rehearse", "--json").stdout)
    assert status["jobs"]["succeeded"] == 4
    assert status["money"]["spent"] == 2.8
    journal = (newcomer.folder / "rehearsal" / "emulator" / "journal.jsonl").read_text()
    assert journal.count('"kind":"accepted"') == 4
