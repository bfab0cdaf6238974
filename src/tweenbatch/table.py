"""The job table as the event loop sees it: every call goes to one thread, one after the other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class TableThread:
    """Runs the store's methods away from the event loop; awaiting one means it is committed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="table")

    async def __call__(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the store and return what it returns.

        A caller that is cancelled meanwhile leaves at once; the call itself is carried out.
        """
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._thread, partial(method, *args, **kwargs))
        return await asyncio.shield(call)

    def close(self) -> None:
        """Wait until every call that was made is carried out."""
        self._thread.shutdown(wait=True)
