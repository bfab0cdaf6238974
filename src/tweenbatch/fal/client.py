"""fal, as the rest of the program knows it: submit once, look, read, cancel, upload, download.

Nothing is repeated here. Everything that comes back is canonical: a URL that a stand-in for
fal gave (``connect_to``) is turned into the one of fal's own host that it means.
"""

import json
import re
import uuid
from collections.abc import Awaitable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import fal_client
import httpx

from tweenbatch.errors import (
    AnotherRequest,
    Answered,
    FalError,
    OutcomeUnknown,
    Refused,
    TweenbatchError,
    Unintelligible,
    UsageError,
)
from tweenbatch.fal import credentials, history, pricing
from tweenbatch.fal.addresses import API, QUEUE, Addresses, admitted, is_media
from tweenbatch.fal.download import Download, Downloader
from tweenbatch.fal.errors import clean, json_of, map_exception
from tweenbatch.fal.exchange import trust
from tweenbatch.fal.pricing import ListedPrice
from tweenbatch.fal.protocol import Client, Handle, remote_status
from tweenbatch.fal.submission import is_request_id
from tweenbatch.fal.transport import Deadlines, FalTransport
from tweenbatch.http_statuses import REFUSES_KEY
from tweenbatch.records import PastRequest, RemoteStatus, RemoteVideo, Request

T = TypeVar("T")

START_TIMEOUT = timedelta(hours=12)
"""fal ends a request that no runner has begun with by then, whatever it was waiting or tried again
for, and charges nothing: so nothing that was submitted waits for ever unseen. No queue that is
worth standing in is as long."""

MAX_SIZE = 2**63 - 1
"""More bytes than any file has; a table holds no larger number."""

LIFE_SECONDS = 30 * 24 * 3600
"""How long files are to live, which an account may set to less: as long as fal keeps the result
that names them, so that a later run can still fetch the clip. Unverified: whether fal's service
heeds the headers that ask for it."""

_WITH_SUBMISSIONS = {
    # The newer name of the header that ``start_timeout`` sends.
    "X-Fal-Request-Start-Timeout": str(START_TIMEOUT // timedelta(seconds=1)),
    "X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": LIFE_SECONDS}),
    # Otherwise another model than the one that was asked and paid for may answer.
    "x-app-fal-disable-fallback": "true",
}
_SERVED_BY = "x-fal-served-from"

_BILLED_UNITS = "x-fal-billable-units"
_UNITS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,20})?")

REQUEST_ID = "x-fal-request-id"
"""The header in which an answer names the request that it is about."""

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
        self._transport = transport
        self._client = Client(key, transport)
        self._downloader = Downloader(
            addresses=addresses, context=context, deadlines=deadlines, owner=self._as_owner
        )
        self.served_by: dict[str, str] = {}
        """What made a clip, by its request, where fal says that."""
        self.billed_units: dict[str, Decimal] = {}
        """How many units were billed for a request, where fal says that (unverified)."""
        self._time = transport.time

    @staticmethod
    def require_key(*, connect_to: str | None = None) -> None:
        """Raise what ``connect`` would raise for the key or the address; connect to nothing."""
        credentials.find(None)
        Addresses.parse(connect_to)

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

    @property
    def untrusted(self) -> Collection[str]:
        """Return the hosts whose certificate was not trusted when they were last asked.

        That of the list is none of them: work goes on without it.
        """
        return self._transport.untrusted - {API}

    def now(self) -> datetime | None:
        """Return the time by fal's clock; None before its first answer that tells it."""
        return self._time.now()

    async def submit(self, endpoint: str, arguments: Mapping[str, Any]) -> Request:
        """Send one POST and return the request that fal made of it.

        Raises ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``AccountRefused``.
        """
        _refuse_unsendable(endpoint, arguments)
        trouble: Exception
        try:
            handle = await self._client.submit(
                endpoint,
                dict(arguments),
                start_timeout=START_TIMEOUT.total_seconds(),
                headers=dict(_WITH_SUBMISSIONS),
            )
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
        """Return the model's output. Raises ``Unreachable``, ``Answered``, ``Unintelligible``.

        ``AnotherRequest`` is raised for any answer, good or bad, that is about another request.
        """
        # Not handle.get(): that polls the status first, ten times a second.
        try:
            response = await _translated(self._client.http.get(_followed(request).response_url))
        except Answered as answer:
            _refuse_another(request, answer.headers)
            self._note_units(request, answer.headers)
            raise
        _refuse_another(request, response.headers)
        self._note_units(request, response.headers)
        if served_by := response.headers.get(_SERVED_BY):
            self.served_by[request.request_id] = clean(served_by)
        result = json_of(response.content)
        if not isinstance(result, dict):
            raise Unintelligible("a result that is no JSON object")
        canonical: dict[str, Any] = self._addresses.canonical_in(result)
        return canonical

    def _note_units(self, request: Request, headers: Mapping[str, str]) -> None:
        """Keep what an answer says of its price; a number that can't be one says nothing."""
        words = httpx.Headers(headers).get(_BILLED_UNITS, "").strip()
        if _UNITS.fullmatch(words) and (units := Decimal(words)):
            self.billed_units[request.request_id] = units

    async def history(
        self, endpoint: str, *, since: datetime, cursor: str | None = None
    ) -> tuple[list[PastRequest], str | None]:
        """Return a page of the endpoint's ended requests that were sent since then.

        Beside it comes the cursor of the next page, None on the last. Raises ``Unreachable``,
        ``Answered``, ``Unintelligible``.
        """
        url = history.page_url(endpoint, since=since, cursor=cursor)
        response = await _translated(self._client.http.get(url))
        answer = self._addresses.canonical_in(json_of(response.content))
        return history.page(answer)

    async def price_list(self, endpoints: Collection[str]) -> dict[str, ListedPrice]:
        """Return what fal's price list says of endpoints now.

        Raises ``Unreachable``, ``Answered``, ``Unintelligible``.
        """
        response = await _translated(self._client.http.get(pricing.list_url(endpoints)))
        return pricing.price_list(json_of(response.content))

    async def refuses_key(self, endpoint: str) -> bool:
        """Tell whether the queue does not know our key; False also where it can't be asked."""
        refusal = await self.refuses_to_tell(endpoint)
        return refusal is not None and refusal.http_status == HTTPStatus.UNAUTHORIZED

    async def refuses_to_tell(self, endpoint: str) -> Answered | None:
        """Return how the queue refuses to tell our key of requests: 401 or 403, if it does.

        It is asked about a request that nobody made, which costs nothing: 404 with a good key.
        Unverified: whether a key that may not read gets 403 there.
        """
        try:
            await self.status(request_of(endpoint, str(uuid.uuid4())), logs=False)
        except Answered as answer:
            return answer if answer.http_status in REFUSES_KEY else None
        except FalError:
            return None
        return None

    async def refuses_to_list(self, endpoint: str, *, since: datetime) -> Answered | None:
        """Return how fal refuses to show our key the list of past requests, if it does."""
        url = history.page_url(endpoint, since=since, cursor=None, limit=1)
        try:
            await _translated(self._client.http.get(url))
        except Answered as answer:
            return answer if answer.http_status in REFUSES_KEY else None
        except FalError:
            return None
        return None

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
        self, url: str, *, offset: int = 0, etag: str | None = None, total: int | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Open a file on fal's file hosts, from ``offset`` on if the server can.

        It can where the file still has that ``etag``, and ``total`` bytes, as far as they are
        known. A file that its account has closed to others is read as its owner. Raises
        ``UrlExpired`` or ``DownloadFailed``, also while its chunks are read.
        """
        return self._downloader.open(url, offset=offset, etag=etag, total=total)

    async def _as_owner(self, anew: bool) -> str:
        """Return what says to fal's file hosts whose files are asked for; never the key.

        Unverified: whether they take the token of an upload for reading.
        """
        if anew:
            self._client.tokens.forget()
        token = await _translated(self._client.tokens.get_token())
        return f"{token.token_type} {token.token}"

    async def _upload(self, data: bytes, content_type: str, file_name: str) -> str:
        return await _translated(
            self._client.upload(
                data,
                content_type,
                _ODD_IN_FILE_NAMES.sub("_", file_name),
                repository="fal_v3",
                fallback_repository=[],
                lifecycle=fal_client.StorageSettings(expires_in=LIFE_SECONDS),
            )
        )

    def _handle(self, request: Request) -> Handle:
        _followed(request)
        return Handle(
            request_id=request.request_id,
            response_url=request.response_url,
            status_url=request.status_url,
            cancel_url=request.cancel_url,
            client=self._client.http,
        )

    def _request(self, endpoint: str, handle: fal_client.AsyncRequestHandle) -> Request:
        """Return the accepted request; a foreign URL gives way to the one that its id makes."""
        request = request_of(endpoint, handle.request_id)
        given = {
            name: self._addresses.canonical(getattr(handle, name))
            for name in ("status_url", "response_url", "cancel_url")
        }
        return replace(request, **{name: url for name, url in given.items() if _on_queue(url)})


def request_of(endpoint: str, request_id: str) -> Request:
    """Return a request by its id; raise ``UsageError`` for what can't be the id of one."""
    if not is_request_id(request_id):
        raise UsageError(f"not the id of a request at fal: {clean(request_id, 80)!r}")
    # It makes addresses; no client is needed for that.
    built = Handle.from_request_id(cast("httpx.AsyncClient", None), endpoint, request_id)
    return Request(
        request_id=request_id,
        status_url=built.status_url,
        response_url=built.response_url,
        cancel_url=built.cancel_url,
    )


def video_of(result: Mapping[str, Any]) -> RemoteVideo:
    """Return the clip that a result names; raise ``Unintelligible`` if it names none."""
    video = result.get("video")
    if not isinstance(video, Mapping) or not _is_https(video.get("url")):
        raise Unintelligible("a result without the address of a video")
    size, kind = video.get("file_size"), video.get("content_type")
    counted = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= MAX_SIZE
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


def _refuse_another(request: Request, headers: Mapping[str, str]) -> None:
    # Unverified: whether fal names the request so in every answer. Where it does not, none is
    # compared; where it names something else for good, fal's list of past requests has the clip.
    named = httpx.Headers(headers).get(REQUEST_ID, "").strip()
    if named and named.lower() != request.request_id.lower():
        raise AnotherRequest(
            f"fal answers with request {clean(named, 80)}, which was not asked for"
        )


def _followed(request: Request) -> Request:
    """Return a request that was read back, if it still is one of fal's queue."""
    urls = (request.status_url, request.response_url, request.cancel_url)
    # They were taken apart when they came, and are when they are sent.
    on_queue = all(url.startswith(f"https://{QUEUE}/") for url in urls)
    if not on_queue or not is_request_id(request.request_id):
        raise Unintelligible(
            f"not a request in fal's queue: {clean(request.request_id, 80)!r}; nothing was sent"
        )
    return request


def _on_queue(url: str) -> bool:
    try:
        return admitted(url).host == QUEUE
    except Unintelligible:
        return False


def _refuse_unsendable(endpoint: str, arguments: Mapping[str, Any]) -> None:
    """Refuse, before anything is sent, what can't be written into a request."""
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(f"not the name of an endpoint: {endpoint!r}")
    try:
        for text in (*arguments, *arguments.values()):
            str(text).encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(
            "the text has characters that can't be sent (lone surrogates); nothing was sent",
            http_status=HTTPStatus.UNPROCESSABLE_ENTITY,
            error_type="unsendable_text",
        ) from None
