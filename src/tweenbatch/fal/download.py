"""A clip's bytes from fal's file hosts: raw, without the key, over few and checked redirects.

An account may close its files to all but their owner. Then they are asked for once more with the
token for files, which says who asks and can do nothing else.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from tweenbatch.errors import Answered, DownloadFailed, FalError, Unintelligible, UrlExpired
from tweenbatch.fal.addresses import Addresses, admitted, is_media
from tweenbatch.fal.errors import clean
from tweenbatch.fal.pools import Pools
from tweenbatch.fal.retrying import is_worth_repeating
from tweenbatch.fal.transport import Deadlines

MAX_REDIRECTS = 3
DOWNLOADS_AT_ONCE = 8
"""Each over a connection of its own: who asks for more waits."""

_GONE = frozenset({403, 404, 410})
_PERHAPS_CLOSED = frozenset({401, 403, 404})

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A transfer under way.

    ``offset`` is where its first byte stands in the file: 0 if the server would not resume.
    ``content_length`` counts the bytes of this transfer, ``total`` those of the whole file, as
    announced.
    """

    status: int
    headers: Mapping[str, str]
    offset: int
    content_length: int | None
    total: int | None
    _response: httpx.Response

    @property
    def etag(self) -> str | None:
        """Return what a later part of the same file can be asked for with."""
        return self.headers.get("etag")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come; raise ``DownloadFailed`` where they break off."""
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise DownloadFailed(_text("the transfer broke off", error)) from error


class Downloader:
    """Opens downloads over connections of its own, which know no key.

    ``owner`` gives the value of the header that says whose files are asked for; with True it is a
    new one.
    """

    def __init__(
        self,
        *,
        addresses: Addresses,
        context: ssl.SSLContext,
        deadlines: Deadlines,
        owner: Callable[[bool], Awaitable[str]],
    ) -> None:
        self._owner = owner
        self._addresses = addresses
        self._deadlines = deadlines
        self._clients = Pools(addresses, context, at_once=DOWNLOADS_AT_ONCE)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._clients.aclose()

    @asynccontextmanager
    async def open(
        self, url: str, *, offset: int, etag: str | None, total: int | None
    ) -> AsyncIterator[Download]:
        """Open the file at a URL, from ``offset`` on if the server proves that it is the same."""
        try:
            async with (
                self._clients.client() as client,
                asyncio.timeout(self._deadlines.download_seconds) as limit,
            ):
                response, begins = await self._from(client, url, offset, etag, total)
                async with aclosing(response):
                    yield _download(response, begins)
        except TimeoutError as error:
            if not limit.expired():
                raise
            seconds = self._deadlines.download_seconds
            raise DownloadFailed(f"not finished within {seconds:g} seconds") from error

    async def _from(
        self,
        client: httpx.AsyncClient,
        url: str,
        offset: int,
        etag: str | None,
        total: int | None,
    ) -> tuple[httpx.Response, int]:
        """Return the open answer and where its part, should it be one, must begin."""
        if offset:
            headers = {"Range": f"bytes={offset}-"} | ({"If-Range": etag} if etag else {})
            response = await self._get_as_owner_too(client, url, headers)
            if _goes_on(response, offset, etag, total):
                return response, offset
            await response.aclose()
        return await self._get_as_owner_too(client, url, {}), 0

    async def _get_as_owner_too(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the open answer; of a file that may be closed to others, that to its owner."""
        response = await self._get(client, url, headers)
        for anew in (False, True):
            if response.status_code not in _PERHAPS_CLOSED:
                break
            # A token that has run out by the server's clock is told from a file that is gone.
            if anew and response.status_code != HTTPStatus.UNAUTHORIZED:
                break
            await response.aclose()
            try:
                authorization = await self._owner(anew)
            except Answered as answer:
                told = (
                    f"the file is gone, or closed to others (HTTP {response.status_code}), and fal "
                    f"gives this key no token for it ({answer})"
                )
                gone = response.status_code in _GONE and not is_worth_repeating(answer)
                raise (UrlExpired(told) if gone else DownloadFailed(told)) from answer
            except FalError as error:
                raise DownloadFailed(f"no token for a closed file ({error})") from error
            response = await self._get(client, url, {**headers, "Authorization": authorization})
        return response

    async def _get(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the open answer behind all redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            target = self._media(url)
            response = await self._send(client, target, headers)
            if not response.has_redirect_location:
                return response
            await response.aclose()
            url = self._next(target, response.headers["location"])
        raise DownloadFailed(f"more than {MAX_REDIRECTS} redirects")

    def _media(self, url: str) -> httpx.URL:
        try:
            target = admitted(self._addresses.canonical(url))
        except Unintelligible as error:
            raise DownloadFailed(str(error)) from None
        if not is_media(target.host):
            raise DownloadFailed(f"{target.host} is no file host of fal; nothing was asked there")
        return target

    def _next(self, target: httpx.URL, location: str) -> str:
        try:
            return str(target.join(self._addresses.canonical(location)))
        except httpx.InvalidURL:
            raise DownloadFailed("redirected to an unreadable address") from None

    async def _send(
        self, client: httpx.AsyncClient, target: httpx.URL, headers: Mapping[str, str]
    ) -> httpx.Response:
        request = client.build_request(
            "GET",
            self._addresses.wire(target),
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(
                self._deadlines.download_silence_seconds, connect=self._deadlines.connect_seconds
            ),
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.HTTPError, OSError) as error:
            raise DownloadFailed(_text(f"{target.host} did not answer", error)) from error


def _download(response: httpx.Response, offset: int) -> Download:
    """Return the transfer of a good answer; raise ``UrlExpired`` or ``DownloadFailed``."""
    status = response.status_code
    if status in _GONE:
        raise UrlExpired(f"the address is no longer valid (HTTP {status})")
    partial = status == HTTPStatus.PARTIAL_CONTENT
    if status != HTTPStatus.OK and not (partial and offset):
        raise DownloadFailed(f"HTTP {status}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise DownloadFailed("the file came compressed, which was not asked for")
    length = response.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() else None
    return Download(
        status=status,
        headers=dict(response.headers),
        offset=offset if partial else 0,
        content_length=announced,
        total=_rest(response, offset) if partial else announced,
        _response=response,
    )


def _goes_on(response: httpx.Response, offset: int, etag: str | None, total: int | None) -> bool:
    """Tell whether an answer to a Range can be used: the rest of this very file, or all of it."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    found = _rest(response, offset)
    if found is None or total not in {None, found}:
        return False
    # A server that does not know If-Range may still say that this is another file.
    return etag is None or response.headers.get("etag", etag) == etag


def _rest(response: httpx.Response, offset: int) -> int | None:
    """Return the size of the file where a part of it reaches from ``offset`` to its end."""
    given = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if given is None:
        return None
    first, last, total = map(int, given.groups())
    return total if first == offset and last == total - 1 else None


def _text(what: str, error: Exception) -> str:
    return f"{what} ({type(error).__name__}: {clean(str(error))})".replace(": )", ")")
