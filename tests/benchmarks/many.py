"""What a thousand clips in flight cost the machine that waits for them.

    python tests/benchmarks/many.py [--in-flight 1000] [--seconds 60] [--waves 3]

Needs the package with its ``rehearsal`` extra; no key, no network. The installed command has
``--in-flight`` requests at an emulator of its own, in another process, that runs as many at
once and takes ``--seconds`` for each; then the next wave follows, one by one.

==============  =================================================================================
in flight       the most that fal had at one time
memory          the most that the process held resident
of a core       user and system time of the process from its start to its end, by its wall time
CPU/job         the same by clip
HTTP/job        requests that reached fal's hosts, by clip
to its file     from a clip's end at fal to the record of its file: the median, and the longest
==============  =================================================================================
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from measuring import environment, facts, row
from throughput import KEY, Load, ask, fresh_emulator, write_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run that came to its end."""

    ledger: dict[str, Any]
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    delays: list[float]
    """Seconds from each clip's end at fal to the record of its file."""


def run(load: Load) -> Held:
    with tempfile.TemporaryDirectory() as name, fresh_emulator(load, ()) as url:
        folder = Path(name)
        write_manifest(folder / "manifest.csv", load.jobs)
        installed = str(Path(sys.executable).with_name("tweenbatch"))
        began = time.monotonic()
        with (folder / "said").open("wb") as said:
            process = subprocess.Popen(
                [installed, "run", "manifest.csv", "--yes", "--concurrency", str(load.slots)],
                cwd=folder,
                env=environment(folder, FAL_KEY=KEY, TWEENBATCH_CONNECT_TO=url),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        if status:
            sys.exit(f"the run ended with {status}:\n{(folder / 'said').read_text()[-2000:]}")
        ledger = ask(f"{url}/ledger")
        return Held(
            ledger=ledger,
            wall_seconds=wall,
            cpu_seconds=used.ru_utime + used.ru_stime,
            peak_mib=used.ru_maxrss / 1024,
            delays=list(delays(ledger, folder / "videos" / "results.csv")),
        )


def delays(ledger: dict[str, Any], results: Path) -> Iterator[float]:
    ended = {each["request_id"]: each["ended_at"] for each in ledger["accepted"]}
    with results.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            done, end = line["finished_at"], ended[line["request_id"]]
            yield (datetime.fromisoformat(done) - datetime.fromisoformat(end)).total_seconds()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--in-flight", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="(default: %(default)s)")
    parser.add_argument("--waves", type=int, default=3, help="(default: %(default)s)")
    options = parser.parse_args()
    load = Load(
        jobs=options.in_flight * options.waves,
        slots=options.in_flight,
        seconds=options.seconds,
        queue=0,
    )
    print(facts(f"{load.jobs:,} jobs of {load.seconds:g} s", "fal-client", "httpx"))
    held = run(load)
    print(row(("in flight", "memory", "of a core", "CPU/job", "HTTP/job", "to its file", "wall")))
    print(row(["---:"] * 7))
    print(
        row(
            (
                f"{held.ledger['most_in_progress']:,}",
                f"{held.peak_mib:.0f} MiB",
                f"{held.cpu_seconds / held.wall_seconds:.1%}",
                f"{held.cpu_seconds / load.jobs * 1000:.1f} ms",
                f"{sum(held.ledger['requests'].values()) / load.jobs:.1f}",
                f"{median(held.delays):.1f} s, at most {max(held.delays):.1f} s",
                f"{held.wall_seconds:.0f} s",
            )
        )
    )


if __name__ == "__main__":
    main()
