"""Webhooks: signed deliveries of results, to this machine only, and the public key.

Form, headers and number of tries follow fal's documentation. A delivery can arrive twice. Pending
repetitions are lost when the emulator ends.
"""

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import json_answer, send
from tweenbatch.emulator.api.results import output
from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.ledger import EventName
from tweenbatch.emulator.state.requests import FalRequest
from tweenbatch.loopback import is_loopback

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TRIES = 11
FIRST_PAUSE_SECONDS = 7.0
"""Each pause is twice the previous one: all ten pauses together last under two hours."""
DEADLINE_SECONDS = 15.0


def unfit(url: str, caller: str | None) -> str | None:
    """Return why a webhook URL is refused, before anything is paid, or None if it is valid."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None:
        return f"fal_webhook: expected a URL such as http://127.0.0.1:8000/hook, not {url!r}"
    if not is_loopback(host):
        return (
            f"fal_webhook: the emulator delivers only to this machine (127.0.0.1, ::1, localhost), "
            f"not to {host!r}"
        )
    if caller is None or not is_loopback(caller):
        return "fal_webhook: the emulator accepts webhooks only from callers on its own machine"
    return None


class Webhooks:
    """Delivers each result to the webhook URL of its submission; holds the signing key."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tasks: set[asyncio.Task[None]] = set()
        self._made: Ed25519PrivateKey | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the public key, also under the host's older name."""
        return [
            web.get(f"/{host}/.well-known/jwks.json", self.keys)
            for host in (Host.REST, Host.REST_ALPHA)
        ]

    async def keys(self, request: web.Request) -> web.StreamResponse:
        """Return the public key as a JSON Web Key Set."""
        public = self._key.public_key().public_bytes_raw()
        key = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA"}
        named = {"kid": hashlib.sha256(public).hexdigest()[:16], "x": _base64url(public)}
        return (await send(request, json_answer({"keys": [{**key, **named}]}))).response

    def watch(self, fal_request: FalRequest) -> None:
        """Deliver a request's result at its end, if its submission has a webhook URL."""
        if fal_request.webhook_url is not None:
            task = asyncio.create_task(
                self._deliver(fal_request, fal_request.webhook_url),
                name=f"webhook {fal_request.request_id}",
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Stop all deliveries."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _key(self) -> "Ed25519PrivateKey":
        if self._made is None:
            # Imported late: it takes longer than the rest of the start, and is rarely needed.
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            self._made = Ed25519PrivateKey.generate()
        return self._made

    async def _deliver(self, fal_request: FalRequest, url: str) -> None:
        await fal_request.ended()
        body = json.dumps(_message(self._site, fal_request)).encode()
        pause = FIRST_PAUSE_SECONDS
        timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for number in range(1, TRIES + 1):
                status = await self._post(session, url, fal_request, body)
                facts = {"request_id": fal_request.request_id, "url": url, "try_number": number}
                self._site.ledger.note(EventName.WEBHOOK_SENT, http_status=status, **facts)
                if status is not None and 200 <= status < 300:  # noqa: PLR2004 - HTTP
                    return
                if number < TRIES:
                    await asyncio.sleep(pause)
                    pause *= 2
        self._site.ledger.note(EventName.WEBHOOK_GIVEN_UP, **facts)

    async def _post(
        self, session: aiohttp.ClientSession, url: str, fal_request: FalRequest, body: bytes
    ) -> int | None:
        headers = {"Content-Type": "application/json", **self._signed(fal_request, body)}
        try:
            # A redirect could lead away from this machine.
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _signed(self, fal_request: FalRequest, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._site.ledger.now().timestamp()))
        parts = (
            fal_request.request_id,
            fal_request.account,
            timestamp,
            hashlib.sha256(body).hexdigest(),
        )
        return {
            "X-Fal-Webhook-Request-Id": fal_request.request_id,
            "X-Fal-Webhook-User-Id": fal_request.account,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": self._key.sign("\n".join(parts).encode()).hex(),
        }


def _message(site: Site, fal_request: FalRequest) -> dict[str, Any]:
    assert fal_request.outcome is not None, "it has ended"
    status = fal_request.outcome.http_status
    failed = status >= 400  # noqa: PLR2004 - HTTP
    return {
        "request_id": fal_request.request_id,
        "gateway_request_id": fal_request.request_id,
        "status": "ERROR" if failed else "OK",
        "error": f"Invalid status code: {status}" if failed else None,
        "payload": output(site, fal_request),
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
