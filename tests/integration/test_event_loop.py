"""Nothing holds the event loop up: what takes its time runs in other threads."""

import csv
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

import tweenbatch
from support import watched
from support.command import TIMEOUT, Command
from support.fal import Server

ROWS = 30
FRAMES = 6
SIDE = 1600
"""In pixels: such a frame has some 8 MB, near the most that fal takes."""


def write_manifest(folder: Path) -> None:
    dice = random.Random(1)
    for number in range(FRAMES):
        picture = Image.frombytes("RGB", (SIDE, SIDE), dice.randbytes(3 * SIDE * SIDE))
        picture.save(folder / f"{number}.png", compress_level=0)
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("prompt", "start_image", "end_image"))
        rows.writerows(
            (f"prompt {n}", f"{n % FRAMES}.png", f"{(n + 1) % FRAMES}.png") for n in range(ROWS)
        )


def report(folder: Path, fal: Server, what: str) -> dict[str, Any]:
    """Run the manifest under watch and return what was seen."""
    write_manifest(folder)
    tests = str(Path(watched.__file__).parents[1])
    command = Command(folder=folder, connect_to=fal.url, environment={"PYTHONPATH": tests})
    arguments = ("report.json", what, "run", "manifest.csv", "--yes", "--concurrency", "10")
    ran = subprocess.run(
        [sys.executable, "-m", "support.watched", *arguments],
        cwd=folder,
        env=command.environ(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    totals = fal.totals()
    assert (totals["requests"]["upload"], totals["downloads"]["finished"]) == (FRAMES, ROWS)
    seen: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return seen


def test_no_step_of_the_loop_takes_long(tmp_path: Path, fal: Server) -> None:
    assert 0 < report(tmp_path, fal, "stalls")["calls"] < 100_000


def test_pictures_clips_and_the_table_are_none_of_the_loops_work(
    tmp_path: Path, fal: Server
) -> None:
    ran = set(report(tmp_path, fal, "rooms")["ran"])
    rooms = f"{Path(tweenbatch.__file__).parent}/"
    ours = {name.removeprefix(rooms) for name in ran if name.startswith(rooms)}
    assert {"runner/worker.py", "stages/upload.py", "stages/fetch.py"} <= ours
    assert not ours & {"frames/inspect.py", "recovery/witness.py"}
    assert not {name for name in ours if name.startswith(("clips/", "store/"))} - {
        "store/thread.py"
    }
    assert not {name for name in ran if "/PIL/" in name or "/av/" in name}
    assert not ran & {"posix.fsync", "posix.replace", "posix.link", "time.sleep"}
