"""Connections that are kept, each in a pool of its own.

httpcore looks at each connection of a pool for every request, and holds each idle one against all
others: with sixteen in one pool that costs more than the request itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tweenbatch.fal.addresses import Addresses
from tweenbatch.fal.exchange import http_client


class Pools:
    """Clients alike, for so many requests ``at_once``; who comes beyond that waits in line."""

    def __init__(self, addresses: Addresses, context: ssl.SSLContext, *, at_once: int) -> None:
        self._clients = [
            http_client(addresses, context, keepalive_connections=1) for _ in range(at_once)
        ]
        # The last one used comes first: with little to do, few connections are kept.
        self._free: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for client in self._clients:
            self._free.put_nowait(client)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client for one request, or for several that follow each other."""
        client = await self._free.get()
        try:
            yield client
        finally:
            self._free.put_nowait(client)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()
