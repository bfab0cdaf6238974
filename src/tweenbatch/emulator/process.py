"""Run the emulator as a child process that ends with its parent.

The rest of the program imports only this module of the emulator. The child reads its standard
input, which only the parent holds open: however the parent ends, the child ends too.
"""

import contextlib
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tweenbatch.errors import UsageError

START_SECONDS = 60.0
STOP_SECONDS = 15.0
LISTENING = "listening on "
"""Prefix of the URL in the first line that the child prints."""


class EmulatorProcess:
    """An emulator in a separate process; use it as a context manager.

    Ctrl-C in the terminal does not reach it: the parent decides when it ends. ``options`` are
    further options of ``tweenbatch emulator``.
    """

    def __init__(
        self, *, state: Path | None = None, port: int = 0, options: Sequence[str] = ()
    ) -> None:
        self._command = [
            *(sys.executable, "-m", "tweenbatch", "emulator", "--exit-with-stdin"),
            *("--port", str(port)),
            *(() if state is None else ("--state", str(state))),
            *options,
        ]
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        assert self._child is not None, "not started"
        return self._child.pid

    def start(self) -> str:
        """Start the child, wait until it listens and return its URL.

        Raises:
            UsageError: with the child's error output, if it does not start.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in ``stop``
        environment = {name: value for name, value in os.environ.items() if name != "FAL_KEY"}
        self._child = subprocess.Popen(  # noqa: S603 - our own command
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )
        line = self._first_line()
        if not line.startswith(LISTENING):
            self.kill()
            output = (
                self._error_output() or f"it printed {line!r}" if line else self._error_output()
            )
            self.stop()
            raise UsageError(f"the emulator did not start: {output or 'it printed nothing'}")
        self.url = line.removeprefix(LISTENING).strip()
        return self.url

    def stop(self) -> None:
        """End the child; kill it if it does not end in time."""
        if self._child is not None:
            child, self._child = self._child, None
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def kill(self) -> None:
        """End the child as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _first_line(self) -> str:
        assert self._child is not None
        assert self._child.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in output:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    break
                piece = os.read(self._child.stdout.fileno(), 4096)
                if not piece:
                    break
                output += piece
        return output.partition(b"\n")[0].decode(errors="replace")

    def _error_output(self) -> str:
        assert self._errors is not None
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()[-2000:]


@contextlib.contextmanager
def emulator(
    *, state: Path | None = None, port: int = 0, options: Sequence[str] = ()
) -> Iterator[str]:
    """Run an emulator as a child process during a ``with`` block and yield its URL."""
    with EmulatorProcess(state=state, port=port, options=options) as process:
        yield process.url
