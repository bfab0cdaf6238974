"""The client of fal: submit once, read status and result, cancel, upload, download.

It repeats no call. It returns canonical URLs: a URL of a loopback server (``connect_to``) becomes
the URL on fal's own host.
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
from typing import Any, Self, TypeVar

import fal_client
import httpx

from tweenbatch.errors import (
    Answered,
    FalError,
    OutcomeUnknown,
    TweenbatchError,
    Unintelligible,
)
from tweenbatch.fal import credentials, history, pricing
from tweenbatch.fal.addresses import API, QUEUE, Addresses, admitted, is_media
from tweenbatch.fal.download import Download, Downloader
from tweenbatch.fal.errors import clean, json_of, map_exception
from tweenbatch.fal.exchange import trust
from tweenbatch.fal.pricing import ListedPrice
from tweenbatch.fal.protocol import Client, Handle, remote_status
from tweenbatch.fal.transport import Deadlines, FalTransport
from tweenbatch.fal.validation import (
    is_on_queue,
    refuse_another,
    refuse_unsendable,
    request_of,
    require_on_queue,
)
from tweenbatch.http_statuses import REFUSES_KEY
from tweenbatch.records import PastRequest, RemoteStatus, Request

T = TypeVar("T")

START_TIMEOUT = timedelta(hours=12)
"""fal ends a request that has not started within this time, without charge. This bounds how long
a request with a lost reply can stay queued. Useful queues are shorter."""

LIFE_SECONDS = 30 * 24 * 3600
"""Requested lifetime of files: fal keeps the result for the same time, so that a later run can
still fetch the clip. An account may set a shorter one. Unverified: whether fal respects the
headers that request it."""

_WITH_SUBMISSIONS = {
    # The newer name of the header that ``start_timeout`` sends.
    "X-Fal-Request-Start-Timeout": str(START_TIMEOUT // timedelta(seconds=1)),
    "X-Fal-Object-Lifecycle-Preference": json.dumps({"expiration_duration_seconds": LIFE_SECONDS}),
    # Without it, fal may answer with another model than the one paid for.
    "x-app-fal-disable-fallback": "true",
}
_SERVED_BY = "x-fal-served-from"

_BILLED_UNITS = "x-fal-billable-units"
_UNITS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,20})?")

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
"""Exceptions that fal's client and httpx raise on unexpected answers."""


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
            addresses=addresses, context=context, deadlines=deadlines, file_token=self._file_token
        )
        self.served_by: dict[str, str] = {}
        """Which model made a clip, by request id, if fal reports it."""
        self.billed_units: dict[str, Decimal] = {}
        """Billed units by request id, if fal reports them (unverified)."""
        self._time = transport.time

    @staticmethod
    def require_key(*, connect_to: str | None = None) -> None:
        """Raise the errors of ``connect`` about the key or the address. Opens no connection."""
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
        """Return a connection to fal, or to a loopback server with fal's API.

        Without a ``key``, fal's own client looks for one. Raises ``MissingKey``, or
        ``UsageError`` for an invalid key or address.
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
        """Return an identifier of the account that does not reveal the key."""
        return self._key_fingerprint

    @property
    def host(self) -> str:
        """Return the host that receives submissions."""
        return QUEUE

    @property
    def untrusted(self) -> Collection[str]:
        """Return the hosts whose certificate was not trusted at the last request.

        The host of prices and history is left out: a run continues without it.
        """
        return self._transport.untrusted - {API}

    def now(self) -> datetime | None:
        """Return the time by fal's clock; None before the first answer with a date."""
        return self._time.now()

    async def submit(self, endpoint: str, arguments: Mapping[str, Any]) -> Request:
        """Send one POST and return the accepted request.

        Raises ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``AccountRefused``.
        """
        refuse_unsendable(endpoint, arguments)
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
        raise OutcomeUnknown(f"fal's client failed during a submission ({map_exception(trouble)})")

    async def status(self, request: Request, *, logs: bool) -> RemoteStatus:
        """Return the request's status. Raises ``Unreachable``, ``Answered``, ``Unintelligible``."""
        return remote_status(await _translated(self._handle(request).status(with_logs=logs)))

    async def result(self, request: Request) -> Mapping[str, Any]:
        """Return the model's output. Raises ``Unreachable``, ``Answered``, ``Unintelligible``.

        Raises ``AnotherRequest`` if the answer, good or bad, belongs to another request.
        """
        # Not handle.get(): that polls the status first, ten times a second.
        try:
            response = await _translated(
                self._client.http.get(require_on_queue(request).response_url)
            )
        except Answered as answer:
            refuse_another(request, answer.headers)
            self._note_units(request, answer.headers)
            raise
        refuse_another(request, response.headers)
        self._note_units(request, response.headers)
        if served_by := response.headers.get(_SERVED_BY):
            self.served_by[request.request_id] = clean(served_by)
        result = json_of(response.content)
        if not isinstance(result, dict):
            raise Unintelligible("the result isn't a JSON object")
        canonical: dict[str, Any] = self._addresses.canonical_in(result)
        return canonical

    def _note_units(self, request: Request, headers: Mapping[str, str]) -> None:
        """Record the billed units of an answer; ignore an implausible number."""
        text = httpx.Headers(headers).get(_BILLED_UNITS, "").strip()
        if _UNITS.fullmatch(text) and (units := Decimal(text)):
            self.billed_units[request.request_id] = units

    async def history(
        self, endpoint: str, *, since: datetime, cursor: str | None = None
    ) -> tuple[list[PastRequest], str | None]:
        """Return a page of the endpoint's ended requests sent since then, and the next cursor.

        The cursor is None on the last page. Raises ``Unreachable``, ``Answered``,
        ``Unintelligible``.
        """
        url = history.page_url(endpoint, since=since, cursor=cursor)
        response = await _translated(self._client.http.get(url))
        answer = self._addresses.canonical_in(json_of(response.content))
        return history.page(answer)

    async def price_list(self, endpoints: Collection[str]) -> dict[str, ListedPrice]:
        """Return the current entries of fal's price list for these endpoints.

        Raises ``Unreachable``, ``Answered``, ``Unintelligible``.
        """
        response = await _translated(self._client.http.get(pricing.list_url(endpoints)))
        return pricing.price_list(json_of(response.content))

    async def refuses_key(self, endpoint: str) -> bool:
        """Tell whether the queue rejects our key; False if the queue can't be reached."""
        refusal = await self.status_refusal(endpoint)
        return refusal is not None and refusal.http_status == HTTPStatus.UNAUTHORIZED

    async def status_refusal(self, endpoint: str) -> Answered | None:
        """Return the 401 or 403 of a queue that won't show our key a status; otherwise None.

        Reads the status of a random request id, which is free: a good key gets 404. Unverified:
        whether a key without permission to read gets 403.
        """
        try:
            await self.status(request_of(endpoint, str(uuid.uuid4())), logs=False)
        except Answered as answer:
            return answer if answer.http_status in REFUSES_KEY else None
        except FalError:
            return None
        return None

    async def history_refusal(self, endpoint: str, *, since: datetime) -> Answered | None:
        """Return fal's refusal (401 or 403) to list past requests to our key, or None."""
        url = history.page_url(endpoint, since=since, cursor=None, limit=1)
        try:
            await _translated(self._client.http.get(url))
        except Answered as answer:
            return answer if answer.http_status in REFUSES_KEY else None
        except FalError:
            return None
        return None

    async def cancel(self, request: Request) -> bool:
        """Return whether fal accepted; False if the request has ended or fal has forgotten it."""
        try:
            await _translated(self._handle(request).cancel())
        except Answered as answer:
            if answer.http_status in _FINISHED_OR_UNKNOWN:
                return False
            raise
        return True

    async def upload(self, data: bytes, *, content_type: str, file_name: str) -> str:
        """Upload the bytes and return their URL at fal.

        Raises ``Unreachable``, ``Answered``, ``Unintelligible``.
        """
        try:
            url = await self._upload(data, content_type, file_name)
        except Answered as answer:
            if answer.http_status != HTTPStatus.UNAUTHORIZED:
                raise
            self._client.tokens.forget()  # the token had expired by the server's clock
            url = await self._upload(data, content_type, file_name)
        canonical = self._addresses.canonical(url) if isinstance(url, str) else ""
        if not is_media(admitted(canonical).host):
            raise Unintelligible("the URL of an uploaded file isn't on one of fal's file hosts")
        return canonical

    def download(
        self, url: str, *, offset: int = 0, etag: str | None = None, total: int | None = None
    ) -> AbstractAsyncContextManager[Download]:
        """Open a file on fal's file hosts, from ``offset`` on if the server can resume.

        It resumes only if the file still has that ``etag`` and ``total`` size, where given. A
        private file is read with the owner's token. Raises ``UrlExpired`` or ``DownloadFailed``,
        also while the chunks are read.
        """
        return self._downloader.open(url, offset=offset, etag=etag, total=total)

    async def _file_token(self, renew: bool) -> str:
        """Return the Authorization header for the account's private files; never the key.

        Unverified: whether the file hosts accept an upload token for reading.
        """
        if renew:
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
        require_on_queue(request)
        return Handle(
            request_id=request.request_id,
            response_url=request.response_url,
            status_url=request.status_url,
            cancel_url=request.cancel_url,
            client=self._client.http,
        )

    def _request(self, endpoint: str, handle: fal_client.AsyncRequestHandle) -> Request:
        """Return the accepted request; URLs outside fal's queue are rebuilt from the id."""
        request = request_of(endpoint, handle.request_id)
        given = {
            name: self._addresses.canonical(getattr(handle, name))
            for name in ("status_url", "response_url", "cancel_url")
        }
        return replace(request, **{name: url for name, url in given.items() if is_on_queue(url)})


async def _translated(call: Awaitable[T]) -> T:
    """Await a read; raise only our own errors."""
    trouble: Exception
    try:
        return await call
    except TweenbatchError:
        raise
    except _LEAKS as error:
        trouble = error
    raise map_exception(trouble)
