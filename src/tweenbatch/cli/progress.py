"""The progress of a run on stderr: a bar on a terminal, otherwise a line every half minute."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import NoReturn, Self

import click
from tqdm import tqdm

from tweenbatch.logs import ALREADY_SHOWN, stderr_is_json
from tweenbatch.records import Job
from tweenbatch.report.text import SENTENCE_WIDTH, clips, plain, usd
from tweenbatch.states import AT_FAL, FINAL, State

log = logging.getLogger(__name__)

LINE_EVERY_SECONDS = 30.0
TICK_SECONDS = 0.5
BAR_AFTER_SECONDS = 1.0
FALLBACK_COLUMNS = 80
"""The width of a terminal that reports none."""

RUNNING = AT_FAL - {State.UNCERTAIN}
NOT_BOUGHT = frozenset({State.SUBMITTING, State.UNCERTAIN})
"""A job returns from these states to pending only if nothing was bought."""

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} clips{postfix}"


def _give_width(bar: "tqdm[NoReturn]") -> None:
    if not bar.disable and bar.ncols == 0:
        bar.ncols = FALLBACK_COLUMNS


class FrameProgress:
    """Shows on a terminal how many frames were checked, if that takes longer than a second."""

    def __init__(self) -> None:
        self._bar: tqdm[NoReturn] | None = None
        self._frames = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar from the screen."""
        if self._bar is not None:
            self._bar.close()

    def begun(self) -> None:
        """Count a frame whose check has begun."""
        if self._bar is None:
            self._bar = tqdm(
                desc="checking frames",
                delay=BAR_AFTER_SECONDS,
                disable=None,
                leave=False,
                dynamic_ncols=True,
            )
            _give_width(self._bar)
        self._frames += 1
        self._bar.total = self._frames

    def looked_at(self) -> None:
        """Count a frame whose check is done."""
        with self._lock:
            if self._bar is not None:
                self._bar.update()


class Progress:
    """Shows the progress of a run; ``total`` is the number of jobs that it may finish."""

    def __init__(
        self,
        *,
        total: int,
        running: int = 0,
        uncertain: int = 0,
        free: bool = False,
        line_every_seconds: float = LINE_EVERY_SECONDS,
    ) -> None:
        self._total = total
        self._line_every_seconds = line_every_seconds
        self._free = free
        self._states: Counter[str] = +Counter(running=running, uncertain=uncertain)
        self._usd = Decimal(0)
        self._finished_before = 0
        self._begun: set[int] = set()
        self._started = time.monotonic()
        self._last_line = self._started
        self._lock = threading.Lock()
        self._asking = False
        self._over = threading.Event()
        self._bar: tqdm[NoReturn] = tqdm(
            total=total,
            bar_format=BAR,
            disable=True if stderr_is_json() or not total else None,
            dynamic_ncols=True,
        )
        _give_width(self._bar)
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._show()
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._ticker.join()
        self._show()
        self._bar.close()

    # Called by a reader of the table

    def seen(self, counts: Mapping[State, int], usd: Decimal) -> None:
        """Show the job counts of a table; the pace is measured from the first call."""
        with self._lock:
            first = not self._states
            self._total = self._bar.total = sum(counts.values())
            self._states = Counter({state: counts[state] for state in FINAL})
            self._states["running"] = sum(counts[state] for state in RUNNING)
            self._states["uncertain"] = counts[State.UNCERTAIN]
            self._usd = usd
            if first:
                self._finished_before = self._finished
        self._show()

    # Called by the run

    def moved(self, job: Job, before: State) -> None:
        """Count a job that moved from state ``before`` to ``job.state``."""
        with self._lock:
            self._states["running"] += (job.state in RUNNING) - (before in RUNNING)
            self._states["uncertain"] += (job.state is State.UNCERTAIN) - (
                before is State.UNCERTAIN
            )
            if job.state in FINAL:
                self._states[job.state] += 1
            if before is State.PENDING and job.state is State.SUBMITTING:
                self._begun.add(job.id)
                self._usd += job.price_usd
            if job.state is State.PENDING and before in NOT_BOUGHT and job.id in self._begun:
                self._usd -= job.price_usd
        self._show()

    def model_log(self, job: Job, line: str) -> None:
        """Show a line of the model's log for a job."""
        self._write(f"{job.output_name}: {plain(line)}")

    def notice(self, message: str) -> None:
        """Show a message to a person and log it."""
        log.info("%s", message, extra=ALREADY_SHOWN)
        if not stderr_is_json():
            self._write(plain(message, width=SENTENCE_WIDTH))

    def agree(self, left: int) -> bool:
        """Ask whether to submit the clips left after the canary; the bar is hidden meanwhile."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        self._asking = True
        self._bar.clear()
        try:
            return click.confirm(
                f"All canary clips succeeded; check them now. Continue with {clips(left)}?",
                err=True,
            )
        finally:
            self._asking = False

    # Display

    def _write(self, text: str) -> None:
        if stderr_is_json():
            log.info("%s", text)
        elif self._bar.disable:
            click.echo(text, err=True)
        else:
            tqdm.write(text, file=sys.stderr)

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            self._show()
            if self._bar.disable and time.monotonic() - self._last_line >= self._line_every_seconds:
                self._last_line = time.monotonic()
                self._write(f"{self._finished}/{self._total} clips{self._postfix()}")

    def _show(self) -> None:
        if not (self._bar.disable or self._asking):
            self._bar.n = self._finished
            self._bar.postfix = self._postfix().removeprefix(", ")
            self._bar.refresh()

    @property
    def _finished(self) -> int:
        return sum(self._states[state] for state in FINAL)

    def _postfix(self) -> str:
        running, failed = self._states["running"], self._states[State.FAILED]
        money = "$0" if self._free else usd(self._usd)
        parts = [f"{running} running", f"{failed} failed"]
        if self._states["uncertain"]:
            parts.append(f"{self._states['uncertain']} uncertain")
        return ", " + ", ".join([*parts, money, self._time_left()])

    def _time_left(self) -> str:
        """Estimate from the pace so far."""
        left = self._total - self._finished
        if left <= 0:
            return "done"
        done = self._finished - self._finished_before
        if not done:
            return "time left: –"
        elapsed = time.monotonic() - self._started
        return f"{tqdm.format_interval(elapsed / done * left)} left"
