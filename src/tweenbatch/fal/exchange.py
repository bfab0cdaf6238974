"""Send one HTTP request and return its answer as a value, bounded in time and size.

The stack frames of the HTTP library hold the key, so none of its exceptions leaves this module;
the ``Reply`` describes the error.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from tweenbatch.errors import UsageError
from tweenbatch.fal.addresses import Addresses
from tweenbatch.fal.errors import clean

MAX_BODY_BYTES = 10_000_000

_SENDING = ".send_request_headers.started"
"""The httpcore trace event just before the first byte of a request is sent."""

_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})

_PROVABLY_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # raised while opening a tunnel, before the request itself
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request: the whole of it, or the part received before ``trouble``.

    ``status`` is None if no status line arrived. ``unsent`` means that no byte of the request can
    have been sent; ``untrusted`` that the certificate was the reason.
    """

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""
    trouble: str | None = None
    unsent: bool = False
    untrusted: bool = False


def trust() -> ssl.SSLContext:
    """Return httpx's TLS settings: SSL_CERT_FILE, SSL_CERT_DIR, else certifi's roots."""
    return _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Read the certificates, once: this takes as long as forty requests."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise UsageError(
            f"can't read the certificates of SSL_CERT_FILE or SSL_CERT_DIR: {error}"
        ) from None


def http_client(
    addresses: Addresses, context: ssl.SSLContext, *, keepalive_connections: int
) -> httpx.AsyncClient:
    """Return a client that follows no redirects and uses proxies, except for loopback."""
    try:
        return httpx.AsyncClient(
            verify=context,
            follow_redirects=False,
            trust_env=not addresses.on_loopback,
            limits=httpx.Limits(max_keepalive_connections=keepalive_connections),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        # Its text may hold the proxy's password.
        raise UsageError(
            f"can't use the proxy of HTTPS_PROXY or ALL_PROXY ({type(error).__name__})"
        ) from None


async def exchange(client: httpx.AsyncClient, request: httpx.Request, *, seconds: float) -> Reply:
    """Send the request once and read its answer within ``seconds`` by the wall clock."""
    status: int | None = None
    headers = httpx.Headers()
    body = bytearray()
    trouble: str | None = None
    unsent = untrusted = sending = False

    async def trace(event: str, _: Any) -> None:
        nonlocal sending
        sending = sending or event.endswith(_SENDING)

    request.extensions["trace"] = trace
    try:
        async with asyncio.timeout(seconds):
            response = await client.send(request, stream=True)
            try:
                status, headers = response.status_code, response.headers
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        trouble = f"the answer is longer than {MAX_BODY_BYTES:,} bytes"
                        break
            finally:
                await response.aclose()
    except TimeoutError:
        trouble = f"no complete answer within {seconds:g} seconds"
        unsent = not sending
    except (httpx.HTTPError, OSError, ImportError) as error:
        # OSError: httpcore does not wrap the ssl.SSLError of a broken stream. ImportError: the
        # first connection imports modules, which also needs file descriptors.
        trouble, untrusted = _trouble(error)
        # A proxy tunnel has its own request headers, which set ``sending``: the type decides.
        unsent = not sending or isinstance(error, _PROVABLY_UNSENT)
    return Reply(
        status=status,
        headers=headers,
        body=bytes(body),
        trouble=trouble,
        unsent=unsent,
        untrusted=untrusted,
    )


def _trouble(error: BaseException) -> tuple[str, bool]:
    """Describe the error; also return whether a certificate was not trusted."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _TOO_MANY_FILES:
            return "too many open files: raise `ulimit -n` or lower --concurrency", False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {cause.verify_message}", True
    return f"{type(error).__name__}: {clean(str(error))}".removesuffix(": "), False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes; libraries wrap them several times."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [cause for cause in (each.__cause__, each.__context__) if cause is not None]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
