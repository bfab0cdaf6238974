"""The process in which clips are decoded: it answers one line of JSON for each line it reads.

``{"path": …}`` is answered with ``{"clip": {…}}``, ``{"broken": why}`` or
``{"unreadable": [errno, why]}``. The first line that it writes says that it is ready, or why not.
It ends with its input: however its parent ends, it is gone as well.
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
"""Thirty times what a clip of 27 MB takes."""
MEMORY_BYTES = 2 * 1024**3
"""Address space, libraries included; pictures of 4K and what refers to them take a third of it."""


def main() -> None:
    """Serve until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # for the parent, which ends the input in its turn
    os.nice(10)
    try:
        import av.video  # noqa: F401 - what can't be loaded is to be told before any clip comes

        from tweenbatch.clips import pictures
    except Exception as error:  # noqa: BLE001 - the parent tells it
        _say({"unavailable": f"{type(error).__name__}: {error}"})
        return
    _bound(resource.RLIMIT_AS, MEMORY_BYTES)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, 0)
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    _say({"ready": True})
    while True:
        path = Path(json.loads(orders.get())["path"])
        used = resource.getrusage(resource.RUSAGE_SELF)
        _bound(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + CPU_SECONDS)
        try:
            _say({"clip": asdict(pictures.check(path))})
        except BrokenVideo as error:
            _say({"broken": str(error)})
        except OSError as error:
            _say({"unreadable": [error.errno, error.strerror]})
        except MemoryError:
            _say({"broken": "its pictures need more memory than any clip should"})


def _bound(limit: int, most: int) -> None:
    """Lower a limit of this process, where the system has it."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most, hard))


def _listen(orders: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(0)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
