"""Hours in seconds: an event loop and a clock whose time is made, not waited for.

Where nothing is ready, the loop goes to its next timer at once. Sockets between a client and a
server in the same loop are real. Calls to threads are carried out for real and take a made time
that the seed draws, so that one seed gives one order of events. The real clock still decides that
httpx drops a connection which was idle for five seconds.

``TWEENBATCH_TEST_SEED=7`` plays seed 7 alone, ``TWEENBATCH_TEST_SEEDS=200`` plays seeds 0 to 199.
"""

import asyncio
import os
import random
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

ONE_SEED = "TWEENBATCH_TEST_SEED"
SEEDS = "TWEENBATCH_TEST_SEEDS"

LONG_JUMP_SECONDS = 1.0
"""A longer jump may run into the deadline of a call whose bytes are still in the kernel."""
GRACE_SECONDS = 50e-6
"""Real time for such bytes: on loopback they are there as soon as they are sent, nearly always."""
CONNECT_SECONDS = 0.02
"""Real time for a connection that is being made, or for a peer whose buffer is full."""

CALL_SECONDS = (0.0002, 0.002)
"""What a call to a thread takes, one after the other: a commit to a good disk and to a poor one."""

DAY_SECONDS = 86_400.0


class _JumpingSelector(selectors.DefaultSelector):
    """Looks at the real sockets, and jumps where a real selector would wait for a timer."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # no timer is set: only a byte or a signal can help
            return super().select(None)
        ready = super().select(0)
        if ready or timeout <= 0:
            return ready
        ready = self._on_its_way(timeout)
        if not ready:
            self._jump(timeout)
        return ready

    def _on_its_way(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Give the kernel a moment: a busy machine delivers later than at once."""
        if any(key.events & selectors.EVENT_WRITE for key in self.get_map().values()):
            return super().select(CONNECT_SECONDS)
        if timeout > LONG_JUMP_SECONDS:
            time.sleep(GRACE_SECONDS)
        else:
            os.sched_yield()
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits for a timer; ``seed`` draws how long calls to threads take."""

    def __init__(self, *, seed: int = 0) -> None:
        self._seconds = 0.0
        self._dice = random.Random(seed)
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="virtual")
        self._free_at: dict[Executor, float] = {}
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._seconds

    def _jump(self, seconds: float) -> None:
        self._seconds += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Carry the call out, whoever is cancelled; its end comes at a made time."""
        thread = executor or self._threads
        work = thread.submit(func, *args)
        begins = max(self._seconds, self._free_at.get(thread, 0.0))
        ends = begins + self._dice.uniform(*CALL_SECONDS)
        self._free_at[thread] = ends
        done: asyncio.Future[T] = self.create_future()
        self.call_at(ends, _deliver, work, done)
        return done

    def close(self) -> None:
        self._threads.shutdown()
        super().close()


def _deliver(work: "Future[T]", done: "asyncio.Future[T]") -> None:
    error = work.exception()
    if done.cancelled():
        return
    if error is None:
        done.set_result(work.result())
    else:
        done.set_exception(error)


class VirtualClock:
    """A ``Clock`` on the running loop's time.

    ``skew`` is how many seconds the wall time is ahead of the truth. Two clocks on one loop share
    their seconds, not their wall time.
    """

    def __init__(self, start: datetime, *, skew: float = 0.0) -> None:
        self._start = start + timedelta(seconds=skew)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.time() - self._began)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def jump(self, seconds: float) -> None:
        """Move the wall time alone, as NTP does, or the end of a laptop's sleep."""
        self._start += timedelta(seconds=seconds)


def seeds(count: int) -> list[int]:
    """Return the seeds to play: so many, unless the environment asks for others."""
    one = os.environ.get(ONE_SEED)
    return [int(one)] if one else list(range(int(os.environ.get(SEEDS, count))))


def virtually(
    body: Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    within_seconds: float = DAY_SECONDS,
) -> T:
    """Run the body in virtual time and return its result; a failure names the seed.

    Raises ``TimeoutError`` where it is not done within so many virtual seconds, as when all wait
    for what nobody will do.
    """

    async def bounded() -> T:
        async with asyncio.timeout(within_seconds):
            return await body()

    with asyncio.Runner(loop_factory=partial(VirtualLoop, seed=seed)) as runner:
        try:
            return runner.run(bounded())
        except BaseException as error:
            error.add_note(f"replay it with {ONE_SEED}={seed}")
            raise
