"""The child process that decodes clips: it reads and answers lines of JSON.

The answer to ``{"path": …}`` is ``{"clip": {…}}``, ``{"broken": why}`` or
``{"unreadable": [errno, why]}``. Its first line reports that it is ready, or why not. It ends when
its input ends, so it never outlives its parent.
"""

import json
import os
import queue
import resource
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tweenbatch.errors import BrokenVideo

CPU_SECONDS = 60
"""Thirty times the need of a clip of 27 MB."""
MEMORY_BYTES = 2 * 1024**3
"""Address space, including libraries; 4K pictures with their references take a third of it."""


def main() -> None:
    """Serve until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # only the parent handles it, and then ends our input
    os.nice(10)
    try:
        import av.video  # noqa: F401 - report a library that can't be loaded before the first clip

        from tweenbatch.clips import pictures
    except Exception as error:  # noqa: BLE001 - the parent reports it
        _answer({"unavailable": f"{type(error).__name__}: {error}"})
        return
    _bound(resource.RLIMIT_AS, MEMORY_BYTES)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, 0)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    _answer({"ready": True})
    while True:
        path = Path(json.loads(orders.get())["path"])
        used = resource.getrusage(resource.RUSAGE_SELF)
        _bound(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS)
        try:
            _answer({"clip": asdict(pictures.check(path))})
        except BrokenVideo as error:
            _answer({"broken": str(error)})
        except OSError as error:
            _answer({"unreadable": [error.errno, error.strerror]})
        except MemoryError:
            _answer({"broken": "its pictures need more memory than any clip should"})


def _bound(limit: int, most: int) -> None:
    """Lower a resource limit of this process, if the system supports it."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most, hard))


def _listen(orders: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
