"""The installed command, as a person or a scheduler starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support import canary

KEY = canary.KEY
TIMEOUT = 120.0


def executable() -> str:
    """The script that pip installed beside this interpreter."""
    return str(Path(sys.executable).with_name("tweenbatch"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``tweenbatch`` in a folder of its own; ``connect_to`` stands for fal's hosts."""

    folder: Path
    connect_to: str | None = None
    key: str | None = KEY
    environment: Mapping[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FAL_", "TWEENBATCH_"))
        }
        keep["HOME"] = str(self.folder)
        if self.key is not None:
            keep["FAL_KEY"] = self.key
        if self.connect_to is not None:
            keep["TWEENBATCH_CONNECT_TO"] = self.connect_to
        return {**keep, **self.environment}

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        run = subprocess.run(
            [executable(), *arguments],
            cwd=self.folder,
            env=self.environ(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        canary.refuse(run.stdout + run.stderr, where=f"the output of {arguments}")
        return run

    def jobs(self) -> dict[str, int]:
        """Return how many jobs stand where, as ``status`` says; without the zeros."""
        counts = json.loads(self("status", "--json").stdout)["jobs"]
        return {state: count for state, count in counts.items() if count}

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start and hand over; whatever still runs at the end is killed."""
        process = subprocess.Popen(
            [executable(), *arguments],
            cwd=self.folder,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            # Once more returns what the test has read already.
            output = "".join(process.communicate())
            canary.refuse(output, where=f"the output of {arguments}")


def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds; fail when it does not come to that."""
    deadline = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
