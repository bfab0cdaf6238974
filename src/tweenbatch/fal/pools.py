"""Reuse HTTP connections, each in its own pool.

For every request httpcore compares all connections of a pool with each other: with sixteen in one
pool, that costs more than the request itself.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tweenbatch.fal.addresses import Addresses
from tweenbatch.fal.exchange import http_client


class Pools:
    """Identical clients for up to ``at_once`` requests; further requests wait."""

    def __init__(self, addresses: Addresses, context: ssl.SSLContext, *, at_once: int) -> None:
        self._clients = [
            http_client(addresses, context, keepalive_connections=1) for _ in range(at_once)
        ]
        # Last in, first out: under low load only a few connections stay open.
        self._free: asyncio.LifoQueue[httpx.AsyncClient] = asyncio.LifoQueue()
        for client in self._clients:
            self._free.put_nowait(client)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Lend a client for one request, or for several in sequence."""
        client = await self._free.get()
        try:
            yield client
        finally:
            self._free.put_nowait(client)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await client.aclose()
