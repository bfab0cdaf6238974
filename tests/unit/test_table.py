import asyncio
import gc
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from tweenbatch.store.thread import MOST_IN_GROUP, StoreThread


class Recorder:
    """Carries calls out as a store does, and keeps how many went together."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.trouble: Exception | None = None

    def group_commit(
        self, calls: Sequence[Callable[[], Any]]
    ) -> list[tuple[Any, Exception | None]]:
        self.groups.append(len(calls))
        told = [told_of(call) for call in calls]
        if self.trouble is not None:
            raise self.trouble
        return told


def told_of(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except LookupError as error:
        return None, error


def fail(message: str) -> None:
    raise LookupError(message)


async def test_calls_that_wait_at_the_same_time_go_together_in_their_order() -> None:
    store, order = Recorder(), list[int]()
    table = StoreThread(store.group_commit)
    gate, at_the_gate = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def held() -> None:
        loop.call_soon_threadsafe(at_the_gate.set)
        gate.wait()

    first = asyncio.create_task(table(held))
    await at_the_gate.wait()
    others = [asyncio.create_task(table(order.append, number)) for number in range(10)]
    await asyncio.sleep(0)
    assert order == []
    gate.set()
    await asyncio.gather(first, *others)
    assert store.groups == [1, 10]
    assert order == list(range(10))
    table.close()


async def test_what_comes_first_does_not_wait_for_what_was_there_before() -> None:
    store, order = Recorder(), list[str]()
    table = StoreThread(store.group_commit)
    waiting = [asyncio.create_task(table(order.append, name)) for name in "ab"]
    hurried = [asyncio.create_task(table.urgent(order.append, name)) for name in "cd"]
    await asyncio.gather(*waiting, *hurried)
    assert store.groups == [2, 2]
    assert order == ["c", "d", "a", "b"]
    table.close()


async def test_each_caller_hears_of_its_own_call_only() -> None:
    table = StoreThread(Recorder().group_commit)
    told = await asyncio.gather(
        *(table(abs, -1), table(fail, "mine"), table(abs, -3)), return_exceptions=True
    )
    assert (told[0], repr(told[1]), told[2]) == (1, "LookupError('mine')", 3)
    table.close()


async def test_a_commit_that_failed_is_heard_by_all() -> None:
    store = Recorder()
    store.trouble = OSError("the disk is full")
    table = StoreThread(store.group_commit)
    told = await asyncio.gather(*(table(abs, -n) for n in range(3)), return_exceptions=True)
    assert told == [store.trouble] * 3
    table.close()


async def test_many_calls_make_more_than_one_group_and_none_is_lost() -> None:
    store = Recorder()
    table = StoreThread(store.group_commit)
    numbers = range(2 * MOST_IN_GROUP + 3)
    assert await asyncio.gather(*(table(abs, -n) for n in numbers)) == list(numbers)
    assert store.groups == [MOST_IN_GROUP, MOST_IN_GROUP, 3]
    table.close()


async def test_a_caller_that_is_cancelled_leaves_and_its_call_is_carried_out() -> None:
    order: list[str] = []
    table = StoreThread(Recorder().group_commit)
    leaving = asyncio.create_task(table(order.append, "of one that left"))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await table(order.append, "of one that stayed")
    assert order == ["of one that left", "of one that stayed"]
    table.close()


async def test_the_error_of_a_cancelled_call_is_not_printed() -> None:
    printed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context))
    table = StoreThread(Recorder().group_commit)
    leaving = asyncio.create_task(table(fail, "the disk is full"))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await table(abs, -1)
    del leaving
    gc.collect()
    assert printed == []
    table.close()


async def test_closing_carries_out_what_was_asked_for_and_takes_no_more() -> None:
    order: list[int] = []
    table = StoreThread(Recorder().group_commit)
    calls = [partial(order.append, n) for n in range(MOST_IN_GROUP + 1)]
    asked = [asyncio.create_task(table(call)) for call in calls]
    asked.append(asyncio.create_task(table.urgent(order.append, -1)))
    await asyncio.sleep(0)
    table.close()
    assert len(order) == len(asked)
    await asyncio.gather(*asked)
    with pytest.raises(RuntimeError, match="closed"):
        await table(order.append, 99)
