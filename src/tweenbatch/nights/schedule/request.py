"""What is to be started every night, and how a run behaves when it is stopped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path

from tweenbatch.exit_codes import ExitCode

STOP_SECONDS = 300
"""A submission ends within a minute; what is being fetched has the rest."""

BENIGN_EXITS = (ExitCode.LIMIT, ExitCode.TABLE_BUSY, ExitCode.INTERRUPTED)
"""Exit codes that need nobody: a limit, another run that has the table, a stop."""

DIGEST_SENT = tuple(code for code in ExitCode if code is not ExitCode.FAILED)
"""With one of these a run has sent its digest itself; with any other it may have died.

With 1 it ends where jobs failed, and where Python broke off; who was told is not told again.
"""

LONGEST_NAME = 52
"""Of a CronJob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job file and when to start it; paths are absolute, ``program`` is how it is called."""

    jobfile: Path
    folder: Path
    program: tuple[str, ...]
    env_file: Path
    at: time
    zone: str | None = None
    """None: the machine's own."""
    image: str = "tweenbatch:latest"

    @property
    def name(self) -> str:
        """The name of its units."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.jobfile.stem).strip("-.")
        return f"tweenbatch-{stem or 'job'}"[:LONGEST_NAME].rstrip("-.")

    @property
    def runs(self) -> tuple[str, ...]:
        """What is called."""
        return (*self.program, "run", str(self.jobfile))

    @property
    def tells(self) -> tuple[str, ...]:
        """What is called when it died."""
        return (*self.program, "digest", "--last", str(self.jobfile))


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Files by their names, what installs them in their folder, and what they can't do."""

    files: Mapping[str, str]
    install: tuple[str, ...]
    warning: str | None = None
