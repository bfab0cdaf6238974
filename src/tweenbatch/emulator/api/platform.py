"""``api.fal.ai`` and ``fal.ai``: request history, prices, schemas.

Where fal's behaviour is unknown, the less convenient one is emulated: requests in progress are not
listed, an item must lie in the window from its sending to its end, and the list may lag.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, json_answer, play, refusal, send
from tweenbatch.emulator.api.openapi import openapi
from tweenbatch.emulator.faults.script import Subject
from tweenbatch.emulator.faults.vocabulary import Call
from tweenbatch.emulator.model import catalog
from tweenbatch.emulator.site import Site, account_of
from tweenbatch.emulator.state.ledger import EventName
from tweenbatch.emulator.state.requests import FalRequest

DEFAULT_WINDOW = timedelta(hours=24)
DEFAULT_LIMIT = 50
MAX_LIMIT = 100


class PlatformApi:
    """Handlers of the platform's hosts."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the hosts' paths."""
        return [
            web.get(f"/{Host.PLATFORM}/v1/models/requests/by-endpoint", self.history),
            web.get(f"/{Host.PLATFORM}/v1/models/pricing", self.pricing),
            web.get(f"/{Host.SITE}/api/openapi/queue/openapi.json", self.schema),
        ]

    async def history(self, request: web.Request) -> web.StreamResponse:
        """List requests that have ended, the latest first."""
        site = self._site
        site.ledger.calls["history"] += 1
        account = account_of(request)
        facts: dict[str, Any] = {"call": "history"}

        def act() -> Answer:
            if account is None:
                return _unauthorized()
            return self._history(request, account, facts)

        plan = site.script.plan(Call.HISTORY, Subject(account=account or ""))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        site.ledger.note(EventName.HISTORY_READ, http_status=played.http_status, **facts)
        return played.response

    def _history(self, request: web.Request, account: str, facts: dict[str, Any]) -> Answer:
        now = self._site.ledger.now()
        query = request.query
        endpoints = _endpoint_ids(request)
        try:
            end = _instant(query.get("end"), now)
            start = _instant(query.get("start"), end - DEFAULT_WINDOW)
            limit = int(query.get("limit", DEFAULT_LIMIT))
            before = (
                _position(query["cursor"]) if "cursor" in query else len(self._site.queue.ended)
            )
        except ValueError as error:
            return _bad_request(str(error))
        if not endpoints:
            return _bad_request("endpoint_id is required")
        if not 1 <= limit <= MAX_LIMIT:
            return _bad_request(f"limit must be from 1 to {MAX_LIMIT}")
        payloads = "payloads" in query.get("expand", "").split(",")
        items: list[dict[str, Any]] = []
        position = min(before, len(self._site.queue.ended))
        more = False
        while position > 0:
            fal_request = self._site.queue.ended[position - 1]
            if self._is_listed(
                fal_request, account=account, endpoints=endpoints, window=(start, end)
            ):
                if len(items) == limit:
                    more = True
                    break
                items.append(self._item(fal_request, payloads))
            position -= 1
        facts["items"] = len(items)
        return json_answer(
            {
                "items": items,
                "next_cursor": _cursor(position) if more else None,
                "has_more": more,
            }
        )

    def _is_listed(
        self,
        fal_request: FalRequest,
        *,
        account: str,
        endpoints: list[str],
        window: tuple[datetime, datetime],
    ) -> bool:
        if fal_request.account != account or fal_request.endpoint_id not in endpoints:
            return False
        assert fal_request.ended_at is not None
        start, end = window
        since_end = (self._site.ledger.now() - fal_request.ended_at).total_seconds()
        lag = self._site.settings.history_lag_seconds
        if (
            fal_request.accepted_at < start
            or fal_request.ended_at > end
            or (lag and since_end < lag)
        ):
            return False
        return not self._site.script.hides(_subject(fal_request), since_end)

    def _item(self, fal_request: FalRequest, payloads: bool) -> dict[str, Any]:
        assert fal_request.outcome is not None
        assert fal_request.ended_at is not None
        item: dict[str, Any] = {
            "request_id": fal_request.request_id,
            "endpoint_id": self._site.script.alias(_subject(fal_request))
            or fal_request.endpoint_id,
            "sent_at": fal_request.accepted_at.isoformat(),
            "started_at": (fal_request.started_at or fal_request.ended_at).isoformat(),
            "ended_at": fal_request.ended_at.isoformat(),
            "status_code": fal_request.outcome.http_status,
            "duration": fal_request.inference_seconds,
        }
        if payloads:
            item["json_input"] = fal_request.payload if fal_request.stored else None
            item["json_output"] = self._output(fal_request) if fal_request.stored else None
        return item

    def _output(self, fal_request: FalRequest) -> Any:
        assert fal_request.outcome is not None
        file = self._site.storage.find(fal_request.video_path)
        if file is None:
            return fal_request.outcome.body
        return {
            "video": {
                "url": self._site.address(Host.CDN_B, file.path),
                "content_type": file.content_type,
                "file_name": "output.mp4",
                "file_size": file.size,
            }
        }

    async def pricing(self, request: web.Request) -> web.StreamResponse:
        """List unit prices."""
        site = self._site
        site.ledger.calls["pricing"] += 1
        account = account_of(request)
        facts: dict[str, Any] = {"call": "pricing"}

        def act() -> Answer:
            if account is None:
                return _unauthorized()
            requested = _endpoint_ids(request)
            unknown = [name for name in requested if name not in catalog.ENDPOINTS]
            if unknown:
                return _failure(404, "not_found", f"Endpoint not found: {', '.join(unknown)}")
            prices = [
                catalog.pricing(endpoint)
                for endpoint in catalog.ENDPOINTS.values()
                if endpoint.id in requested or not requested
            ]
            return json_answer({"prices": prices, "next_cursor": None, "has_more": False})

        plan = site.script.plan(Call.PRICING, Subject(account=account or ""))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        site.ledger.note(EventName.PRICING_READ, http_status=played.http_status, **facts)
        return played.response

    async def schema(self, request: web.Request) -> web.StreamResponse:
        """Return an endpoint's OpenAPI document; needs no key."""
        site = self._site
        site.ledger.calls["schema"] += 1
        endpoint = catalog.ENDPOINTS.get(request.query.get("endpoint_id", ""))
        answer = (
            refusal(404, "Endpoint not found")
            if endpoint is None
            else json_answer(openapi(endpoint))
        )
        keyed = "Authorization" in request.headers
        site.ledger.note(EventName.SCHEMA_READ, http_status=answer.status, keyed=keyed)
        return (await send(request, answer)).response


def _subject(fal_request: FalRequest) -> Subject:
    return Subject(
        account=fal_request.account,
        request_id=fal_request.request_id,
        endpoint_id=fal_request.endpoint_id,
        prompt=fal_request.prompt,
    )


def _endpoint_ids(request: web.Request) -> list[str]:
    return [
        name
        for entry in request.query.getall("endpoint_id", [])
        for name in entry.split(",")
        if name
    ]


def _failure(status: int, kind: str, message: str) -> Answer:
    return json_answer({"error": {"type": kind, "message": message}}, status)


def _unauthorized() -> Answer:
    return _failure(401, "authorization_error", "Authentication required")


def _bad_request(message: str) -> Answer:
    return _failure(400, "validation_error", message)


def _instant(text: str | None, default: datetime) -> datetime:
    if text is None:
        return default
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"ended:{position}".encode()).decode()


def _position(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        return int(text.removeprefix("ended:"))
    except (binascii.Error, ValueError):
        raise ValueError(f"cursor {cursor!r} is not valid") from None
