"""``queue.fal.run``: status, stream, result, cancel."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, json_answer, play, refusal, send
from tweenbatch.emulator.api.results import replayed
from tweenbatch.emulator.faults.script import Subject
from tweenbatch.emulator.faults.vocabulary import Call, MixUp
from tweenbatch.emulator.site import Site, account_of, request_id_header, request_urls, unauthorized
from tweenbatch.emulator.state.ledger import EventName
from tweenbatch.emulator.state.requests import FalRequest, RequestPhase

STREAM_COMMENT_SECONDS = 15.0
_TRUE = frozenset({"1", "true", "True"})


class QueueApi:
    """Handlers of the queue's host."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the host's path."""
        one = f"/{Host.QUEUE}/{{app:.+?}}/requests/{{request_id}}"
        return [
            web.get(f"{one}/status/stream", self.stream),
            web.get(f"{one}/status", self.status),
            web.put(f"{one}/cancel", self.cancel),
            web.get(one, self.result),
        ]

    def _find(self, request: web.Request) -> tuple[str | None, FalRequest | None]:
        account = account_of(request)
        fal_request = self._site.queue.requests.get(request.match_info["request_id"])
        app = "/".join(request.match_info["app"].split("/")[:2])
        if fal_request is not None and (fal_request.account != account or fal_request.app != app):
            fal_request = None
        return account, fal_request

    def _subject(self, request: web.Request, account: str | None) -> Subject:
        request_id = request.match_info["request_id"]
        fal_request = self._site.queue.requests.get(request_id)
        return Subject(
            account=account or "",
            request_id=request_id,
            endpoint_id=fal_request.endpoint_id if fal_request else "",
            prompt=fal_request.prompt if fal_request else "",
        )

    async def _read(
        self,
        request: web.Request,
        call: Call,
        event: EventName,
        answer: Callable[[web.Request, FalRequest], Answer],
    ) -> web.StreamResponse:
        site = self._site
        site.ledger.calls[call.value] += 1
        account, fal_request = self._find(request)
        facts: dict[str, Any] = {
            "call": call.value,
            "request_id": request.match_info["request_id"],
        }

        def act() -> Answer:
            if account is None:
                return unauthorized()
            if fal_request is None:
                return json_answer({"detail": "Request not found", "status": "NOT_FOUND"}, 404)
            if plan.action is not None and isinstance(plan.action.fault, MixUp):
                return self._mixed_up(request, fal_request, plan.action.fault, answer)
            return answer(request, fal_request)

        plan = site.script.plan(call, self._subject(request, account))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        if fal_request is not None or event is not EventName.STATUS_READ:
            site.ledger.note(
                event,
                http_status=played.http_status,
                sent=played.sent,
                effect=played.effect,
                **facts,
            )
        return played.response

    def _mixed_up(
        self,
        request: web.Request,
        fal_request: FalRequest,
        fault: MixUp,
        answer: Callable[[web.Request, FalRequest], Answer],
    ) -> Answer:
        others = (
            each
            for each in reversed(self._site.queue.ended)
            if each is not fal_request and each.account == fal_request.account
        )
        other = next(others, fal_request)
        wrong = answer(request, other)
        named = other if fault.named == "other" else fal_request
        return replace(wrong, headers={**wrong.headers, **request_id_header(named)})

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Return a request's status."""
        return await self._read(request, Call.STATUS, EventName.STATUS_READ, self._status)

    async def result(self, request: web.Request) -> web.StreamResponse:
        """Return the model's answer."""
        return await self._read(request, Call.RESULT, EventName.RESULT_READ, self._result)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Cancel a request that has not started."""
        return await self._read(request, Call.CANCEL, EventName.CANCEL_ASKED, self._cancel)

    def _status(self, request: web.Request, fal_request: FalRequest) -> Answer:
        fal_request.status_reads += 1
        logs = request.query.get("logs") in _TRUE
        http_status = 200 if fal_request.phase is RequestPhase.COMPLETED else 202
        return json_answer(
            self._shown(fal_request, logs), http_status, request_id_header(fal_request)
        )

    def _shown(self, fal_request: FalRequest, logs: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "status": fal_request.phase.value,
            **request_urls(self._site, fal_request),
            "logs": list(fal_request.logs) if logs else None,
            "metrics": {},
        }
        if fal_request.phase is RequestPhase.IN_QUEUE:
            shown["queue_position"] = self._site.queue.position(fal_request)
        if fal_request.phase is RequestPhase.COMPLETED:
            assert fal_request.outcome is not None
            shown["metrics"] = {"inference_time": round(fal_request.inference_seconds, 6)}
            if fal_request.outcome.error is not None and fal_request.outcome.announced:
                shown["error"] = fal_request.outcome.error
                if fal_request.outcome.error_type is not None:
                    shown["error_type"] = fal_request.outcome.error_type
        return shown

    def _result(self, _request: web.Request, fal_request: FalRequest) -> Answer:
        fal_request.result_reads += 1
        return replayed(self._site, fal_request)

    def _cancel(self, _request: web.Request, fal_request: FalRequest) -> Answer:
        if fal_request.phase is RequestPhase.COMPLETED:
            return json_answer({"status": "ALREADY_COMPLETED"}, 400, request_id_header(fal_request))
        self._site.queue.cancel(fal_request)
        return json_answer(
            {"status": "CANCELLATION_REQUESTED"}, 202, request_id_header(fal_request)
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the status after each change as server-sent events, until the end."""
        site = self._site
        site.ledger.calls["stream"] += 1
        account, fal_request = self._find(request)
        if account is None:
            return (await send(request, unauthorized())).response
        if fal_request is None:
            return (await send(request, refusal(404, "Request not found"))).response
        logs = request.query.get("logs") in _TRUE
        response = web.StreamResponse(
            headers={
                **request_id_header(fal_request),
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
            }
        )
        changed = asyncio.Event()
        fal_request.watchers.add(changed)
        try:
            await response.prepare(request)
            while True:
                changed.clear()
                data = json.dumps(self._shown(fal_request, logs))
                await response.write(f"data: {data}\n\n".encode())
                if fal_request.phase is RequestPhase.COMPLETED:
                    break
                while not changed.is_set():
                    try:
                        async with asyncio.timeout(STREAM_COMMENT_SECONDS):
                            await changed.wait()
                    except TimeoutError:
                        await response.write(b": ping\n\n")
            await response.write_eof()
        finally:
            fal_request.watchers.discard(changed)
        return response
