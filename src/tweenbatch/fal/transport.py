"""The transport under fal's own client: one POST per submission, and a deadline for every call.

fal's client repeats every call that ends in an httpx error or an HTTP error, even submissions. This
transport hides both: it reads the answer and raises our own errors, which the client does not
catch. It does not know jobs.
"""

import ssl
from dataclasses import dataclass, replace
from http import HTTPStatus

import httpx

from tweenbatch.errors import Unintelligible, Unreachable
from tweenbatch.fal.addresses import CDN, KEY_HOSTS, QUEUE, Addresses, admitted
from tweenbatch.fal.errors import http_error
from tweenbatch.fal.exchange import Reply, exchange, http_client
from tweenbatch.fal.pools import Pools
from tweenbatch.fal.server_time import ServerTime
from tweenbatch.fal.submission_answer import accepted

READS_AT_ONCE = 16
UPLOADS_AT_ONCE = 4

SECRET_CHARACTERS = 16
"""Minimum length of a secret. A fal key is a UUID and 32 more characters, both longer."""

_OF_THE_ENCODING = ("content-encoding", "content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """The longest duration of a whole call by the wall clock.

    httpx's timeouts apply to each read: they never end a reply that arrives byte by byte.
    """

    connect_seconds: float = 10.0
    submit_seconds: float = 60.0
    read_seconds: float = 60.0
    upload_seconds: float = 300.0
    download_silence_seconds: float = 60.0
    download_seconds: float = 3600.0


class FalTransport(httpx.AsyncBaseTransport):
    """Sends each request once, to fal only, and returns only complete successful answers.

    Submissions raise ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``AccountRefused``; all
    other calls ``Unreachable``, ``Answered`` or ``Unintelligible``.
    """

    def __init__(
        self, *, key: str, addresses: Addresses, context: ssl.SSLContext, deadlines: Deadlines
    ) -> None:
        self._key = key
        # A text as short as "test" also occurs in ids and URLs, where it isn't a secret.
        secrets = (key, key.partition(":")[2])
        self._secrets = tuple(text for text in secrets if len(text) >= SECRET_CHARACTERS)
        self._addresses = addresses
        self._deadlines = deadlines
        self.time = ServerTime()
        # No keep-alive: a submission never uses a connection that the server may have closed.
        self._submitting = http_client(addresses, context, keepalive_connections=0)
        self._reading = Pools(addresses, context, at_once=READS_AT_ONCE)
        self._uploading = Pools(addresses, context, at_once=UPLOADS_AT_ONCE)
        self.untrusted: set[str] = set()
        """Hosts whose certificate was not trusted at the last try."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request once and return its whole answer; raise only our own errors."""
        host = self._admit(request)
        if host == QUEUE and request.method == "POST":
            reply = await self._send(self._submitting, request, self._deadlines.submit_seconds)
            return httpx.Response(HTTPStatus.OK, json=accepted(reply), request=request)
        if host == CDN:
            pools, seconds = self._uploading, self._deadlines.upload_seconds
        else:
            pools, seconds = self._reading, self._deadlines.read_seconds
        async with pools.client() as client:
            reply = await self._send(client, request, seconds)
        return _good(reply, request)

    async def aclose(self) -> None:
        """Close all connections."""
        for each in (self._submitting, self._reading, self._uploading):
            await each.aclose()

    def _admit(self, request: httpx.Request) -> str:
        """Return the host of an allowed request; raise ``Unintelligible`` otherwise."""
        host = admitted(request.url).host
        if host not in KEY_HOSTS:
            authorization = request.headers.get("Authorization", "")
            secrets = {f"Key {self._key}", *self._secrets}
            if host != CDN or any(secret in authorization for secret in secrets):
                raise Unintelligible(f"{host} must not receive the key; nothing was sent to it")
        return host

    async def _send(
        self, client: httpx.AsyncClient, request: httpx.Request, seconds: float
    ) -> Reply:
        """Send the request and return its answer, with any echo of the key removed."""
        url = self._addresses.wire(request.url)
        headers = request.headers.copy()
        headers["Host"] = url.netloc.decode("ascii")
        headers["Accept-Encoding"] = "identity"
        timeouts = httpx.Timeout(seconds, connect=self._deadlines.connect_seconds)
        sent = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions={"timeout": timeouts.as_dict()},
        )
        reply = await exchange(client, sent, seconds=seconds)
        if reply.untrusted:
            self.untrusted.add(request.url.host)
        elif reply.status is not None:
            self.untrusted.discard(request.url.host)
        if request.url.host in KEY_HOSTS:
            self.time.update(reply.headers)
        failed = reply.status is None or reply.status >= HTTPStatus.BAD_REQUEST
        secrets = (self._key, *self._secrets) if failed else self._secrets
        kept = [
            (name, _without(secrets, value))
            for name, value in reply.headers.raw
            if name.decode("ascii").lower() not in _OF_THE_ENCODING
        ]
        return replace(reply, headers=httpx.Headers(kept), body=_without(secrets, reply.body))


def _without(secrets: tuple[str, ...], data: bytes) -> bytes:
    for secret in secrets:
        data = data.replace(secret.encode("ascii"), b"***")
    return data


def _good(reply: Reply, request: httpx.Request) -> httpx.Response:
    if reply.status is None or reply.trouble is not None:
        raise Unreachable(f"{request.url.host}: {reply.trouble}")
    if reply.status >= HTTPStatus.BAD_REQUEST:
        raise http_error(reply.status, reply.headers, reply.body)
    if reply.status >= HTTPStatus.MULTIPLE_CHOICES:
        raise Unintelligible(
            f"{request.url.host} redirects (HTTP {reply.status}); redirects are not followed"
        )
    return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)
