"""A server on loopback made of bare sockets: for what no HTTP library would ever do."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came in; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


@dataclass(slots=True, kw_only=True)
class Wire:
    """What came in, and where to send to."""

    url: str = ""
    port: int = 0
    connections: int = 0
    requests: list[Seen] = field(default_factory=list)

    def posts(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.method == "POST"]


Behaviour = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A whole answer; ``retry_after="3"`` becomes ``retry-after: 3``."""
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(status: int, body: object = None, **headers: str) -> Behaviour:
    """Give this answer, always."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(status, data, **headers))

    return behave


def sends(data: bytes, *, then: str = "close") -> Behaviour:
    """Send these bytes; then ``close``, ``reset`` or ``hang``."""

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then == "hang":
            await asyncio.Event().wait()
        if then == "reset":
            reset(writer)
        writer.close()

    return behave


def drips(head: bytes, *, seconds: float) -> Behaviour:
    """Send the head, then a byte each ``seconds`` for ever."""

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(seconds)

    return behave


def reset(writer: asyncio.StreamWriter) -> None:
    """Cut the connection with an RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def wire(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Serve ``behave`` on a free port, keeping connections alive as it leaves them."""
    server_side = Wire()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_side.connections += 1
        number = server_side.connections
        try:
            while not writer.is_closing():
                seen = await _request(reader, number)
                server_side.requests.append(seen)
                await behave(seen, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server_side.port = server.sockets[0].getsockname()[1]
    server_side.url = f"http://127.0.0.1:{server_side.port}"
    try:
        yield server_side
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader, connection: int) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method=method, target=target, headers=headers, body=body, connection=connection)
