"""fal, as the rest of the program knows it: submit once, look, read, cancel, upload, download.

Nothing is repeated here. Everything that comes back is canonical: a URL that a stand-in for
fal gave (``connect_to``) is turned into the one of fal's own host that it means.
"""

import re
from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import fal_client
import httpx

from tweenbatch.errors import (
    Answered,
    OutcomeUnknown,
    Refused,
    TweenbatchError,
    Unintelligible,
    UsageError,
)
from tweenbatch.fal import credentials
from tweenbatch.fal.addresses import QUEUE, Addresses, admitted, is_media
from tweenbatch.fal.download import Download, Downloader
from tweenbatch.fal.errors import json_of, map_exception
from tweenbatch.fal.exchange import trust
from tweenbatch.fal.protocol import Client, Handle, remote_status
from tweenbatch.fal.transport import Deadlines, FalTransport
from tweenbatch.records import RemoteStatus, RemoteVideo, Request

T = TypeVar("T")

_ENDPOINT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_ODD_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]")
_FINISHED_OR_UNKNOWN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})

_LEAKS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpx.CookieConflict,
    fal_client.FalClientError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What fal's client and httpx raise on answers that they did not expect."""


class Fal:
    """A connection to fal. Use ``connect``, then ``async with``."""

    def __init__(
        self, *, key: credentials.Credentials, addresses: Addresses, deadlines: Deadlines
    ) -> None:
        self._key_fingerprint = key.fingerprint
        self._addresses = addresses
        context = trust()
        transport = FalTransport(
            key=key.token, addresses=addresses, context=context, deadlines=deadlines
        )
        self._client = Client(key, transport)
        self._downloader = Downloader(addresses=addresses, context=context, deadlines=deadlines)

    @classmethod
    def connect(
        cls,
        *,
        connect_to: str | None = None,
        key: str | None = None,
        deadlines: Deadlines | None = None,
    ) -> Self:
        """Return fal, or a server on loopback that speaks as fal does.

        Without a ``key`` fal's own client looks for one. Raises ``MissingKey`` and, for a key
        or an address that can't be, ``UsageError``.
        """
        return cls(
            key=credentials.find(key),
            addresses=Addresses.parse(connect_to),
            deadlines=deadlines or Deadlines(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()
        await self._downloader.aclose()

    @property
    def key_fingerprint(self) -> str:
        """Return what tells accounts apart; it does not give the key away."""
        return self._key_fingerprint

    @property
    def host(self) -> str:
        """Return the host that submissions go to."""
        return QUEUE

    async def submit(self, endpoint: str, arguments: Mapping[str, str]) -> Request:
        """Send one POST and return the request that fal made of it.

        Raises ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``LaneRefused``.
        """
        _refuse_unsendable(endpoint, arguments)
        trouble: Exception
        try:
            handle = await self._client.submit(endpoint, dict(arguments))
        except TweenbatchError:
            raise
        except _LEAKS as error:
            trouble = error
        else:
            return self._request(endpoint, handle)
        raise OutcomeUnknown(f"fal's client broke off a submission ({map_exception(trouble)})")

    async def status(self, request: Request, *, logs: bool) -> RemoteStatus:
        """Return how far fal is. Raises ``Unreachable``, ``Answered``, ``Unintelligible``."""
        return remote_status(await _translated(self._handle(request).status(with_logs=logs)))

    async def result(self, request: Request) -> Mapping[str, Any]:
        """Return the model's output. Raises ``Unreachable``, ``Answered``, ``Unintelligible``."""
        # Not handle.get(): that polls the status first, ten times a second.
        response = await _translated(self._client.http.get(request.response_url))
        result = json_of(response.content)
        if not isinstance(result, dict):
            raise Unintelligible("a result that is no JSON object")
        canonical: dict[str, Any] = self._addresses.canonical_in(result)
        return canonical

    async def cancel(self, request: Request) -> bool:
        """Return whether fal accepted; False: the request has ended, or fal knows it no more."""
        try:
            await _translated(self._handle(request).cancel())
        except Answered as answer:
            if answer.http_status in _FINISHED_OR_UNKNOWN:
                return False
            raise
        return True

    async def upload(self, data: bytes, *, content_type: str, file_name: str) -> str:
        """Return the URL under which fal now serves the bytes.

        Raises ``Unreachable``, ``Answered``, ``Unintelligible``.
        """
        try:
            url = await self._upload(data, content_type, file_name)
        except Answered as answer:
            if answer.http_status != HTTPStatus.UNAUTHORIZED:
                raise
            self._client.tokens.forget()  # it had run out by the server's clock
            url = await self._upload(data, content_type, file_name)
        canonical = self._addresses.canonical(url) if isinstance(url, str) else ""
        if not is_media(admitted(canonical).host):
            raise Unintelligible("an uploaded file that is on no file host of fal")
        return canonical

    def download(
        self, url: str, *, offset: int = 0, etag: str | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Open a file on fal's file hosts, from ``offset`` on if the server can.

        Raises ``UrlExpired`` or ``DownloadFailed``, also while its chunks are read.
        """
        return self._downloader.open(url, offset=offset, etag=etag)

    async def _upload(self, data: bytes, content_type: str, file_name: str) -> str:
        return await _translated(
            self._client.upload(
                data,
                content_type,
                _ODD_IN_FILE_NAMES.sub("_", file_name),
                repository="fal_v3",
                fallback_repository=[],
            )
        )

    def _handle(self, request: Request) -> Handle:
        return Handle(
            request_id=request.request_id,
            response_url=request.response_url,
            status_url=request.status_url,
            cancel_url=request.cancel_url,
            client=self._client.http,
        )

    def _request(self, endpoint: str, handle: fal_client.AsyncRequestHandle) -> Request:
        """Return the accepted request; a foreign URL gives way to the one that its id makes."""
        built = Handle.from_request_id(self._client.http, endpoint, handle.request_id)
        request = Request(
            request_id=handle.request_id,
            status_url=built.status_url,
            response_url=built.response_url,
            cancel_url=built.cancel_url,
        )
        given = {
            name: self._addresses.canonical(getattr(handle, name))
            for name in ("status_url", "response_url", "cancel_url")
        }
        return replace(request, **{name: url for name, url in given.items() if _on_queue(url)})


def video_of(result: Mapping[str, Any]) -> RemoteVideo:
    """Return the clip that a result names; raise ``Unintelligible`` if it names none."""
    video = result.get("video")
    if not isinstance(video, Mapping) or not _is_https(video.get("url")):
        raise Unintelligible("a result without the address of a video")
    size, kind = video.get("file_size"), video.get("content_type")
    counted = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return RemoteVideo(
        url=video["url"],
        bytes=size if counted else None,
        content_type=kind if isinstance(kind, str) else None,
    )


async def _translated(call: Awaitable[T]) -> T:
    """Await a read and raise nothing but errors of ours."""
    trouble: Exception
    try:
        return await call
    except TweenbatchError:
        raise
    except _LEAKS as error:
        trouble = error
    raise map_exception(trouble)


def _is_https(url: object) -> bool:
    try:
        parsed = httpx.URL(url) if isinstance(url, str) else httpx.URL()
    except httpx.InvalidURL:
        return False
    return parsed.scheme == "https" and bool(parsed.host)


def _on_queue(url: str) -> bool:
    try:
        return admitted(url).host == QUEUE
    except Unintelligible:
        return False


def _refuse_unsendable(endpoint: str, arguments: Mapping[str, str]) -> None:
    """Refuse, before anything is sent, what can't be written into a request."""
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(f"not the name of an endpoint: {endpoint!r}")
    try:
        for text in (*arguments, *arguments.values()):
            text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(
            "the text has characters that can't be sent (lone surrogates); nothing was sent",
            http_status=HTTPStatus.UNPROCESSABLE_ENTITY,
            error_type="unsendable_text",
        ) from None
