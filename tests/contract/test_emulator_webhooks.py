"""Webhooks: signed deliveries to this machine, repeated within bounds."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support.virtual import VirtualClock, virtually
from support.world import NOON
from tweenbatch.emulator.api.webhooks import unfit
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

SUBMIT = "/queue.fal.run/fal-ai/kling-video/o1/image-to-video"
INPUT = {"prompt": "Snow melts.", "start_image_url": "https://example.com/winter.png"}
KEY = {"Authorization": "Key one"}


@dataclass
class Receiver:
    """Somebody's server; it answers these statuses, the last one for good."""

    statuses: Sequence[int] = (200,)
    url: str = ""
    got: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((request.headers.copy(), await request.read()))
        status = self.statuses[min(len(self.got), len(self.statuses)) - 1]
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncIterator[Receiver]:
    server = Receiver(statuses or (200,))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def service(**options: Any) -> AsyncIterator[tuple[Emulator, httpx.AsyncClient]]:
    async with (
        Emulator(Settings(), **options) as emulator,
        httpx.AsyncClient(base_url=emulator.url, headers=KEY) as client,
    ):
        yield emulator, client


async def submit(client: httpx.AsyncClient, url: str, **changed: Any) -> httpx.Response:
    return await client.post(SUBMIT, params={"fal_webhook": url}, json={**INPUT, **changed})


async def public_key(client: httpx.AsyncClient, host: str = "rest.fal.ai") -> Ed25519PublicKey:
    [key] = (await client.get(f"/{host}/.well-known/jwks.json")).json()["keys"]
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=="))


def verify(key: Ed25519PublicKey, headers: Mapping[str, str], body: bytes) -> None:
    """Check a delivery as fal's documentation says."""
    names = ("Request-Id", "User-Id", "Timestamp")
    parts = [headers[f"X-Fal-Webhook-{name}"] for name in names]
    signed = "\n".join([*parts, hashlib.sha256(body).hexdigest()])
    key.verify(bytes.fromhex(headers["X-Fal-Webhook-Signature"]), signed.encode())


async def test_the_result_is_delivered_and_signed_for_the_published_key() -> None:
    """Under both names of the host that publishes it."""
    async with receiver() as server, service() as (emulator, client):
        handle = (await submit(client, server.url)).json()
        assert handle["gateway_request_id"] == handle["request_id"]
        [sent] = await emulator.wait_for("webhook_sent")
        assert (sent["http_status"], sent["request_id"]) == (200, handle["request_id"])
        [(headers, body)] = server.got
        said = json.loads(body)
        result = await client.get(handle["response_url"])
        assert said["payload"] == result.json()
        assert (said["status"], said["error"]) == ("OK", None)
        assert said["request_id"] == headers["X-Fal-Webhook-Request-Id"] == handle["request_id"]
        for host in ("rest.fal.ai", "rest.alpha.fal.ai"):
            key = await public_key(client, host)
            verify(key, headers, body)
        with pytest.raises(InvalidSignature):
            verify(key, headers, body.replace(b"OK", b"ok"))


@pytest.mark.parametrize("header", ["Request-Id", "User-Id", "Timestamp", "Signature"])
async def test_the_signature_covers_each_header(header: str) -> None:
    async with receiver() as server, service() as (emulator, client):
        await submit(client, server.url)
        await emulator.wait_for("webhook_sent")
        [(headers, body)] = server.got
        name = f"X-Fal-Webhook-{header}"
        other = headers[name][:-1] + ("1" if headers[name][-1] == "0" else "0")
        with pytest.raises(InvalidSignature):
            verify(await public_key(client), {**headers, name: other}, body)


async def test_a_failure_is_delivered_with_what_the_model_said() -> None:
    async with receiver() as server, service() as (emulator, client):
        handle = (await submit(client, server.url, duration="7")).json()
        await emulator.wait_for("webhook_sent")
        said = json.loads(server.got[0][1])
        assert (said["status"], said["error"]) == ("ERROR", "Invalid status code: 422")
        assert said["payload"] == (await client.get(handle["response_url"])).json()


@pytest.mark.parametrize("refusal", [500, 404, 302])
def test_a_delivery_that_is_not_taken_comes_again_with_longer_pauses(refusal: int) -> None:
    """Nobody is led elsewhere by a redirect; each try is signed with its own time."""

    async def body() -> None:
        clock = VirtualClock(NOON)
        async with (
            receiver(refusal, refusal, 204) as server,
            service(clock=clock) as (
                emulator,
                client,
            ),
        ):
            await submit(client, server.url)
            await emulator.wait_for("webhook_sent", http_status=204)
            times = [int(headers["X-Fal-Webhook-Timestamp"]) for headers, _ in server.got]
            assert [times[1] - times[0], times[2] - times[1]] == [7, 14]
            for headers, data in server.got:
                verify(await public_key(client), headers, data)

    virtually(body)


@pytest.mark.parametrize("nobody", [False, True])
def test_it_is_given_up_within_two_hours(nobody: bool) -> None:
    """Whether the receiver refuses or nobody listens."""

    async def body() -> None:
        async with receiver(500) as server, service(clock=VirtualClock(NOON)) as (emulator, client):
            await submit(client, "http://127.0.0.1:9/hook" if nobody else server.url)
            await emulator.wait_for("webhook_given_up", timeout=7200.0)
            assert len(await emulator.wait_for("webhook_sent", count=11)) == 11
            assert len(server.got) == (0 if nobody else 11)

    virtually(body)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest",
        "http://localhost.example.com/hook",
        "http://127.0.0.1.example.com/hook",
        "http://127.0.0.1@example.com/hook",
        "http://me@127.0.0.1/hook",
        "http://127.0.0.1\\@example.com/hook",
        "http://127.0.0.1\t.example.com/hook",
        "http://[::ffff:10.0.0.1]/hook",
        "http://0.0.0.0/hook",
        "http://127.0.0.1:99999/hook",
        "http://[::1/hook",
        "file:///etc/passwd",
        "//127.0.0.1/hook",
        "hook",
        "",
    ],
)
async def test_an_address_elsewhere_is_refused_before_anything_is_paid(url: str) -> None:
    async with service() as (emulator, client):
        answer = await submit(client, url)
        assert answer.status_code == 422
        assert "fal_webhook" in answer.json()["detail"]
        ledger = emulator.ledger()
        assert (ledger["accepted_count"], ledger["billed_usd"]) == (0, "0.00")


@pytest.mark.parametrize("caller", ["192.0.2.7", "2001:db8::1", "", None])
def test_a_caller_from_elsewhere_gets_no_delivery_on_this_machine(caller: str | None) -> None:
    """With ``--host 0.0.0.0`` others could reach what listens on loopback only."""
    assert unfit("http://127.0.0.1:8000/hook", caller) is not None
    assert unfit("http://127.0.0.1:8000/hook", "127.0.0.1") is None


async def test_a_delivery_outlives_a_restart_that_comes_before_the_end(tmp_path: Path) -> None:
    async with receiver() as server:
        async with service(state=tmp_path) as (first, client):
            first.script([{"on": "generation", "do": "hold"}])
            handle = (await submit(client, server.url)).json()
            await first.wait_for("held")
        assert server.got == []
        async with service(state=tmp_path) as (second, client):
            await second.wait_for("webhook_sent", request_id=handle["request_id"])
            [(headers, body)] = server.got
            verify(await public_key(client), headers, body)
