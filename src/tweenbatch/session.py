"""One run, from the opened table to its exit code: the rooms put together."""

import asyncio
import os
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

from tweenbatch import __version__
from tweenbatch.clock import Clock
from tweenbatch.errors import OutputUnusable
from tweenbatch.fal import Fal
from tweenbatch.lane import Lane
from tweenbatch.runner import Ended, Limits, Runner
from tweenbatch.settings import RunSettings
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.stages.wait import Waiter
from tweenbatch.states import UNFINISHED, State
from tweenbatch.store import Store
from tweenbatch.table import TableThread
from tweenbatch.worker import Watcher, Worker

DOWNLOADS = 8
"""Clips that come home at one time."""


class ExitCode(IntEnum):
    """What the command says to whoever started it."""

    SUCCEEDED = 0
    FAILED = 1
    USAGE = 2
    LIMIT = 3
    TROUBLE = 4
    NEEDS_A_PERSON = 5
    TABLE_BUSY = 75
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended and how the jobs that it was asked for stand now."""

    ended: Ended
    counts: Mapping[State, int]
    spent_usd: Decimal
    """What fal billed, or may have billed, during this run."""

    @property
    def unfinished(self) -> int:
        """How many of the jobs are not at their end."""
        return sum(self.counts[state] for state in UNFINISHED)

    @property
    def exit_code(self) -> ExitCode:
        """The most urgent of what there is to say."""
        if self.ended.interrupted:
            return ExitCode.INTERRUPTED
        if self.ended.trouble is not None and self.unfinished:
            return ExitCode.TROUBLE
        if self.counts[State.UNCERTAIN]:
            return ExitCode.NEEDS_A_PERSON
        if self.unfinished:
            return ExitCode.LIMIT
        return ExitCode.FAILED if self.counts[State.FAILED] else ExitCode.SUCCEEDED


def check_output(folder: Path) -> None:
    """Make the folder and prove that files can be written to it; raises ``OutputUnusable``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"tweenbatch")
    except OSError as error:
        raise OutputUnusable(
            f"can't write to the output folder {folder} ({error.strerror}); "
            "make it writable or choose another with --output; nothing was submitted"
        ) from error


async def run(
    settings: RunSettings,
    *,
    store: Store,
    fal: Callable[[], Fal] | None,
    watcher: Watcher,
    manifests: Collection[int] | None,
    on_stop: Callable[[], None],
    clock: Clock,
) -> Result:
    """Work on the table, which this process owns, and return how it ended.

    ``fal`` connects, inside the event loop; None: there is nothing to do at fal. ``on_stop`` is
    called at the first interrupt; the second one ends the process at once, which loses nothing.
    """
    started = clock.now()
    run_id = store.begin_run(
        host=socket.gethostname(),
        pid=os.getpid(),
        version=__version__,
        now=started,
        max_cost_usd=settings.max_cost,
    )
    spent_before = store.money().spent
    recovered = store.recover(run_id, now=started)
    if recovered.uncertain:
        watcher.notice(
            f"{recovered.uncertain} submission(s) of a run that died have an unknown outcome; "
            "they are kept as uncertain and are not sent again"
        )
    limits = Limits(
        concurrency=settings.concurrency,
        submissions=settings.limit,
        until=settings.submits_until(started),
    )
    # A run that breaks off here is found and closed by the next one.
    ended = Ended()
    if fal is not None:
        async with fal() as connected:
            runner = _runner(
                settings,
                store=store,
                run_id=run_id,
                fal=connected,
                clock=clock,
                watcher=watcher,
                limits=limits,
                manifests=manifests,
            )
            with _signals(runner.stop, on_stop):
                ended = await runner.run()
    result = Result(
        ended=ended,
        counts=store.counts(manifests),
        spent_usd=store.money().spent - spent_before,
    )
    store.end_run(
        run_id,
        now=clock.now(),
        exit_code=result.exit_code,
        note=ended.trouble or ended.limit or "",
    )
    return result


def _runner(
    settings: RunSettings,
    *,
    store: Store,
    run_id: int,
    fal: Fal,
    clock: Clock,
    watcher: Watcher,
    limits: Limits,
    manifests: Collection[int] | None,
) -> Runner:
    rng = random.Random()  # noqa: S311 - jitter, not secrets
    waiter = Waiter(fal=fal, clock=clock, rng=rng, with_logs=settings.logs)
    worker = Worker(
        store=store,
        table=TableThread(),
        run_id=run_id,
        fal=fal,
        clock=clock,
        lane=Lane(monotonic=clock.monotonic, rng=rng),
        waiter=waiter,
        fetcher=Fetcher(fal=fal, clock=clock, rng=rng, output=settings.output),
        watcher=watcher,
        downloads=asyncio.Semaphore(DOWNLOADS),
    )
    return Runner(worker=worker, limits=limits, manifests=manifests)


def _signals(stop: Callable[[], None], on_stop: Callable[[], None]) -> ExitStack:
    """Let the first SIGINT or SIGTERM wind the run up, and the second end the process."""
    loop = asyncio.get_running_loop()
    stopped = False

    def handle() -> None:
        nonlocal stopped
        if stopped:
            sys.stderr.write("\nleaving at once; the next run goes on from here\n")
            sys.stderr.flush()
            os._exit(ExitCode.INTERRUPTED)
        stopped = True
        on_stop()
        stop()

    stack = ExitStack()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, handle)
        stack.callback(loop.remove_signal_handler, number)
    return stack
