"""Check clips in a child process, because their bytes are untrusted.

If a decoder crashes, hangs or runs out of memory, the run survives: the clip counts as broken, and
the next clip gets a new process. One process checks all clips in turn and starts with the first.
It is spawned, because a fork would copy a process with threads, and it does not get our
environment, which contains the key.
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
"""Far longer than the child's limit on CPU time takes on a busy machine."""

_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables that an interpreter may need to load its libraries."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tweenbatch.clips.child import main; main()"
)


class Checker:
    """Checks that clips are complete and can be decoded; a context manager, safe for threads.

    ``check_seconds`` is the time limit for one clip.
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
        """End the process at once."""
        with self._alone:
            self._end()

    def check(self, path: Path) -> ClipFacts:
        """Return the facts of a clip if the file is complete and its pictures can be decoded.

        Raises:
            BrokenVideo: the clip is broken or can't be proven complete; the message does not name
                the file.
            CheckUnavailable: no clip can be checked on this machine.
            OSError: the file can't be read.
        """
        mp4.check(path)
        with self._alone:
            child = self._running()
            try:
                answer = self._request(child, {"path": _encoded(path)}, self._seconds)
            except TimeoutError:
                self._end()
                raise BrokenVideo(f"it was not decoded within {self._seconds:g} s") from None
            except (OSError, ValueError) as error:
                ended = self._end()
                log.warning("the decoder died (%s; exit %s): %s", error, ended, path)
                raise BrokenVideo(f"it crashed the decoder (exit {ended})") from None
        return _clip_of(answer)

    def _running(self) -> "subprocess.Popen[bytes]":
        """Return the process; start one if there is none."""
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - this interpreter, running our own code
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C in the terminal is for the run, which finishes the current check.
                start_new_session=True,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                cwd="/",
            )
            answer = self._answer(self._child, START_SECONDS)
        except (OSError, ValueError) as error:
            self._end()
            raise CheckUnavailable(f"the decoder does not start ({error})") from error
        if "ready" not in answer:
            self._end()
            raise CheckUnavailable(f"the decoder does not start ({answer.get('unavailable')})")
        return self._child

    def _request(
        self, child: "subprocess.Popen[bytes]", request: dict[str, Any], seconds: float
    ) -> dict[str, Any]:
        _pipe(child.stdin).write(json.dumps(request).encode() + b"\n")
        _pipe(child.stdin).flush()
        return self._answer(child, seconds)

    def _answer(self, child: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any]:
        """Return the child's next line; raise ``TimeoutError``, or ``OSError`` if it has ended."""
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
        """End the process, if there is one; return its exit status."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        for pipe in (child.stdin, child.stdout):
            try:
                _pipe(pipe).close()
            except OSError:
                log.debug("a pipe of the decoder had unsent data")
        return child.wait()


def _encoded(path: Path) -> str:
    """Return the path for the child, whose file system encoding is UTF-8 even if ours isn't."""
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
