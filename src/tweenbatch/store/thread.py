"""Run the store's methods in a thread, away from the event loop.

Calls that wait at the same time share one commit. It does not know the store's methods.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST_IN_GROUP = 64
"""Calls per transaction: more would save little, and the first waits for the last."""

GroupCommit = Callable[[Sequence[Callable[[], Any]]], Sequence[tuple[Any, Exception | None]]]
"""Runs calls; after their commit returns the result or exception of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    carry_out: Callable[[], Any]
    ended: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class StoreThread:
    """Runs the store's methods in a thread; an awaited call is committed.

    ``group_commit`` is the store's. Calls that wait while a group is written form the next group.
    """

    def __init__(self, group_commit: GroupCommit) -> None:
        self._group_commit = group_commit
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="table")
        self._urgent: deque[_Call] = deque()
        self._waiting: deque[_Call] = deque()
        self._at_work = False
        self._closed = False

    async def __call__(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store and return its result.

        A cancelled caller returns at once; the call itself still runs.
        """
        return await self._ended(self._waiting, partial(method, *args, **kwargs))

    async def urgent(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, ahead of all other waiting calls.

        Use it for few calls: constant urgent calls would block all others.
        """
        return await self._ended(self._urgent, partial(method, *args, **kwargs))

    async def _ended(self, line: deque[_Call], carry_out: Callable[[], T]) -> T:
        if self._closed:
            raise RuntimeError("the table is closed")
        call = _Call(carry_out=carry_out)
        line.append(call)
        if not self._at_work:
            self._at_work = True
            # Calls of the same iteration of the loop form one group.
            asyncio.get_running_loop().call_soon(self._next_group)
        result: T = await asyncio.shield(call.ended)
        return result

    def close(self) -> None:
        """Wait until all calls have run."""
        self._closed = True
        while self._urgent or self._waiting:
            self._next_group()
        self._thread.shutdown(wait=True)

    def _next_group(self) -> None:
        line = self._urgent or self._waiting
        group = [line.popleft() for _ in range(min(MOST_IN_GROUP, len(line)))]
        self._at_work = bool(group)
        if group:
            loop = asyncio.get_running_loop()
            calls = [call.carry_out for call in group]
            written = loop.run_in_executor(self._thread, self._group_commit, calls)
            written.add_done_callback(partial(self._finish, group))

    def _finish(self, group: Sequence[_Call], written: asyncio.Future[Any]) -> None:
        broken = written.exception()
        results = [(None, broken)] * len(group) if broken else written.result()
        for call, (result, error) in zip(group, results, strict=True):
            if error is None:
                call.ended.set_result(result)
            else:
                call.ended.set_exception(error)
                # A cancelled caller never retrieves it, and asyncio would print a traceback.
                call.ended.exception()
        self._next_group()
