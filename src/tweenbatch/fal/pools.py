"""Connections that are kept, in many small pools.

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

CONNECTIONS = 4
"""In one pool."""


class Pools:
    """Clients alike, for so many requests ``at_once``; who comes beyond that waits in line."""

    def __init__(self, addresses: Addresses, context: ssl.SSLContext, *, at_once: int) -> None:
        self._clients = [
            http_client(addresses, context, keepalive_connections=CONNECTIONS)
            for _ in range(-(-at_once // CONNECTIONS))
        ]
        # The last one used comes first: with little to do, few connections are kept.
        self._free: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for place in range(at_once):
            self._free.put_nowait(self._clients[place // CONNECTIONS])

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client for one request."""
        client = await self._free.get()
        try:
            yield client
        finally:
            self._free.put_nowait(client)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()
