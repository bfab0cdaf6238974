"""A process that has imported the command once, and becomes it in a fork for each run.

    python zygote.py DESCRIPTOR

Orders come as lines of JSON over the socket of that number, each answered with a line:
``{"argv": […], "cwd": …, "env": {…}, "clock": …}`` with four descriptors (one that the run only
holds, so that its end shows, standard input, output and error) starts a run and tells its ``pid``;
``{"wait": pid}`` tells how it ended. The process ends with the socket. ``clock`` is null, or
``{"ahead": seconds, "pace": …}``: the wall clock is ahead of the truth, and time goes so many times
as fast.
"""

import asyncio
import atexit
import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

WARM = (
    *("tweenbatch.cli.commands.run", "tweenbatch.cli.commands.status"),
    *("tweenbatch.cli.commands.export", "tweenbatch.cli.commands.resolve"),
    *("tweenbatch.fal.client", "tweenbatch.store.migrate"),
    *("alembic.command", "alembic.runtime.environment", "anyio._backends._asyncio"),
    *("alembic.config", "sqlalchemy.dialects.sqlite.pysqlite", "multiprocessing.synchronize"),
    *("fal_client", "httpcore", "av", "av.subtitles.stream", "pandas.io.formats.csvs"),
    *("PIL.PngImagePlugin", "PIL.JpegImagePlugin"),
    *("tweenbatch.cli.commands.emulator", "tweenbatch.emulator.serving"),
)
"""What every run loads sooner or later; none of it opens anything or starts a thread."""

LONGEST_ORDER = 1_000_000
DESCRIPTORS = 4


def warm_up() -> None:
    """Import all; raise where a thread runs afterwards, which a fork would tear out."""
    # With pyarrow pandas starts threads; a run that reads Parquet imports it by itself.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    for name in WARM:
        importlib.import_module(name)
    del sys.modules["pyarrow"]
    tasks = Path("/proc/self/task")
    if tasks.exists():
        assert len(list(tasks.iterdir())) == 1, "a thread runs: nothing may be forked from here"
    gc.freeze()


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each order; returns the order in the fork, and None at the end."""
    control.sendall(b"ready\n")
    while True:
        text, descriptors, _, _ = socket.recv_fds(control, LONGEST_ORDER, DESCRIPTORS)
        while text and not text.endswith(b"\n"):
            text += control.recv(LONGEST_ORDER)
        if not text:
            return None
        order = json.loads(text)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if not pid:
                control.close()
                take_place(order, *descriptors)
                return dict(order)
            for descriptor in descriptors:
                os.close(descriptor)
            answer = {"pid": pid}
        control.sendall(json.dumps(answer).encode() + b"\n")


def take_place(order: dict[str, Any], _held: int, *streams: int) -> None:
    """Make this process look as if it had been started with the order."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    if order["clock"] is not None:
        set_clock(**order["clock"])
    sys.argv = ["tweenbatch", *order["argv"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def set_clock(*, ahead: float, pace: float) -> None:
    """Give the program in this process another time than the machine's."""
    from tweenbatch.clock import SystemClock

    began, start = time.monotonic(), datetime.now(UTC) + timedelta(seconds=ahead)

    class Other(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Other":
            passed = timedelta(seconds=pace * (time.monotonic() - began))
            return cls.fromtimestamp((start + passed).timestamp(), tz)

    async def sleep(_: SystemClock, seconds: float) -> None:
        await asyncio.sleep(seconds / pace)

    told: Any = SystemClock
    told.now = lambda _: datetime.fromtimestamp(Other.now(UTC).timestamp(), UTC)
    told.monotonic = lambda _: began + pace * (time.monotonic() - began)
    told.sleep = sleep
    for name, module in tuple(sys.modules.items()):
        if name.startswith("tweenbatch.cli.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Other  # type: ignore[attr-defined]


def leave(ended: list[int]) -> None:
    """End without taking all modules down, of which a fork has more than the command ever loads."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(ended[-1])


def main() -> None:
    """Wait for orders; a fork runs the command, as the installed script does."""
    ended = [0]
    # The first is the last to be called, after everything that the libraries do at the end.
    atexit.register(leave, ended)
    # Ctrl-C in a terminal is for whoever gives the orders.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        order = serve(control)
    if order is not None:
        from tweenbatch.cli import main as command

        ended.append(1)  # what an exception that nobody catches comes to
        try:
            command()
        except SystemExit as left:
            ended.append(int(left.code or 0))
        else:
            ended.append(0)


if __name__ == "__main__":
    main()
