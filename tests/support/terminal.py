"""The installed command on a terminal, as a person sees it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support import canary
from support.command import TIMEOUT, Command, executable

ROWS = 24


@dataclass(slots=True)
class Terminal:
    """A pseudo-terminal with the command in it; ``screen`` is all that was written so far.

    What does not come within ``patience`` seconds fails with the screen: a command that waits
    for somebody to type is silent for ever.
    """

    process: "subprocess.Popen[bytes]"
    master: int
    screen: str = field(default="")
    patience: float = TIMEOUT

    def read_until(self, text: str) -> str:
        """Read until this text was written; return everything so far."""
        deadline = time.monotonic() + self.patience
        while text not in self.screen:
            assert self._read(deadline, f"{text!r} never came"), f"{text!r} never came: {self}"
        return self.screen

    def type(self, line: str) -> None:
        """Type a line and press return."""
        os.write(self.master, f"{line}\n".encode())

    def end(self) -> int:
        """Read to the end; return the exit code."""
        deadline = time.monotonic() + self.patience
        while self._read(deadline, "it never ended"):
            pass
        return self.process.wait(TIMEOUT)

    def __str__(self) -> str:
        return f"on the screen there is\n{self.screen}"

    def _read(self, deadline: float, otherwise: str) -> bool:
        left = max(deadline - time.monotonic(), 0)
        readable, _, _ = select.select([self.master], [], [], left)
        assert readable, f"{otherwise} in {self.patience:g} s: {self}"
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says so when the last writer has gone
            return False
        self.screen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def terminal(command: Command, *arguments: str, columns: int = 80) -> Iterator[Terminal]:
    """Run the command on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    environment = {
        name: value for name, value in command.environ().items() if name not in ("COLUMNS", "LINES")
    }
    process = subprocess.Popen(
        [executable(), *arguments],
        cwd=command.folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = Terminal(process, master)
    try:
        yield shown
    finally:
        if process.poll() is None:
            process.kill()
        shown.patience = TIMEOUT
        shown.end()
        os.close(master)
        canary.refuse(shown.screen, where=f"the terminal of {arguments}")
