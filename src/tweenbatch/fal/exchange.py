"""One request and its answer, as a value: bounded in time and size, never an exception.

The frames of the HTTP library hold the key, so no exception of theirs is let out of here;
what went wrong is told in the ``Reply``.
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
"""How httpcore's trace calls the moment before the first byte of a request leaves."""

_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})

_PROVABLY_UNSENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # raised while a tunnel is asked for, before the request itself
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: all of it, or as much as came before ``trouble``.

    ``status`` is None where not even the status line came; ``unsent`` is True where not a
    byte of the request can have left, and ``untrusted`` where that is for a certificate.
    """

    status: int | None = None
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""
    trouble: str | None = None
    unsent: bool = False
    untrusted: bool = False


def trust() -> ssl.SSLContext:
    """Return httpx's own TLS settings: SSL_CERT_FILE, SSL_CERT_DIR, else certifi's roots."""
    return _trust(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trust(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Read the certificates once: it takes as long as forty requests."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise UsageError(
            f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be read: {error}"
        ) from None


def http_client(
    addresses: Addresses, context: ssl.SSLContext, *, keepalive_connections: int
) -> httpx.AsyncClient:
    """Return a client that follows no redirect and honours proxies, except towards loopback."""
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
            f"the proxy that HTTPS_PROXY or ALL_PROXY names can't be used ({type(error).__name__})"
        ) from None


async def exchange(client: httpx.AsyncClient, request: httpx.Request, *, seconds: float) -> Reply:
    """Send the request once and gather its answer within ``seconds`` by the wall clock."""
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
        trouble = f"no whole answer within {seconds:g} seconds"
        unsent = not sending
    except (httpx.HTTPError, OSError, ImportError) as error:
        # OSError: httpcore lets the ssl.SSLError of a broken stream through as it is. ImportError:
        # what is imported at the first connection needs a descriptor, too.
        trouble, untrusted = _trouble(error)
        # A tunnel through a proxy is asked for with headers of its own: there the type counts.
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
    """Return what went wrong, and whether a certificate was not trusted."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in _TOO_MANY_FILES:
            return "too many open files: raise `ulimit -n` or lower --concurrency", False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {cause.verify_message}", True
    return f"{type(error).__name__}: {clean(str(error))}".removesuffix(": "), False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from, which libraries wrap several times."""
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
