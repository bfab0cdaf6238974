"""Without a stand-in, fal is reached over verified TLS, as httpx's environment says."""

import ast
import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpcore
import pytest
import trustme

from support.virtual import virtually
from support.wire import Behaviour, Wire, answer, says, sends, wire
from tweenbatch.errors import NotSent, OutcomeUnknown, Unreachable
from tweenbatch.fal import Fal

KEY = "canary-key-id:canary-key-secret"
O1 = "fal-ai/kling-video/o1/image-to-video"
BASE = "https://queue.fal.run/fal-ai/kling-video/requests/r-1"
ACCEPTED = {
    "request_id": "r-1",
    "status_url": f"{BASE}/status",
    "response_url": BASE,
    "cancel_url": f"{BASE}/cancel",
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that SSL_CERT_FILE names, and nobody else does."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return authority


def serving(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def reached_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[tuple[str, int]]]:
    """Let every host name lead to a port on loopback; gives the list of who was asked for."""
    real = anyio.connect_tcp

    def lead(port: int) -> list[tuple[str, int]]:
        asked: list[tuple[str, int]] = []

        async def connect_tcp(remote_host: str, remote_port: int, **_: Any) -> Any:
            asked.append((remote_host, remote_port))
            return await real("127.0.0.1", port)

        monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)
        return asked

    return lead


@dataclass(slots=True)
class Proxy:
    """What a proxy was asked to connect to, and with which headers."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def proxy(target_port: int | None, *, spoil_after: int | None = None) -> AsyncIterator[Proxy]:
    """A CONNECT proxy that leads everybody to one port; None: that refuses.

    From byte ``spoil_after`` of the target's answers on, what it hands back is rubbish.
    """
    seen = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int | None
    ) -> None:
        passed = 0
        while data := await source.read(65536):
            passed += len(data)
            if limit is not None and passed > limit:
                data = b"\x17\x03\x03\x00\x20" + b"rubbish!" * 4
            sink.write(data)
            await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if target_port is None:
                writer.write(answer(502))
                return
            there, back = await asyncio.open_connection("127.0.0.1", target_port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(
                pump(reader, back, None), pump(there, writer, spoil_after), return_exceptions=True
            )
            back.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)


def connected() -> Fal:
    return Fal.connect(key=KEY)


@asynccontextmanager
async def fal_server(
    authority: trustme.CA, *names: str, behave: Behaviour | None = None
) -> AsyncIterator[Wire]:
    context = serving(authority, *(names or ("queue.fal.run",)))
    async with wire(behave or says(200, ACCEPTED), tls=context) as server:
        yield server


async def test_submissions_go_to_fals_queue_over_verified_tls(
    trusted: trustme.CA, reached_at: Callable[[int], list[tuple[str, int]]]
) -> None:
    async with fal_server(trusted) as server:
        asked = reached_at(server.port)
        async with connected() as fal:
            request = await fal.submit(O1, {"prompt": "x"})
    assert request.status_url == ACCEPTED["status_url"]
    assert asked == [("queue.fal.run", 443)]
    [seen] = server.requests
    assert seen.target == f"/{O1}"
    assert seen.headers["host"] == "queue.fal.run"
    assert seen.headers["authorization"] == f"Key {KEY}"


async def test_a_certificate_of_another_name_is_proof_that_nothing_was_sent(
    trusted: trustme.CA, reached_at: Callable[[int], list[tuple[str, int]]]
) -> None:
    async with fal_server(trusted, "evil.example") as server:
        reached_at(server.port)
        async with connected() as fal:
            with pytest.raises(NotSent, match="certificate not trusted: Hostname mismatch"):
                await fal.submit(O1, {"prompt": "x"})
            assert fal.untrusted == {"queue.fal.run"}
            with pytest.raises(Unreachable, match="certificate not trusted"):
                await fal.upload(b"x", content_type="image/png", file_name="a.png")
        assert fal.untrusted == {"queue.fal.run", "rest.fal.ai"}
    assert server.requests == []


async def test_a_certificate_that_has_expired_is_proof_that_nothing_was_sent(
    trusted: trustme.CA, reached_at: Callable[[int], list[tuple[str, int]]]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired = trusted.issue_cert("queue.fal.run", not_after=datetime(2020, 1, 2, tzinfo=UTC))
    expired.configure_cert(context)
    async with wire(says(200, ACCEPTED), tls=context) as server:
        reached_at(server.port)
        async with connected() as fal:
            with pytest.raises(NotSent, match="certificate not trusted: certificate has expired"):
                await fal.submit(O1, {"prompt": "x"})
            assert fal.untrusted == {"queue.fal.run"}
    assert server.requests == []


async def test_an_authority_that_nobody_trusts_is_not_trusted(
    authority: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    reached_at: Callable[[int], list[tuple[str, int]]],
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with fal_server(authority) as server:
        reached_at(server.port)
        async with connected() as fal:
            with pytest.raises(NotSent, match="certificate not trusted: unable to get"):
                await fal.submit(O1, {"prompt": "x"})
    assert server.requests == []


@pytest.mark.parametrize("hangs", [False, True], ids=["cut", "hangs"])
def test_a_handshake_that_is_cut_or_hangs_is_proof_that_nothing_was_sent(
    reached_at: Callable[[int], list[tuple[str, int]]], *, hangs: bool
) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    async def body() -> None:
        stop = asyncio.Event()

        async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await stop.wait()
            writer.close()

        server = await asyncio.start_server(hang if hangs else cut, "127.0.0.1", 0)
        reached_at(server.sockets[0].getsockname()[1])
        async with server, connected() as fal:
            with pytest.raises(NotSent):
                await fal.submit(O1, {"prompt": "x"})
            stop.set()

    virtually(body)


async def test_no_second_host_is_tried_when_fal_can_not_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def refuse(remote_host: str, remote_port: int, **_: Any) -> Any:
        asked.append(f"{remote_host}:{remote_port}")
        raise OSError("unreachable")

    monkeypatch.setattr(anyio, "connect_tcp", refuse)
    async with connected() as fal:
        with pytest.raises(NotSent):
            await fal.submit(O1, {"prompt": "x"})
    assert asked == ["queue.fal.run:443"]


async def test_the_proxy_of_the_environment_is_used_and_sees_neither_key_nor_body(
    trusted: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("queue.fal.run", "v3.fal.media")
    async with fal_server(trusted, *names) as server, proxy(server.port) as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        async with connected() as fal:
            await fal.submit(O1, {"prompt": "x"})
            async with fal.download("https://v3.fal.media/files/a.mp4") as download:
                assert download.status == 200
    assert [asked.split("\r\n")[0] for asked in between.asked] == [
        "CONNECT queue.fal.run:443 HTTP/1.1",
        "CONNECT v3.fal.media:443 HTTP/1.1",
    ]
    assert "canary" not in "".join(between.asked)
    assert len(server.requests) == 2


async def test_no_proxy_names_hosts_that_are_reached_directly(
    trusted: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    reached_at: Callable[[int], list[tuple[str, int]]],
) -> None:
    async with fal_server(trusted) as server, proxy(server.port) as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        monkeypatch.setenv("NO_PROXY", "fal.run")
        asked = reached_at(server.port)
        async with connected() as fal:
            await fal.submit(O1, {"prompt": "x"})
    assert asked == [("queue.fal.run", 443)]
    assert between.asked == []


async def test_a_server_on_loopback_is_never_asked_for_at_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with (
        wire(says(200, ACCEPTED)) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        await fal.submit(O1, {"prompt": "x"})
    assert len(server.requests) == 1


async def test_a_proxy_that_refuses_is_proof_that_nothing_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with proxy(None) as between:
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        async with connected() as fal:
            with pytest.raises(NotSent, match="ProxyError"):
                await fal.submit(O1, {"prompt": "x"})
    assert "canary" not in "".join(between.asked)


async def test_tls_that_breaks_after_the_handshake_leaves_the_outcome_open(
    trusted: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps(ACCEPTED).encode().ljust(60_000)
    broken = sends(answer(200, body))
    async with (
        fal_server(trusted, behave=broken) as server,
        proxy(server.port, spoil_after=4_000) as between,
    ):
        monkeypatch.setenv("HTTPS_PROXY", between.url)
        async with connected() as fal:
            with pytest.raises(
                OutcomeUnknown, match=r"no complete answer to the submission \(SSLError"
            ):
                await fal.submit(O1, {"prompt": "x"})
        assert len(server.requests) == 1


def test_httpcore_raises_a_proxy_error_only_while_a_tunnel_is_made() -> None:
    """What lets a refusing proxy count as proof: read again if httpcore changes."""
    raising = {
        (path.name, node.name)
        for path in (Path(httpcore.__file__).parent / "_async").glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Raise) and "ProxyError" in ast.unparse(inner)
    }
    assert raising == {
        ("http_proxy.py", "AsyncTunnelHTTPConnection"),
        ("socks_proxy.py", "_init_socks5_connection"),
    }
