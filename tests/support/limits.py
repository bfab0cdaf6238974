"""Files are read one by one under the limits of time and memory that hold for each of them.

    python limits.py files FILE…
    python limits.py seeds SUFFIX FIRST COUNT FOLDER

Prints a JSON line for each: its name, what came of it, and what it took. Nothing is printed of a
file that took the process with it, but its name on the last line.
"""

import json
import os
import resource
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from tweenbatch.errors import ManifestError
from tweenbatch.manifest import Reading, read
from tweenbatch.manifest.formats import parquet, workbook

MEMORY = 500_000_000
CPU_SECONDS = 10

assert parquet, workbook  # they are in memory before it is limited


def outcome(path: Path) -> str:
    """Return how reading a file ended: ``read``, ``one line``, or what should never be."""
    try:
        rows = read(path, Reading()).rows
    except ManifestError as error:
        if "enough memory" in str(error):
            return "it takes too much memory"
        lines = [str(problem) for problem in error.problems]
        good = error.path == path and lines and all(line.isprintable() for line in lines)
        return "one line" if good else f"not about this file: {error}"
    except BaseException:  # noqa: BLE001 - what it is, is what is told
        return traceback.format_exc()
    return f"read: {len(rows)}"


def used() -> float:
    """Return the seconds of CPU that this process has taken."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def limit() -> None:
    """Let this process take so much more memory, and so many more seconds."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY,) * 2)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used()) + CPU_SECONDS, hard))


def tell(name: str, **facts: object) -> None:
    """Print a line."""
    sys.stdout.write(json.dumps({"name": name, **facts}) + "\n")
    sys.stdout.flush()


def files(paths: Iterator[Path]) -> None:
    """Read each file in a process of its own."""
    for path in paths:
        child = os.fork()
        if not child:
            limit()
            tell(path.name, outcome=outcome(path))
            os._exit(0)
        _, status, usage = os.wait4(child, 0)
        facts = {"status": status, "peak": usage.ru_maxrss * 1024}
        tell(path.name, **facts, cpu=usage.ru_utime + usage.ru_stime)


def seeds(suffix: str, first: int, count: int, folder: Path) -> None:
    """Read a damaged file for each seed."""
    from support.damaged import damaged

    limit()
    for seed in range(first, first + count):
        path = folder / f"m.{suffix}"
        path.write_bytes(damaged(suffix, seed))
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used()) + CPU_SECONDS, hard))
        tell(f"{suffix} {seed}")
        tell(f"{suffix} {seed}", outcome=outcome(path))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    if sys.argv[1] == "files":
        files(map(Path, sys.argv[2:]))
    else:
        seeds(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
