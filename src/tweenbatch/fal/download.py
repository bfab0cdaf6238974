"""Download files from fal's file hosts, without the key; each redirect is checked first.

An account can make its files private. A refused file is requested again with a file token, which
identifies the account and permits nothing else.
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
"""Each has its own connection; further downloads wait."""

_GONE = frozenset({403, 404, 410})
_PERHAPS_PRIVATE = frozenset({401, 403, 404})

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A transfer in progress.

    ``offset`` is the position of its first byte in the file: 0 if the server did not resume.
    ``content_length`` is the announced size of this transfer, ``total`` that of the whole file.
    """

    status: int
    headers: Mapping[str, str]
    offset: int
    content_length: int | None
    total: int | None
    _response: httpx.Response

    @property
    def etag(self) -> str | None:
        """Return the entity tag with which a later request can resume this file."""
        return self.headers.get("etag")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they arrive; raise ``DownloadFailed`` if the transfer breaks off."""
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise DownloadFailed(_text("the transfer broke off", error)) from error


class Downloader:
    """Opens downloads over its own connections, which never carry the key.

    ``file_token`` returns the Authorization header for private files; with True it renews it.
    """

    def __init__(
        self,
        *,
        addresses: Addresses,
        context: ssl.SSLContext,
        deadlines: Deadlines,
        file_token: Callable[[bool], Awaitable[str]],
    ) -> None:
        self._file_token = file_token
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
        """Open the file at a URL, from ``offset`` on if the server proves it is the same file."""
        try:
            async with (
                self._clients.client() as client,
                asyncio.timeout(self._deadlines.download_seconds) as limit,
            ):
                response, first_byte = await self._from(client, url, offset, etag, total)
                async with aclosing(response):
                    yield _download(response, first_byte)
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
        """Return the open response and the offset at which a partial one must begin."""
        if offset:
            headers = {"Range": f"bytes={offset}-"} | ({"If-Range": etag} if etag else {})
            response = await self._get_or_get_as_owner(client, url, headers)
            if _is_usable(response, offset, etag, total):
                return response, offset
            await response.aclose()
        return await self._get_or_get_as_owner(client, url, {}), 0

    async def _get_or_get_as_owner(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the open response; request a file that may be private again with a token."""
        response = await self._get(client, url, headers)
        for renew in (False, True):
            if response.status_code not in _PERHAPS_PRIVATE:
                break
            # Only 401 can mean an expired token; after 403 or 404 a new one would not help.
            if renew and response.status_code != HTTPStatus.UNAUTHORIZED:
                break
            await response.aclose()
            try:
                authorization = await self._file_token(renew)
            except Answered as answer:
                message = (
                    f"the file is gone or private (HTTP {response.status_code}), and fal "
                    f"gives this key no token for it ({answer})"
                )
                gone = response.status_code in _GONE and not is_worth_repeating(answer)
                raise (UrlExpired(message) if gone else DownloadFailed(message)) from answer
            except FalError as error:
                raise DownloadFailed(f"no token for a private file ({error})") from error
            response = await self._get(client, url, {**headers, "Authorization": authorization})
        return response

    async def _get(
        self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the open response after all redirects."""
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
            raise DownloadFailed(f"{target.host} isn't a file host of fal; nothing was sent to it")
        return target

    def _next(self, target: httpx.URL, location: str) -> str:
        try:
            return str(target.join(self._addresses.canonical(location)))
        except httpx.InvalidURL:
            raise DownloadFailed("redirected to an invalid URL") from None

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
    """Return the transfer of a good response; raise ``UrlExpired`` or ``DownloadFailed``."""
    status = response.status_code
    if status in _GONE:
        raise UrlExpired(f"the URL is no longer valid (HTTP {status})")
    partial = status == HTTPStatus.PARTIAL_CONTENT
    if status != HTTPStatus.OK and not (partial and offset):
        raise DownloadFailed(f"HTTP {status}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise DownloadFailed("the server sent the file compressed, which was not requested")
    length = response.headers.get("content-length", "")
    announced = int(length) if length.isascii() and length.isdigit() else None
    return Download(
        status=status,
        headers=dict(response.headers),
        offset=offset if partial else 0,
        content_length=announced,
        total=_whole_size(response, offset) if partial else announced,
        _response=response,
    )


def _is_usable(response: httpx.Response, offset: int, etag: str | None, total: int | None) -> bool:
    """Tell whether a Range request got the rest of the same file, or a whole file."""
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    size = _whole_size(response, offset)
    if size is None or total not in {None, size}:
        return False
    # A server that ignores If-Range can still reveal another file by its ETag.
    return etag is None or response.headers.get("etag", etag) == etag


def _whole_size(response: httpx.Response, offset: int) -> int | None:
    """Return the whole file's size if this part reaches from ``offset`` to its end, else None."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if content_range is None:
        return None
    first, last, total = map(int, content_range.groups())
    return total if first == offset and last == total - 1 else None


def _text(what: str, error: Exception) -> str:
    return f"{what} ({type(error).__name__}: {clean(str(error))})".replace(": )", ")")
