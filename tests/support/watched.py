"""The command with its event loop under watch: ``python -m support.watched REPORT rooms|stalls …``.

What follows is what would follow ``tweenbatch``. The report is JSON:

``stalls``
    how many calls the longest single step of the loop makes, in Python and in C: a count, so that
    it is the same on a busy machine.
``rooms``
    which files of Python, and which calls into the system, the loop's own thread ran while there
    were jobs at work.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tweenbatch.cli import main

_step: Callable[[asyncio.Handle], None] = asyncio.Handle._run


class Stalls:
    """Counts the calls of every step of the loop."""

    def __init__(self) -> None:
        self._most = 0
        self._calls = 0

    @property
    def report(self) -> dict[str, Any]:
        return {"calls": self._most}

    def step(self, handle: asyncio.Handle) -> None:
        self._calls = 0
        sys.setprofile(self._count)
        try:
            _step(handle)
        finally:
            sys.setprofile(None)
            self._most = max(self._most, self._calls)

    def _count(self, _frame: FrameType, event: str, _called: Any) -> None:
        self._calls += event in {"call", "c_call"}


class Rooms:
    """Notes what runs in the loop's thread from the first step of a job to the last one."""

    def __init__(self) -> None:
        self._kept: set[str] = set()
        self._since: set[str] = set()
        """Since the last step of a job: it may be after all jobs."""

    @property
    def report(self) -> dict[str, Any]:
        return {"ran": sorted(self._kept)}

    def step(self, handle: asyncio.Handle) -> None:
        sys.setprofile(self._note)
        try:
            _step(handle)
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            self._since.add(frame.f_code.co_filename)
            if frame.f_code.co_qualname == "Worker.work":
                self._kept |= self._since if self._kept else set()
                self._kept.add(frame.f_code.co_filename)
                self._since.clear()
        elif event == "c_call":
            self._since.add(f"{called.__module__}.{called.__name__}")


if __name__ == "__main__":
    report, what, *arguments = sys.argv[1:]
    watch: Stalls | Rooms = Stalls() if what == "stalls" else Rooms()

    def step(handle: asyncio.Handle) -> None:
        watch.step(handle)

    asyncio.Handle._run = step  # type: ignore[assignment, method-assign]
    sys.argv = ["tweenbatch", *arguments]
    try:
        main()
    finally:
        Path(report).write_text(json.dumps(watch.report))
