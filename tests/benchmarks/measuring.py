"""What the benchmarks share: the environment of what they start, its time, and their tables."""

import os
import platform
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return this environment without what is set for fal or tweenbatch, at home in the folder.

    Modules are compiled once and not at each start, as where a package is installed.
    """
    left_out = ("FAL_", "TWEENBATCH_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**kept, "HOME": str(folder), **more}


def cpu_seconds() -> float:
    """Return the user and system time of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def facts(what: str, *packages: str) -> str:
    """Return the line above a table: what was measured, when, on what."""
    versions = "".join(f", {name} {version(name)}" for name in ("tweenbatch", *packages))
    return (
        f"{what}; {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), "
        f"load before {os.getloadavg()[0]:.1f}; "
        f"{platform.python_implementation()} {platform.python_version()}{versions}.\n"
    )
