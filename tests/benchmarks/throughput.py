"""How tweenbatch compares with the scripts that people write around fal's own client.

    python tests/benchmarks/throughput.py [--jobs 400] [--seconds 1] [--slots 40] [--queue 4]

Needs the package with its ``rehearsal`` extra; no key, no network. Each runner (the installed
command, and each way in ``peers.py``) is a process of its own and works against a fresh
emulator, which runs ``--slots`` requests at once and takes ``--seconds`` for each. All get the
same rows with the same URLs as frames, submit, wait, download every clip and store it. There
are two series, one without trouble, and one in which every tenth reply to a submission is lost
after fal has accepted it: the same prompts' replies for every runner.

=============  ==================================================================================
in flight      requests that the runner may have at fal at one time; more than there are slots
               means that fal always has the next one at hand
slots busy     slot-seconds in use, of all from the first start to the last end
possible       the same, if each slot took the next request at the moment when it is free: what is
               left to do at the end does not fill all slots
wall           seconds from the start of the process to its end, start-up included
CPU/job        user and system time of the process, start-up included, by clip
of best peer   the same in units of the most frugal peer of this run
HTTP/job       requests that reached fal's hosts, by clip
paid twice     with lost replies: accepted requests beyond one for each row
delivered      with lost replies: clips that were stored. tweenbatch keeps a submission whose
               reply is lost as uncertain and never buys it again by itself
=============  ==================================================================================

The ratios are for comparison within one run; the times depend on the machine, and on what else
it does: mind the load in the line above the table.
"""

import argparse
import csv
import heapq
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from measuring import cpu_seconds, environment, facts, row

from tweenbatch.emulator.process import emulator

KEY = "benchmark-key-id:benchmark-key-secret"
LOST_REPLIES = {"on": "submit", "do": "reset", "at": "reply", "probability": 0.1, "seed": 1}
MIXED = (
    {
        "on": "generation",
        "do": "fail",
        "status": 422,
        "type": "content_policy_violation",
        "probability": 0.05,
        "seed": 2,
    },
    *(
        {
            "on": "generation",
            "do": "delay",
            "seconds": digit,
            "prompt_contains": f"{digit}: @Image1",
        }
        for digit in range(1, 10)
    ),
)
"""A clip takes 1 to 10 s, each whole number as often as the others, and one in twenty fails."""

QUICK_JOBS = 40
TIMEOUT_SECONDS = 1800.0
CONTROL_SECONDS = 60.0
SOME_FAILED = 1
NEEDS_A_PERSON = 5
"""tweenbatch's exit codes where clips could not be made, and where submissions are uncertain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What every runner is given to do."""

    jobs: int
    slots: int
    seconds: float
    queue: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A program that turns ``manifest.csv`` in its folder into clips in ``videos``."""

    name: str
    way: str
    in_flight: int | None
    """None: found by the runner itself."""

    @property
    def is_peer(self) -> bool:
        return self.way != "tweenbatch"

    def command(self, url: str) -> list[str]:
        if self.is_peer:
            script = str(Path(__file__).with_name("peers.py"))
            return [
                *(sys.executable, script, self.way, "manifest.csv", "--output", "videos"),
                *("--connect-to", url, "--in-flight", str(self.in_flight)),
            ]
        installed = str(Path(sys.executable).with_name("tweenbatch"))
        many = str(self.in_flight or "auto")
        return [installed, "run", "manifest.csv", "--yes", "--keep-going", "--concurrency", many]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One runner at the end of its work, as itself and the emulator's ledger tell it."""

    wall_seconds: float
    cpu_seconds: float
    delivered: int
    prompts: int
    ledger: dict[str, Any]

    @property
    def slots_busy(self) -> float:
        first, last = (
            datetime.fromisoformat(self.ledger[name])
            for name in ("first_started_at", "last_ended_at")
        )
        offered = self.ledger["slots"] * (last - first).total_seconds()
        return float(self.ledger["busy_slot_seconds"] / offered)

    @property
    def possible(self) -> float:
        began = sorted(self.ledger["accepted"], key=lambda accepted: accepted["started_at"])
        seconds = [
            (
                datetime.fromisoformat(each["ended_at"])
                - datetime.fromisoformat(each["started_at"])
            ).total_seconds()
            for each in began
        ]
        free_at = [0.0] * self.ledger["slots"]
        for each in seconds:
            heapq.heapreplace(free_at, free_at[0] + each)
        return sum(seconds) / (len(free_at) * max(free_at))

    @property
    def http_requests(self) -> int:
        return sum(self.ledger["requests"].values())

    @property
    def paid_twice(self) -> int:
        return int(self.ledger["accepted_count"]) - self.prompts


def write_manifest(path: Path, jobs: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", "prompt", "start_image", "end_image", "duration"))
        frames = ("https://example.com/winter.png", "https://example.com/spring.png")
        writer.writerows(
            (f"clip-{n}", f"prompt number {n}: @Image1 becomes @Image2", *frames, "5")
            for n in range(1, jobs + 1)
        )


def ask(url: str, body: Any = None) -> dict[str, Any]:
    """Speak to the emulator's own side; such calls are not in its ledger."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=CONTROL_SECONDS) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


@contextmanager
def fresh_emulator(load: Load, faults: Sequence[dict[str, Any]]) -> Iterator[str]:
    options = ("--no-render", "--slots", str(load.slots), "--seconds", str(load.seconds))
    with emulator(options=options) as url:
        ask(f"{url}/faults", list(faults))
        yield url


def measure(runner: Runner, load: Load, *faults: dict[str, Any]) -> Measured:
    with tempfile.TemporaryDirectory() as name, fresh_emulator(load, faults) as url:
        folder = Path(name)
        write_manifest(folder / "manifest.csv", load.jobs)
        cpu, began = cpu_seconds(), time.monotonic()
        ran = subprocess.run(
            runner.command(url),
            cwd=folder,
            env=environment(folder, FAL_KEY=KEY, TWEENBATCH_CONNECT_TO=url),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        wall, cpu = time.monotonic() - began, cpu_seconds() - cpu
        if ran.returncode not in ((0, SOME_FAILED, NEEDS_A_PERSON) if faults else (0,)):
            sys.exit(f"{runner.name} ended with {ran.returncode}:\n{ran.stderr[-2000:]}")
        ledger = ask(f"{url}/ledger")
        print(f"{runner.name}, {runner.in_flight} in flight: {wall:.1f} s", file=sys.stderr)
        return Measured(
            wall_seconds=wall,
            cpu_seconds=cpu,
            delivered=sum(clip.stat().st_size > 0 for clip in folder.glob("videos/*.mp4")),
            prompts=len({accepted["input"]["prompt"] for accepted in ledger["accepted"]}),
            ledger=ledger,
        )


def runners(load: Load) -> Iterator[Runner]:
    yield Runner(name="tweenbatch", way="tweenbatch", in_flight=load.slots)
    if load.queue:
        window = load.slots + load.queue
        yield Runner(name="tweenbatch, queue kept", way="tweenbatch", in_flight=window)
    yield Runner(name="asyncio + subscribe", way="asyncio", in_flight=load.slots)
    yield Runner(name="threads + subscribe", way="threads", in_flight=load.slots)


def table(load: Load) -> Iterator[str]:
    measured = [
        (runner, measure(runner, load), measure(runner, load, LOST_REPLIES))
        for runner in runners(load)
    ]
    best = min(plain.cpu_seconds for runner, plain, _ in measured if runner.is_peer)
    head = (
        *("", "in flight", "slots busy", "wall", "CPU/job", "of best peer", "HTTP/job"),
        *("paid twice", "delivered"),
    )
    yield row(head)
    yield row(("---", *["---:"] * (len(head) - 1)))
    for runner, plain, lossy in measured:
        yield row(
            (
                runner.name,
                str(runner.in_flight),
                f"{plain.slots_busy:.3f}",
                f"{plain.wall_seconds:.1f} s",
                f"{plain.cpu_seconds / load.jobs * 1000:.1f} ms",
                f"{plain.cpu_seconds / best:.2f}",
                f"{plain.http_requests / load.jobs:.1f}",
                str(lossy.paid_twice),
                f"{lossy.delivered} of {load.jobs}",
            )
        )


def series(slots: int, *, tenth: bool) -> Iterator[str]:
    """Yield the table of three loads: how busy the slots are, and what a clip costs us."""
    part = 10 if tenth else 1
    loads = (
        ("{jobs} × 1 s", Load(jobs=400 // part, slots=slots, seconds=1.0, queue=0), ()),
        ("{jobs} × 3 s", Load(jobs=400 // part, slots=slots, seconds=3.0, queue=0), ()),
        (
            "{jobs} × 1–10 s, 5 % fail",
            Load(jobs=2000 // part, slots=slots, seconds=1.0, queue=0),
            MIXED,
        ),
    )
    head = ("", "", "slots busy", "possible", "wall", "CPU/job", "of best peer", "HTTP/job")
    yield row(head)
    yield row(("---", "---", *["---:"] * 6))
    for name, load, faults in loads:
        each = (
            Runner(name="tweenbatch", way="tweenbatch", in_flight=None),
            Runner(name="asyncio + subscribe", way="asyncio", in_flight=load.slots),
            Runner(name="threads + subscribe", way="threads", in_flight=load.slots),
        )
        measured = [(runner, measure(runner, load, *faults)) for runner in each]
        best = min(took.cpu_seconds for runner, took in measured if runner.is_peer)
        for runner, took in measured:
            yield row(
                (
                    name.format(jobs=f"{load.jobs:,}"),
                    runner.name,
                    f"{took.slots_busy:.3f}",
                    f"{took.possible:.3f}",
                    f"{took.wall_seconds:.1f} s",
                    f"{took.cpu_seconds / load.jobs * 1000:.1f} ms",
                    f"{took.cpu_seconds / best:.2f}",
                    f"{took.http_requests / load.jobs:.1f}",
                )
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=400, help="rows (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="what a request takes (default: %(default)s)"
    )
    parser.add_argument(
        "--slots",
        type=int,
        default=40,
        help="requests that fal runs at once (default: %(default)s)",
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=4,
        help="a second row for tweenbatch with so many more in flight than there are slots, "
        "so that fal always has the next one at hand; 0: no such row (default: %(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK_JOBS} jobs")
    parser.add_argument(
        "--series",
        action="store_true",
        help="three loads without lost replies, tweenbatch finding the limit of the account itself",
    )
    options = parser.parse_args()
    if options.series:
        for line in series(options.slots, tenth=options.quick):
            print(line, flush=True)
        return
    jobs = QUICK_JOBS if options.quick else options.jobs
    load = Load(jobs=jobs, slots=options.slots, seconds=options.seconds, queue=options.queue)
    what = f"{jobs} jobs of {load.seconds:g} s on {load.slots} slots"
    print(facts(what, "fal-client", "httpx"))
    for line in table(load):
        print(line)


if __name__ == "__main__":
    main()
