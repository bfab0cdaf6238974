"""Clips are decoded in a process of their own: their bytes come from outside.

A decoder that crashes, hangs or takes all memory takes no run with it: the clip counts as broken,
and the next one gets another process. One process serves all clips, one after the other, and
starts with the first. It is spawned, for a fork would copy a process with threads, and it does not
get our environment, which holds the key.
"""

import errno
import json
import logging
import os
import selectors
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tweenbatch.clips import mp4
from tweenbatch.clips.video import ClipFacts
from tweenbatch.errors import BrokenVideo, CheckUnavailable

log = logging.getLogger(__name__)

START_SECONDS = 60.0
CHECK_SECONDS = 300.0
"""Far more than the child's own limit of CPU time takes on a machine that does other things."""

_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What an interpreter may need to load its libraries."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tweenbatch.clips.child import main; main()"
)


class Checker:
    """Tells whether clips are whole and can be decoded; close it, or use it as a context manager.

    ``check_seconds`` is how long one clip may take. It may be used from many threads.
    """

    def __init__(
        self, *, check_seconds: float = CHECK_SECONDS, command: tuple[str, ...] | None = None
    ) -> None:
        self._seconds = check_seconds
        self._command = command or (sys.executable, "-I", "-c", _PROGRAM, json.dumps(sys.path))
        self._child: subprocess.Popen[bytes] | None = None
        self._alone = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with self._alone:
            self._end()

    def check(self, path: Path) -> ClipFacts:
        """Return what a clip shows if the file is whole and its pictures can be decoded.

        Raises:
            BrokenVideo: it is not, or that can't be proven; the message does not name the file.
            CheckUnavailable: no clip can be checked on this machine.
            OSError: the file can't be read.
        """
        mp4.check(path)
        with self._alone:
            child = self._running()
            try:
                answer = self._asked(child, {"path": _named(path)}, self._seconds)
            except TimeoutError:
                self._end()
                raise BrokenVideo(f"it was not decoded within {self._seconds:g} s") from None
            except (OSError, ValueError) as error:
                ended = self._end()
                log.warning("the decoder died (%s; exit %s): %s", error, ended, path)
                raise BrokenVideo(f"the decoder dies of it (exit {ended})") from None
        return _clip_of(answer)

    def _running(self) -> "subprocess.Popen[bytes]":
        """Return the process, started if there is none."""
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter, and code of ours
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is for the run, which finishes what it checks.
                start_new_session=True,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                cwd="/",
            )
            said = self._answer(self._child, START_SECONDS)
        except (OSError, ValueError) as error:
            self._end()
            raise CheckUnavailable(f"the decoder does not start ({error})") from error
        if "ready" not in said:
            self._end()
            raise CheckUnavailable(f"the decoder does not start ({said.get('unavailable')})")
        return self._child

    def _asked(
        self, child: "subprocess.Popen[bytes]", question: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        _pipe(child.stdin).write(json.dumps(question).encode() + b"\n")
        _pipe(child.stdin).flush()
        return self._answer(child, seconds)

    def _answer(self, child: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any]:
        """Return a line of the child; raise ``TimeoutError``, or ``OSError`` where it is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(_pipe(child.stdout), selectors.EVENT_READ)
            if not selector.select(seconds):
                raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        line = _pipe(child.stdout).readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError(errno.ECONNRESET, "it ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> int | None:
        """End the process; return how it ended, if there was one."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        for pipe in (child.stdin, child.stdout):
            try:
                _pipe(pipe).close()
            except OSError:
                log.debug("a pipe of the decoder held something for it")
        return child.wait()


def _named(path: Path) -> str:
    """Return the path as the child understands it, whose encoding is UTF-8 whatever ours is."""
    return os.fsencode(path.absolute()).decode("utf-8", "surrogateescape")


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _clip_of(answer: dict[str, Any]) -> ClipFacts:
    if "broken" in answer:
        raise BrokenVideo(answer["broken"])
    if "unreadable" in answer:
        raise OSError(*answer["unreadable"])
    return ClipFacts(**answer["clip"])
