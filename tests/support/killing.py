"""One table, worked on by runs that are killed again and again, each followed by another.

``Batch.kill`` kills; there is always work left, because more rows come when it runs out.
``support.judging`` brings the table to an end and judges it. A seed draws the points; the moments
themselves are the machine's.

``TWEENBATCH_TEST_KILLS=600`` plays so many kills, ``TWEENBATCH_TEST_SEED=7`` one batch alone.
"""

import os
import random
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from support import manifests
from support.fal import Server
from support.forked import Forked, Run, Zygote
from support.points import (
    ANY_MOMENT,
    BEFORE_ALL,
    POINTS,
    TABLE,
    Point,
    comes,
    locked,
    look,
    states,
)
from tweenbatch.emulator.process import EmulatorProcess

KILLS_IN_BATCH = 60
ROWS = 40
"""Rows in each wave of work."""
FRAMES = 2
"""Frames of a wave, which its rows share."""
UPLOADS = "SELECT COUNT(*) FROM uploads"
MOST_EVENTS = 30
"""A moment is any event at fal, up to so many after the start of the run."""
FAL_DIES_EVERY = 25
KILLED = -9
ENDED = frozenset({0, 5})
"""What a run may say that was left alone: all is done, or a person is needed."""


@dataclass(slots=True)
class Tally:
    """What was done to a table."""

    kills: Counter[str] = field(default_factory=Counter)
    """Runs that were alive when they were killed, by point."""
    missed: Counter[str] = field(default_factory=Counter)
    """Runs that came to their own end before."""
    deaths_of_fal: int = 0

    @property
    def live_share(self) -> float:
        return self.kills.total() / max(1, self.kills.total() + self.missed.total())

    def add(self, other: "Tally") -> None:
        self.kills += other.kills
        self.missed += other.missed
        self.deaths_of_fal += other.deaths_of_fal


class Batch:
    """A table, its fal with a ledger on disk, and waves of rows; use it as a context manager."""

    def __init__(self, folder: Path, *, zygote: Zygote, seed: int) -> None:
        self._dice = random.Random(seed)
        self._process = EmulatorProcess(
            state=folder / "fal", options=("--no-render", "--seconds", "0.3")
        )
        self._table = folder / TABLE
        self._waves = 0
        self.command = Forked(folder=folder, zygote=zygote)
        self.tally = Tally()

    def __enter__(self) -> Self:
        self.command = self.command.at(self._process.start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.stop()

    @property
    def fal(self) -> Server:
        return Server(self._process.url)

    @property
    def rows(self) -> int:
        """How many rows were asked for so far."""
        return self._waves * ROWS

    def kill(self, kills: int) -> None:
        """Kill so many runs that are alive."""
        while self.tally.kills.total() < kills:
            assert self.tally.missed.total() <= kills, f"hardly a run is hit: {self.tally}"
            there = self._there()
            possible = [name for name, point in POINTS.items() if point.needs & there]
            if possible:
                self._kill_at(self._drawn(possible))
            else:
                self._waves += 1
                write_wave(self.command.folder, self._waves)
            if self.tally.kills.total() // FAL_DIES_EVERY > self.tally.deaths_of_fal:
                self._let_fal_die()

    def _there(self) -> set[str]:
        """Return the states of which there are jobs, and "frames" where one is not uploaded."""
        if not self._waves:
            return set()
        counts = states(self._table)
        if not counts:
            return {"pending"} if self._table.exists() else {"pending", "frames"}
        lacking = counts.total() < self.rows or (
            counts["pending"] and look(self._table, UPLOADS)[0][0] < FRAMES * self._waves
        )
        return {*counts, *(["pending", "frames"] if lacking else [])}

    def _drawn(self, possible: list[str]) -> str:
        """Let as many kills come at any moment as at all the named points together."""
        if BEFORE_ALL in possible and self._dice.random() < 0.5:
            return BEFORE_ALL  # soon it is over
        return ANY_MOMENT if self._dice.random() < 0.5 else self._dice.choice(possible)

    def _kill_at(self, name: str) -> None:
        point, fal = POINTS[name], self.fal
        fal.script(*point.faults)
        before = fal.totals()["last_event"]
        count = 1 if point.event else self._dice.randint(0, MOST_EVENTS)
        concurrency = str(self._dice.choice([1, 2, 5, 8]))
        arguments = ("run", f"wave-{self._waves}.csv", "--yes", "--settle", "0")
        with self.command.running(*arguments, "--concurrency", concurrency) as run:
            if not count or comes(fal, run, point.event, count=count, since=before):
                self._kill(run, point)
            said = run.wait()
        assert said.returncode in {KILLED, *ENDED}, f"{name}: {said}"
        (self.tally.kills if said.returncode == KILLED else self.tally.missed)[name] += 1
        # What was held goes on, with nobody there to hear of it.
        fal.script()
        assert not fal.totals()["duplicate_count"], f"paid twice after: {name}, {self.tally}"

    def _kill(self, run: Run, point: Point) -> None:
        with locked(self._table) if point.locked else nullcontext():
            point.then(self.fal, run, self.command.folder)
            run.kill()
            run.wait()

    def _let_fal_die(self) -> None:
        """Let the server crash and come back with what it had accepted."""
        self._process.kill()
        self._process.stop()
        self.command = self.command.at(self._process.start())
        self.tally.deaths_of_fal += 1


def write_wave(folder: Path, number: int, *, rows: int = ROWS) -> None:
    """Write rows with frames and prompts of their own."""
    frames = {"start_image": f"a-{number}.png", "end_image": f"b-{number}.png"}
    for name, colour in zip(frames.values(), (50, 200), strict=True):
        manifests.frame(folder / name, (number % 256, number // 256, colour))
    named = [
        {
            **row,
            "name": f"wave-{number}-{row['name']}",
            "prompt": f"wave {number}, {row['prompt']}",
        }
        for row in manifests.rows(rows, **frames)
    ]
    manifests.write(folder / f"wave-{number}.csv", named)


def batches() -> list[tuple[int, int]]:
    """Return seed and number of kills of each batch that is to be played."""
    one = os.environ.get("TWEENBATCH_TEST_SEED")
    if one:
        return [(int(one), KILLS_IN_BATCH)]
    left = int(os.environ.get("TWEENBATCH_TEST_KILLS", "300"))
    return list(enumerate(in_batches(left)))


def in_batches(kills: int, most: int = KILLS_IN_BATCH) -> list[int]:
    """Return how many kills each batch has."""
    return [min(most, kills - done) for done in range(0, kills, most)]
