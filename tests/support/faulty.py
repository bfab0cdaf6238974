"""The installed command on a disk that fails: from the k-th operation on, as strace injects it."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.command import TIMEOUT, Command, executable

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace, which injects the errors, is not installed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Which files fail, in which system calls, and how; other files of the command work."""

    calls: str
    error: str
    files: Sequence[str]

    def options(self, folder: Path, k: int) -> list[str]:
        """What strace needs to fail each such call from the k-th on."""
        paths = [option for name in self.files for option in ("-P", str(folder / name))]
        inject = f"inject={self.calls}:error={self.error}:when={k}+"
        return [*paths, "-e", f"trace={self.calls}", "-e", inject]

    def run(
        self, command: Command, k: int, *arguments: str
    ) -> tuple[subprocess.CompletedProcess[str], int]:
        """Run to the end; return how it ended and how many calls failed."""
        trace = command.folder.parent / f"{command.folder.name}.trace"
        ended = subprocess.run(
            [
                *("strace", "-f", "-qq", "-o", str(trace)),
                *self.options(command.folder, k),
                *(executable(), *arguments),
            ],
            cwd=command.folder,
            env=command.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return ended, trace.read_text(errors="replace").count("(INJECTED)")


def steps(command: Command, *names: str) -> list[str]:
    """Run to the end; return what reached these files and folders, in order, as ``call name``.

    A repeated step is shown once.
    """
    trace = command.folder.parent / f"{command.folder.name}.trace"
    calls = "fsync,fdatasync,link,linkat,rename,unlink,ftruncate,pwrite64"
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={calls}"),
            *(executable(), "run", "--yes"),
        ],
        cwd=command.folder,
        env=command.environ(),
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    seen: list[str] = []
    for line in trace.read_text(errors="replace").splitlines():
        found = re.match(r"\d+ +(\w+)\((.*)", line)
        if found is None:
            continue
        named = [name for name in names if f"/{name}>" in found[2] or f'/{name}"' in found[2]]
        step = f"{found[1]} {' '.join(named)}"
        if named and seen[-1:] != [step]:
            seen.append(step)
    return seen


def doubled(prompts: Sequence[str]) -> list[str]:
    """What was bought more than once."""
    return [prompt for prompt, count in Counter(prompts).items() if count > 1]
