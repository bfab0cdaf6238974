"""What a long manifest costs before anything is submitted.

    python tests/benchmarks/manifests.py [--rows 1000000]

Needs the package; no key, no network. A CSV file with that many rows of URL frames is written
first. Each step is a process of its own, start-up included:

=====================  ==========================================================================
sqlite3 .import        the floor: the same file, as it is, into a table without index or check;
                       left out where there is no ``sqlite3`` command
plan, no table         ``tweenbatch plan`` before the first import
import                 the file is read, checked and put into a new job table
plan, known            ``tweenbatch plan`` of the file that was just imported
import, known          the same file once more
import, one row edited  the file with one other prompt in the middle
=====================  ==========================================================================

``of the floor`` is wall time in units of the floor's; ``peak`` is the most memory that the
process held. Times depend on the machine, and on what else it does.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import environment, facts, row

IMPORT = """
import gc, sys
from datetime import UTC, datetime
from pathlib import Path
from tweenbatch.manifest import Reading, read_all
from tweenbatch.store import Store

gc.set_threshold(50_000, 20, 100)  # as the command does
store = Store.open(sys.argv[2])
for each in read_all([Path(sys.argv[1])], Reading(latest=store.manifests.last_import())):
    print(store.manifests.put(each, now=datetime.now(UTC)).new, "new jobs")
store.close()
"""

COLUMNS = ("name", "prompt", "start_image", "end_image", "duration", "shot")
MEBIBYTE = 1 << 20
PEAK_UNIT = 1024 if sys.platform.startswith("linux") else 1
"""What the kernel counts the peak in, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A process that was run to its end."""

    name: str
    wall: float
    cpu: float
    peak: int
    said: str


def write_manifest(path: Path, rows: int, *, edited: int | None = None) -> None:
    """Write rows with URL frames; the prompt of one is another where it is ``edited``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            frames = (f"https://cdn.example.com/{number:07d}-{end}.png" for end in "ab")
            what = "edited" if number == edited else "number"
            prompt = f"The camera glides slowly from the first picture to the last, {what} {number}"
            row = (f"clip-{number}", prompt, *frames, 5 if number % 2 else 10, f"s{number % 100}")
            writer.writerow(row)


def measured(name: str, command: Sequence[str], *, text: str = "") -> Step:
    """Run a command to its end; raise where it fails."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            command,
            env=environment(Path.home()),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
        )
        assert process.stdin is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        said = out.read()
    if process.returncode:
        sys.exit(f"{name}: exit code {process.returncode}\n{said}")
    return Step(
        name=name,
        wall=time.perf_counter() - started,
        cpu=usage.ru_utime + usage.ru_stime,
        peak=usage.ru_maxrss * PEAK_UNIT,
        said=said,
    )


def steps(folder: Path, rows: int) -> list[Step]:
    """Run all steps on files of this folder."""
    file, table = folder / "manifest.csv", folder / "tweenbatch.db"
    url = f"sqlite:///{table}"
    write_manifest(file, rows)
    done = []
    if sqlite3 := shutil.which("sqlite3"):
        load = f".mode csv\n.import {file} manifest\n"
        done.append(measured("sqlite3 .import", [sqlite3, str(folder / "floor.db")], text=load))
    plan = [sys.executable, "-m", "tweenbatch", "plan", str(file), "--db", url]
    put = [sys.executable, "-c", IMPORT, str(file), url]
    done += [
        measured("plan, no table", plan),
        measured("import", put),
        measured("plan, known", plan),
        measured("import, known", put),
    ]
    write_manifest(file, rows, edited=rows // 2)
    done.append(measured("import, one row edited", put))
    assert done[-1].said == "1 new jobs\n", done[-1].said
    return done


def table_of(done: Sequence[Step]) -> str:
    """Return the table of all steps."""
    floor = next((step.wall for step in done if step.name == "sqlite3 .import"), None)
    lines = [row(("step", "wall", "CPU", "of the floor", "peak")), row(("---", *["---:"] * 4))]
    lines += [
        row(
            (
                step.name,
                f"{step.wall:.1f} s",
                f"{step.cpu:.1f} s",
                f"{step.wall / floor:.1f}" if floor else "–",
                f"{step.peak / MEBIBYTE:.0f} MiB",
            )
        )
        for step in done
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the steps and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows: int = parser.parse_args().rows
    head = facts(f"{rows:,} rows", "pandas")
    with tempfile.TemporaryDirectory(prefix="tweenbatch-manifests-") as folder:
        done = steps(Path(folder), rows)
    print(head)
    print(table_of(done))


if __name__ == "__main__":
    main()
