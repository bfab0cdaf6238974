"""fal's own client over our transport, without its assumptions about answers.

This folder uses names that fal_client does not export. A contract test requires each of them:
``AsyncClient``: ``_client``, ``_token_manager``, ``_cdn_client``;
``AsyncRequestHandle``: ``_parse_status``;
``client.AsyncCDNTokenManager``: ``_token``, ``_url``, ``_refresh_token``;
``client``: ``AsyncCDNTokenManager``, ``CDNToken``, ``RealtimeError``, ``USER_AGENT``;
``auth``: ``AuthCredentials``, ``FAL_QUEUE_RUN_HOST``, ``MISSING_CREDENTIALS_MESSAGE``,
``MissingCredentialsError``, ``fetch_auth_credentials``.
"""

import math
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import fal_client
import httpx
from fal_client.auth import AuthCredentials
from fal_client.client import USER_AGENT, AsyncCDNTokenManager, CDNToken

from tweenbatch.errors import AnotherRequest, Unintelligible
from tweenbatch.fal.credentials import Credentials
from tweenbatch.fal.errors import clean
from tweenbatch.fal.transport import FalTransport
from tweenbatch.records import Phase, RemoteStatus

T = TypeVar("T")


class TokenManager(AsyncCDNTokenManager):
    """Fetches tokens for uploads through our transport."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        # The key is in the client's headers; the manager does not need it.
        super().__init__(AuthCredentials("Key", ""))
        self._http = http

    def forget(self) -> None:
        """Drop the token, so that the next upload fetches a new one."""
        self._token = CDNToken("", "", "", datetime.min.replace(tzinfo=UTC))

    async def _refresh_token(self) -> CDNToken:
        response = await self._http.post(self._url, json={})
        data = response.json()
        expires_at = datetime.fromisoformat(data["expires_at"])
        return CDNToken(
            token=str(data["token"]),
            token_type=str(data["token_type"]),
            base_upload_url=str(data.get("base_url", "")),
            expires_at=expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC),
        )


class Client(fal_client.AsyncClient):
    """fal's client over our transport: submits and uploads."""

    def __init__(self, credentials: Credentials, transport: FalTransport) -> None:
        super().__init__(key="")
        self.http = httpx.AsyncClient(
            transport=transport,
            headers={"Authorization": credentials.header, "User-Agent": USER_AGENT},
        )
        self.tokens = TokenManager(self.http)
        self._cdn = httpx.AsyncClient(transport=transport, headers={"User-Agent": USER_AGENT})

    @property
    def _client(self) -> Awaitable[httpx.AsyncClient]:
        return _ready(self.http)

    @property
    def _token_manager(self) -> Awaitable[AsyncCDNTokenManager]:
        return _ready(self.tokens)

    @asynccontextmanager
    async def _cdn_client(self) -> AsyncIterator[httpx.AsyncClient]:
        yield self._cdn

    async def aclose(self) -> None:
        """Close all connections."""
        await self.http.aclose()
        await self._cdn.aclose()


class Handle(fal_client.AsyncRequestHandle):
    """A request's handle that tolerates missing fields in statuses and checks the request id."""

    def _parse_status(self, data: Any) -> fal_client.Status:
        if not isinstance(data, dict):
            raise Unintelligible("the status isn't a JSON object")
        if data.get("status") not in ("IN_QUEUE", "IN_PROGRESS", "COMPLETED"):
            raise Unintelligible(f"unknown status {clean(repr(data.get('status')), 80)}")
        # Unverified: whether each status names its request.
        named = data.get("request_id")
        if isinstance(named, str) and named and named.lower() != self.request_id.lower():
            raise AnotherRequest(f"fal answered with another request's status, {clean(named, 80)}")
        return super()._parse_status({"queue_position": None, "logs": None, **data})


def remote_status(status: fal_client.Status) -> RemoteStatus:
    """Return a status of fal's client as a record; fields of a wrong type are left out."""
    if isinstance(status, fal_client.Completed):
        metrics = status.metrics if isinstance(status.metrics, dict) else {}
        return RemoteStatus(
            phase=Phase.COMPLETED,
            logs=_lines(status.logs),
            error=_text(status.error),
            error_type=_text(status.error_type),
            inference_seconds=_seconds(metrics.get("inference_time")),
        )
    if isinstance(status, fal_client.InProgress):
        return RemoteStatus(phase=Phase.RUNNING, logs=_lines(status.logs))
    position = getattr(status, "position", None)
    known = isinstance(position, int) and not isinstance(position, bool)
    return RemoteStatus(phase=Phase.QUEUED, position=position if known else None)


def _lines(logs: Any) -> tuple[str, ...]:
    if not isinstance(logs, list):
        return ()
    texts = (line.get("message") if isinstance(line, dict) else line for line in logs)
    return tuple(clean(text) for text in texts if isinstance(text, str))


def _text(value: Any) -> str | None:
    return clean(value if isinstance(value, str) else repr(value)) if value else None


def _seconds(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) else None


async def _ready(value: T) -> T:
    return value
