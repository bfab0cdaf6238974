"""The request for a schedule, the resulting units, and the exit codes that units handle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path

from tweenbatch.exit_codes import ExitCode

STOP_SECONDS = 300
"""A submission ends within a minute; downloads get the rest."""

BENIGN_EXITS = (ExitCode.LIMIT, ExitCode.TABLE_BUSY, ExitCode.INTERRUPTED)
"""Exit codes that need no person: a limit, another run using the table, a stop."""

DIGEST_SENT = tuple(code for code in ExitCode if code is not ExitCode.FAILED)
"""Exit codes after which a run has sent its digest itself; after any other it may have died.

Exit code 1 means failed jobs or a crash of Python; a digest already sent is not sent again.
"""

LONGEST_NAME = 52
"""The longest name of a CronJob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job file and its start time; paths are absolute, ``program`` starts tweenbatch."""

    jobfile: Path
    folder: Path
    program: tuple[str, ...]
    env_file: Path
    at: time
    zone: str | None = None
    """None: the machine's own zone."""
    image: str = "tweenbatch:latest"

    @property
    def name(self) -> str:
        """The name of the units."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.jobfile.stem).strip("-.")
        return f"tweenbatch-{stem or 'job'}"[:LONGEST_NAME].rstrip("-.")

    @property
    def run_command(self) -> tuple[str, ...]:
        """The command that runs the job file."""
        return (*self.program, "run", str(self.jobfile))

    @property
    def digest_command(self) -> tuple[str, ...]:
        """The command that sends the digest of a run that died."""
        return (*self.program, "digest", "--last", str(self.jobfile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Files by name, the commands that install them from their folder, and a warning."""

    files: Mapping[str, str]
    install: tuple[str, ...]
    warning: str | None = None
