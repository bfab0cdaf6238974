"""How long the commands of a person take on a table of a million jobs.

    python tests/benchmarks/million.py [--jobs 1000000]

Needs the package with its ``rehearsal`` extra; no key, no network. The table is made once, by the
import of a manifest with URL frames; its past is written into it by SQL, under the checks of its
schema: most jobs are done, one in a thousand has failed, and one in a hundred waits. Each step is
the installed command in a process of its own, start-up included.

==============  =================================================================================
--help          the list of commands
status, small   of a table with ten jobs
status          of the table
plan            of a manifest with a hundred rows of the table's, in a file of its own
export          one line for each row, as CSV
export, tenth   the same of a table with a tenth of the jobs: memory must not grow with them
resume          from the start of ``run`` to the first submission that fal accepts
==============  =================================================================================

Times are the median of the runs, peaks the highest.
"""

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from statistics import median

from manifests import IMPORT, MEBIBYTE, Step, measured, write_manifest
from measuring import environment, facts, row
from throughput import KEY, Load, ask, fresh_emulator

RUNS = 3
POLL_SECONDS = 0.02
SLOTS = 4

PAST = """
INSERT INTO runs (id, host, pid, version, started_at, heartbeat_at, finished_at, exit_code)
VALUES (1, 'benchmark', 1, '0', '2026-01-01 04:14:00.000000', '2026-01-02 04:14:00.000000',
    '2026-01-02 04:14:00.000000', 1);

INSERT INTO attempts (job_id, number, run_id, endpoint, host, payload, payload_sha256,
    key_fingerprint, price_micro, started_at, accepted_at, finished_at, request_id, status_url,
    response_url, cancel_url, video_url, video_bytes, outcome, billed, error_type, error_message)
SELECT id, 1, 1, endpoint, 'queue.fal.run', '{"prompt": "' || prompt || '"}', key, 'f1',
    price_micro,
    '2026-01-01 04:15:00.000000', '2026-01-01 04:15:01.000000', '2026-01-01 04:17:30.000000',
    'r-' || id, 'https://queue.fal.run/r-' || id || '/status', 'https://queue.fal.run/r-' || id,
    'https://queue.fal.run/r-' || id || '/cancel', 'https://v3b.fal.media/files/' || id || '.mp4',
    27000000, iif(id % 1000, 'succeeded', 'failed'), 'yes',
    iif(id % 1000, NULL, 'generation_failed'), iif(id % 1000, NULL, 'The service failed.')
FROM jobs WHERE id % 100 <> 1;

UPDATE jobs SET attempt = 1, state = iif(id % 1000, 'succeeded', 'failed'),
    error_type = iif(id % 1000, NULL, 'generation_failed'),
    error_message = iif(id % 1000, NULL, 'The service failed.'),
    finished_at = '2026-01-01 04:17:30.000000'
WHERE id % 100 <> 1;

INSERT INTO artifacts (job_id, attempt_id, path, url, bytes, sha256, seconds, width, height,
    created_at)
SELECT job_id, id, 'videos/' || job_id || '.mp4', video_url, 27000000, payload_sha256, 5.0, 1920,
    1080, finished_at
FROM attempts WHERE outcome = 'succeeded';
"""


def make(folder: Path, jobs: int) -> None:
    """Put a table into the folder, with its past, and the manifest that it was made of."""
    folder.mkdir()
    write_manifest(folder / "manifest.csv", jobs)
    table = folder / "tweenbatch.db"
    put = (sys.executable, "-c", IMPORT, str(folder / "manifest.csv"), f"sqlite:///{table}")
    measured("import", put)
    with closing(sqlite3.connect(table)) as database:
        database.executescript(PAST)


def command(*arguments: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).with_name("tweenbatch")), *arguments)


def often(name: str, once: Callable[[], Step], *, runs: int = RUNS) -> Step:
    done = [once() for _ in range(runs)]
    return Step(
        name=name,
        wall=median(step.wall for step in done),
        cpu=median(step.cpu for step in done),
        peak=max(step.peak for step in done),
        said="",
    )


def steps(folder: Path, jobs: int) -> Iterator[Step]:
    whole, tenth, small = (folder / name for name in ("whole", "tenth", "small"))
    make(whole, jobs)
    make(tenth, jobs // 10)
    make(small, 10)
    write_manifest(whole / "hundred.csv", 100)

    def run(name: str, where: Path, *arguments: str, runs: int = RUNS) -> Step:
        os.chdir(where)
        return often(name, lambda: measured(name, command(*arguments)), runs=runs)

    yield run("--help", whole, "--help", runs=3 * RUNS)
    yield run("status, small", small, "status", runs=3 * RUNS)
    yield run("status", whole, "status")
    yield run("plan", whole, "plan", "hundred.csv")
    yield run("export", whole, "export", "-o", "results.csv")
    yield run("export, tenth", tenth, "export", "-o", "results.csv")
    yield often("resume", lambda: resumed(whole))


def resumed(folder: Path) -> Step:
    """Resume, and stop at once: what matters is when fal hears of it."""
    load = Load(jobs=0, slots=SLOTS, seconds=600.0, queue=0)
    with tempfile.TemporaryDirectory() as name, fresh_emulator(load, ()) as url:
        copy = Path(name)
        shutil.copy(folder / "tweenbatch.db", copy)
        began = time.time()
        process = subprocess.Popen(
            command("run", "--yes", "--trust-table", "--limit", str(SLOTS)),
            cwd=copy,
            env=environment(copy, FAL_KEY=KEY, TWEENBATCH_CONNECT_TO=url),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not ask(f"{url}/ledger?totals=1")["accepted_count"]:
            if process.poll() is not None:
                sys.exit(f"resume: exit code {process.returncode}")
            time.sleep(POLL_SECONDS)
        first = datetime.fromisoformat(ask(f"{url}/ledger")["accepted"][0]["at"])
        process.send_signal(signal.SIGKILL)
        _, _, used = os.wait4(process.pid, 0)
        return Step(
            name="resume",
            wall=first.timestamp() - began,
            cpu=used.ru_utime + used.ru_stime,
            peak=used.ru_maxrss * 1024,
            said="",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=1_000_000, help="(default: %(default)s)")
    jobs: int = parser.parse_args().jobs
    print(facts(f"{jobs:,} jobs", "sqlalchemy"))
    print(row(("step", "wall", "CPU", "peak")))
    print(row(("---", *["---:"] * 3)))
    with tempfile.TemporaryDirectory(prefix="tweenbatch-million-") as name:
        for step in steps(Path(name), jobs):
            wall = f"{step.wall * 1000:.0f} ms" if step.wall < 1 else f"{step.wall:.1f} s"
            peak = f"{step.peak / MEBIBYTE:.0f} MiB"
            print(row((step.name, wall, f"{step.cpu:.2f} s", peak)), flush=True)


if __name__ == "__main__":
    main()
