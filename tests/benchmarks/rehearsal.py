"""How fast a rehearsal draws its previews, and whether everything stays awake meanwhile.

    python tests/benchmarks/rehearsal.py [--rows 16] [--seconds 5]

Needs the package with its ``rehearsal`` extra; no key, no network. The rows pass between the
pictures of ``jobs/seasons``, at the size that a rehearsal has by itself. The command runs on a
terminal, as a person sees it. Two runs, each in a folder of its own:

==============  =================================================================================
rehearsal       ``tweenbatch run manifest.csv --rehearse``: as a newcomer types it
emulator asked  the same work against an emulator that is asked for its ledger twenty times a
                second
==============  =================================================================================

===============  ================================================================================
real time        seconds of video for each second from the start of the command to its end,
                 start-up included
CPU/video        user and system time of all processes for each second of video
bar still        the longest time between two redraws of the bar; it is redrawn twice a second
slowest answer   the longest time that the emulator took to answer while it drew
===============  ================================================================================

The times depend on the machine, and on what else it does: mind the load in the line above the
table.
"""

import argparse
import csv
import fcntl
import itertools
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from measuring import cpu_seconds, environment, facts, row

from tweenbatch.emulator.process import emulator

SEASONS = Path(__file__).parents[2] / "jobs" / "seasons"
PICTURES = ("winter.jpg", "spring.jpg", "summer.jpg", "autumn.jpg")
KEY = "benchmark-key-id:benchmark-key-secret"
BAR = b"%|"
"""What every redraw of the bar has, and nothing else that the command writes."""
SCREEN = (24, 80)
"""Lines and columns."""
ASKED_EVERY_SECONDS = 0.05
ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run that came to its end."""

    name: str
    wall_seconds: float
    cpu_seconds: float
    bar_still_seconds: float
    slowest_answer_seconds: float | None


@dataclass(slots=True)
class Asking:
    """Asks an emulator again and again while its block lasts."""

    url: str
    slowest_seconds: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(ASKED_EVERY_SECONDS):
            began = time.monotonic()
            with urllib.request.urlopen(f"{self.url}/ledger", timeout=ANSWER_SECONDS) as answer:
                answer.read()
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)


def write_job(folder: Path, rows: int, seconds: int) -> None:
    """Write a manifest of passages between all pairs of the seasons, and the pictures beside it."""
    for name in PICTURES:
        shutil.copy(SEASONS / name, folder)
    passages = itertools.cycle(itertools.permutations(PICTURES, 2))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "prompt", "start_image", "end_image", "duration"))
        writer.writerows(
            (f"clip-{n}", f"passage number {n}: @Image1 becomes @Image2", *passage, seconds)
            for n, passage in zip(range(1, rows + 1), passages, strict=False)
        )


def on_a_terminal(arguments: Sequence[str], folder: Path, env: dict[str, str]) -> float:
    """Run the command to its end and return the longest time between two redraws of its bar."""
    installed = str(Path(sys.executable).with_name("tweenbatch"))
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SCREEN, 0, 0))
    process = subprocess.Popen(
        [installed, *arguments], cwd=folder, env=env, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    said, drawn = b"", []
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says so when the last writer has gone
            break
        if not piece:
            break
        said += piece
        if BAR in piece:
            drawn.append(time.monotonic())
    os.close(master)
    if process.wait() != 0:
        sys.exit(f"the run ended with {process.returncode}:\n{said.decode(errors='replace')}")
    return max(later - earlier for earlier, later in itertools.pairwise(drawn))


@contextmanager
def new_folder(rows: int, seconds: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        write_job(Path(name), rows, seconds)
        yield Path(name)


def rehearsal(rows: int, seconds: int) -> Measured:
    with new_folder(rows, seconds) as folder:
        cpu, began = cpu_seconds(), time.monotonic()
        still = on_a_terminal(("run", "manifest.csv", "--rehearse"), folder, environment(folder))
        return Measured(
            name="rehearsal",
            wall_seconds=time.monotonic() - began,
            cpu_seconds=cpu_seconds() - cpu,
            bar_still_seconds=still,
            slowest_answer_seconds=None,
        )


def emulator_asked(rows: int, seconds: int) -> Measured:
    with new_folder(rows, seconds) as folder:
        cpu = cpu_seconds()
        with emulator(state=folder / "emulator") as url, Asking(url) as asking:
            began = time.monotonic()
            still = on_a_terminal(
                ("run", "manifest.csv", "--yes"),
                folder,
                environment(folder, FAL_KEY=KEY, TWEENBATCH_CONNECT_TO=url),
            )
            wall = time.monotonic() - began
        return Measured(
            name="emulator asked",
            wall_seconds=wall,
            cpu_seconds=cpu_seconds() - cpu,
            bar_still_seconds=still,
            slowest_answer_seconds=asking.slowest_seconds,
        )


def table(rows: int, seconds: int) -> Iterator[str]:
    head = ("", "wall", "real time", "CPU/video", "bar still", "slowest answer")
    yield row(head)
    yield row(("---", *["---:"] * (len(head) - 1)))
    video = rows * seconds
    for measured in (rehearsal(rows, seconds), emulator_asked(rows, seconds)):
        answer = measured.slowest_answer_seconds
        yield row(
            (
                measured.name,
                f"{measured.wall_seconds:.1f} s",
                f"{video / measured.wall_seconds:.2f} ×",
                f"{measured.cpu_seconds / video:.2f} s",
                f"{measured.bar_still_seconds:.2f} s",
                "–" if answer is None else f"{answer * 1000:.0f} ms",
            )
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument(
        "--seconds",
        type=int,
        default=5,
        choices=(5, 10),
        help="length of each clip (default: %(default)s)",
    )
    options = parser.parse_args()
    what = f"{options.rows} rows of {options.seconds} s at 854x480"
    print(facts(what, "opencv-python-headless", "av"))
    for line in table(options.rows, options.seconds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
