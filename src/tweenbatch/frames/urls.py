"""Probe frames at https URLs (``--check-urls``): is each a public image of an accepted size?

Requests carry no key and no credentials, because the URLs come from manifests. A few bytes of each
are read; TLS is verified with httpx's settings (SSL_CERT_FILE).
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from contextlib import aclosing
from http import HTTPStatus

import httpx

from tweenbatch.errors import UsageError
from tweenbatch.version import __version__

AT_ONCE = 8
DEADLINE_SECONDS = 20.0
"""Kling's own limit for a URL."""
MAX_REDIRECTS = 3
FIRST_BYTES = 64

_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Range": f"bytes=0-{FIRST_BYTES - 1}",
    "User-Agent": f"tweenbatch/{__version__}",
}
# Content types that file hosts use for files of unknown type.
_UNKNOWN_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_IMAGE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
_TOTAL = re.compile(r"bytes \d+-\d+/(\d{1,15})", re.ASCII)


class _Unusable(Exception):
    """A URL is unusable; the message completes a sentence that begins with it."""


def ask(
    urls: Iterable[str], *, max_bytes: int, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, str]:
    """Return the problems of unusable URLs, by URL.

    Each completes a sentence that begins with the URL. Must not be called in an event loop.
    """
    return asyncio.run(ask_all(urls, max_bytes=max_bytes, deadline_seconds=deadline_seconds))


async def ask_all(
    urls: Iterable[str], *, max_bytes: int, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, str]:
    """Like ``ask``, but for an event loop."""
    wrong: dict[str, str] = {}
    left = iter(urls)
    async with _client() as client, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(_ask_each(client, left, wrong, max_bytes, deadline_seconds))
    return wrong


def _client() -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(headers=_HEADERS, follow_redirects=False)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
        # The error's text may contain the proxy's password.
        raise UsageError(
            "the certificates or the proxy of the environment can't be used "
            f"({type(error).__name__}); correct SSL_CERT_FILE or HTTPS_PROXY, or run without "
            "--check-urls"
        ) from None


async def _ask_each(
    client: httpx.AsyncClient,
    left: Iterator[str],
    wrong: dict[str, str],
    max_bytes: int,
    deadline_seconds: float,
) -> None:
    for url in left:
        try:
            async with asyncio.timeout(deadline_seconds):
                await _ask(client, url, max_bytes)
        except _Unusable as error:
            wrong[url] = str(error)
        except TimeoutError:
            wrong[url] = f"did not answer within {deadline_seconds:g} s; check that it is public"
        except (httpx.HTTPError, OSError) as error:
            name = type(error).__name__
            text = f"{name}: {error}" if str(error) else name
            wrong[url] = f"can't be reached ({text}); check that it is correct and public"


async def _ask(client: httpx.AsyncClient, url: str, max_bytes: int) -> None:
    """Raise ``_Unusable`` if a URL does not serve an image."""
    for _ in range(MAX_REDIRECTS + 1):
        target = _parsed(url)
        request = client.build_request("GET", target)
        # Without this, httpx would send a user name in the URL as credentials.
        response = await client.send(request, auth=httpx.Auth(), stream=True)
        async with aclosing(response):
            if not response.has_redirect_location:
                await _check_response(response, max_bytes)
                return
        url = _redirected(target, response.headers["location"])
    raise _Unusable(f"redirects more than {MAX_REDIRECTS} times; name the final URL")


def _parsed(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _Unusable(f"isn't a valid URL ({error})") from None
    if target.scheme != "https" or not target.host:
        raise _Unusable(f"redirects to {target.scheme or 'nowhere'}, not https; name an https URL")
    return target


def _redirected(target: httpx.URL, location: str) -> str:
    try:
        return str(target.join(location))
    except httpx.InvalidURL as error:
        raise _Unusable(f"redirects to an invalid URL ({error})") from None


async def _check_response(response: httpx.Response, max_bytes: int) -> None:
    status = response.status_code
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise _Unusable(f"answers with HTTP {status}; check that it is correct and public")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _UNKNOWN_TYPES and not kind.startswith("image/"):
        raise _Unusable(f"is {kind!r}, not an image; name the image itself, not its web page")
    size = _size(response)
    if size is not None and size > max_bytes:
        raise _Unusable(
            f"is {size} bytes; the endpoint accepts at most {max_bytes}: save it smaller"
        )
    if not _IMAGE.match(await _first_bytes(response)):
        raise _Unusable("is not a PNG, JPEG or WebP image; convert it to one of these")


def _size(response: httpx.Response) -> int | None:
    """Return the size of the whole file according to the headers, in bytes."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        total = _TOTAL.fullmatch(response.headers.get("content-range", "").strip())
        return int(total[1]) if total else None
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


async def _first_bytes(response: httpx.Response) -> bytes:
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) >= FIRST_BYTES:
            break
    return read[:FIRST_BYTES]
