"""The installed command without the second that its imports take: for hundreds of runs.

The runs are the same as those of ``support.command``, but forked from one warm process.
"""

import dataclasses
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from support import canary
from support.command import TIMEOUT, Command

PROGRAM = Path(__file__).with_name("zygote.py")


class Zygote:
    """The warm process; use it as a context manager."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(TIMEOUT)
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FAL_", "TWEENBATCH_"))
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # A thread of its own would keep this library from being forked.
                env={**keep, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        self._answers = self._control.makefile("r", encoding="utf-8")

    def __enter__(self) -> Self:
        assert self._answers.readline() == "ready\n", "the warm process did not come up"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._answers.close()
        self._control.close()
        self._process.wait(TIMEOUT)

    def order(self, order: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Have something done and return the answer."""
        text = json.dumps(order).encode() + b"\n"
        sent = socket.send_fds(self._control, [text], descriptors)
        self._control.sendall(text[sent:])
        answer = self._answers.readline()
        assert answer, "the warm process has died"
        return dict(json.loads(answer))


class Child:
    """``tweenbatch``, forked; ``fileno`` becomes readable when it ends, however it ends."""

    def __init__(
        self,
        zygote: Zygote,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        streams: Sequence[int],
        clock: Mapping[str, float] | None = None,
    ) -> None:
        self.arguments = arguments
        self._zygote = zygote
        self._held, theirs = socket.socketpair()
        self._code: int | None = None
        with theirs:
            order = {
                "argv": list(arguments),
                "cwd": str(folder),
                "env": dict(environment),
                "clock": None if clock is None else dict(clock),
            }
            self.pid: int = zygote.order(order, [theirs.fileno(), *streams])["pid"]

    def fileno(self) -> int:
        return self._held.fileno()

    def kill(self) -> None:
        """End it as a power cut would; does nothing to one that has ended."""
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)

    def code(self) -> int:
        """Return its exit code, once it has ended."""
        if self._code is None:
            ended, _, _ = select.select([self._held], [], [], TIMEOUT)
            assert ended, f"still running after {TIMEOUT:g} s: {self.arguments}"
            self._code = self._zygote.order({"wait": self.pid})["code"]
            self._held.close()
        return self._code


class Run(Child):
    """A run that goes on, and what it says."""

    def __init__(
        self,
        zygote: Zygote,
        command: Command,
        arguments: Sequence[str],
        *,
        clock: Mapping[str, float] | None = None,
    ) -> None:
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in ``wait``
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in ``wait``
        self._ended: subprocess.CompletedProcess[str] | None = None
        with Path(os.devnull).open() as nothing:
            super().__init__(
                zygote,
                arguments,
                folder=command.folder,
                environment=command.environ(),
                streams=[each.fileno() for each in (nothing, self._output, self._errors)],
                clock=clock,
            )

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Return how it ended and what it said, once it has."""
        if self._ended is None:
            code = self.code()
            said = [_read(file) for file in (self._output, self._errors)]
            self._ended = subprocess.CompletedProcess(self.arguments, code, *said)
            canary.refuse("".join(said), where=f"the output of {self.arguments}")
        return self._ended


def _read(file: IO[bytes]) -> str:
    with closing(file):
        file.seek(0)
        return file.read().decode()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forked(Command):
    """``Command``, with its runs forked."""

    zygote: Zygote
    clock: Mapping[str, float] | None = None
    """See ``zygote.py``; None: the machine's."""

    def at(self, url: str) -> "Forked":
        """Return the same command, connected to another stand-in for fal."""
        return dataclasses.replace(self, connect_to=url)

    def __call__(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        if stdin or self.environment.keys() - {"HOME", "XDG_STATE_HOME"}:
            # What is read while the libraries are imported must be there from the start.
            return Command.__call__(self, *arguments, stdin=stdin)
        with self.running(*arguments) as run:
            return run.wait()

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Run]:
        """Start and hand over; whatever still runs at the end is killed."""
        run = Run(self.zygote, self, arguments, clock=self.clock)
        try:
            yield run
        finally:
            run.kill()
            run.wait()
