"""Whether frames at https addresses can be had: each is asked once, as a stranger.

What is asked carries no key and nothing of anybody's account: addresses come out of manifests.
A few bytes are read of each; TLS is verified as httpx's environment says (SSL_CERT_FILE).
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
"""What Kling allows an address as well."""
MAX_REDIRECTS = 3
FIRST_BYTES = 64

_HEADERS = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Range": f"bytes=0-{FIRST_BYTES - 1}",
    "User-Agent": f"tweenbatch/{__version__}",
}
# What file hosts say of files that they were told nothing of.
_TELLS_NOTHING = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_IMAGE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
_TOTAL = re.compile(r"bytes \d+-\d+/(\d{1,15})", re.ASCII)


class _Unfit(Exception):
    """An address is no good; the text completes a sentence that begins with it."""


def ask(
    urls: Iterable[str], *, max_bytes: int, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, str]:
    """Return what is wrong with the addresses that are no good, by address.

    Each completes a sentence that begins with the address. Not to be called in an event loop.
    """
    return asyncio.run(ask_all(urls, max_bytes=max_bytes, deadline_seconds=deadline_seconds))


async def ask_all(
    urls: Iterable[str], *, max_bytes: int, deadline_seconds: float = DEADLINE_SECONDS
) -> dict[str, str]:
    """Do what ``ask`` does, in an event loop."""
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
        # Its text may hold the proxy's password.
        raise UsageError(
            "the certificates or the proxy that the environment names can't be used "
            f"({type(error).__name__}); mend SSL_CERT_FILE or HTTPS_PROXY, or leave out "
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
        except _Unfit as unfit:
            wrong[url] = str(unfit)
        except TimeoutError:
            wrong[url] = f"did not answer within {deadline_seconds:g} s; see whether it is public"
        except (httpx.HTTPError, OSError) as error:
            name = type(error).__name__
            text = f"{name}: {error}" if str(error) else name
            wrong[url] = f"can't be reached ({text}); see whether it is right and public"


async def _ask(client: httpx.AsyncClient, url: str, max_bytes: int) -> None:
    """Raise ``_Unfit`` where no image can be had at an address."""
    for _ in range(MAX_REDIRECTS + 1):
        target = _readable(url)
        request = client.build_request("GET", target)
        # Without an authority of our own, httpx would make one of a name in the address.
        response = await client.send(request, auth=httpx.Auth(), stream=True)
        async with aclosing(response):
            if not response.has_redirect_location:
                await _judge(response, max_bytes)
                return
        url = _behind(target, response.headers["location"])
    raise _Unfit(f"redirects more than {MAX_REDIRECTS} times; name the last address")


def _readable(url: str) -> httpx.URL:
    try:
        target = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _Unfit(f"is no address that can be read ({error})") from None
    if target.scheme != "https" or not target.host:
        raise _Unfit(f"redirects to {target.scheme or 'nowhere'}, which is not https; correct it")
    return target


def _behind(target: httpx.URL, location: str) -> str:
    try:
        return str(target.join(location))
    except httpx.InvalidURL as error:
        raise _Unfit(f"redirects to no address that can be read ({error})") from None


async def _judge(response: httpx.Response, max_bytes: int) -> None:
    status = response.status_code
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise _Unfit(f"answers with HTTP {status}; see whether it is right and public")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TELLS_NOTHING and not kind.startswith("image/"):
        raise _Unfit(f"is no image but {kind!r}; name the image itself, not a page round it")
    size = _size(response)
    if size is not None and size > max_bytes:
        raise _Unfit(f"is {size} bytes; the endpoint takes at most {max_bytes}: save it smaller")
    if not _IMAGE.match(await _first_bytes(response)):
        raise _Unfit("is not a PNG, JPEG or WebP image; convert it to one of these")


def _size(response: httpx.Response) -> int | None:
    """Return the size of the whole file as announced, in bytes."""
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
