"""Kills thousands of runs, and holds what is left against fal's ledger.

    python tests/acceptance/killed_at_length.py [--mixed] [--kills 10000] [--workers 2] [--seed 0]

Needs the package with its ``dev`` extra; no key, no network. Batches of 60 kills, each with a
seed of its own, a fresh table and a fresh emulator, which is killed at times as well. Every kill
is followed by another run on the same table; at the end of its batch all work must be done.

``--mixed`` mixes the kills with all that ``support/campaign.py`` names: faults of every call,
wrong clocks, folders that are put back, and more; its batches have 20 kills. One batch is played
again alone with its seed: ``--mixed --kills 20 --seed 7 --log FILE``, where FILE gets all that
happened to batches that failed.

Prints the kills by point, and what was found: requests accepted and billed beyond one for each
row (duplicates), clips paid for and not there (lost), clips that are not whole or not those that
fal made (broken), rows that were not brought to an end (stuck). On stderr it keeps count.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.campaign import Campaign, PaidTwice
from support.forked import Zygote
from support.judging import Findings, bring_to_an_end, judge
from support.killing import KILLS_IN_BATCH, Batch, Tally, in_batches
from support.points import POINTS

KILLS_IN_MIX = 20


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How a batch went; ``failed`` says why it broke off, ``log`` what happened."""

    seed: int
    tally: Tally
    done: Counter[str] = field(default_factory=Counter)
    found: Findings | None = None
    failed: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        found = self.found.wrong if self.found else []
        return [*found, *([self.failed] if self.failed else [])]


@dataclass(slots=True)
class Totals:
    """All batches together."""

    tally: Tally = field(default_factory=Tally)
    done: Counter[str] = field(default_factory=Counter)
    batches: int = 0
    failed: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    lost: int = 0
    broken: int = 0
    stuck: int = 0

    def add(self, outcome: Outcome) -> None:
        self.batches += 1
        self.failed += bool(outcome.wrong)
        self.tally.add(outcome.tally)
        self.done += outcome.done
        found = outcome.found
        if found is not None:
            self.rows += found.rows
            self.accepted += found.accepted
            self.duplicates += found.duplicates
            self.lost += len(found.lost)
            self.broken += len(found.broken)
            self.stuck += len(found.stuck)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows in {self.batches:,} tables: {self.accepted:,} accepted, "
            f"{self.duplicates:,} duplicates, {self.lost:,} lost, {self.broken:,} broken files, "
            f"{self.stuck:,} stuck; {self.failed:,} batches failed"
        )


def play(seed: int, kills: int, *, mixed: bool) -> Outcome:
    """Play one batch in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="tweenbatch-kills-") as name, Zygote() as zygote:
        folder = Path(name).resolve()
        return (_mixed if mixed else _killed)(folder, zygote, seed, kills)


def _killed(folder: Path, zygote: Zygote, seed: int, kills: int) -> Outcome:
    with Batch(folder, zygote=zygote, seed=seed) as batch:
        outcome = Outcome(seed=seed, tally=batch.tally)
        try:
            batch.kill(kills)
            bring_to_an_end(batch.command, batch.fal)
            outcome.found = judge(batch.command, batch.fal, rows=batch.rows)
        except Exception as error:  # noqa: BLE001 - the other batches go on
            outcome.failed = f"{type(error).__name__}: {error}"
    return outcome


def _mixed(folder: Path, zygote: Zygote, seed: int, kills: int) -> Outcome:
    with Campaign(folder, zygote=zygote, seed=seed) as campaign:
        outcome = Outcome(seed=seed, tally=campaign.tally, done=campaign.done, log=campaign.log)
        try:
            campaign.play(kills)
            campaign.heal()
            outcome.found = campaign.judge()
        except PaidTwice as error:
            outcome.found = Findings(rows=campaign.takes, accepted=0, duplicates=error.count)
            outcome.failed = str(error)
        except Exception as error:  # noqa: BLE001 - the other batches go on
            outcome.failed = f"{type(error).__name__}: {error}"
    return outcome


def table(totals: Totals, seconds: float) -> Iterator[str]:
    """Yield the lines of the summary."""
    tally = totals.tally
    yield "| killed at | runs |"
    yield "|---|---:|"
    for point in POINTS:
        yield f"| {point} | {tally.kills[point]:,} |"
    yield f"| **all** | **{tally.kills.total():,}** |"
    yield ""
    yield f"{tally.missed.total():,} runs had ended before; fal died {tally.deaths_of_fal:,} times."
    yield f"{totals}."
    if totals.done:
        yield "; ".join(f"{name}: {count:,}" for name, count in sorted(totals.done.items())) + "."
    yield f"{seconds:,.0f} s, {seconds / max(1, tally.kills.total()):.2f} s a kill."


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0, help="of the first batch")
    parser.add_argument("--mixed", action="store_true", help="with trouble of all kinds at once")
    parser.add_argument("--log", type=Path, help="for what happened to batches that failed")
    options = parser.parse_args()
    began = time.monotonic()
    totals = Totals()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=spawn) as pool:
        batches = in_batches(options.kills, KILLS_IN_MIX if options.mixed else KILLS_IN_BATCH)
        jobs = [
            pool.submit(play, seed, kills, mixed=options.mixed)
            for seed, kills in enumerate(batches, start=options.seed)
        ]
        for job in as_completed(jobs):
            outcome = job.result()
            totals.add(outcome)
            told = "; ".join(outcome.wrong) or "nothing wrong"
            so_far = f"so far {totals.tally.kills.total():,} kills, {totals}"
            print(f"seed {outcome.seed}: {told} ({so_far})", file=sys.stderr, flush=True)
            if options.log and outcome.wrong:
                with options.log.open("a") as log:
                    log.write("\n".join((f"SEED {outcome.seed}: {told}", *outcome.log, "")))
    for line in table(totals, time.monotonic() - began):
        print(line)
    return int(totals.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
