"""Answers on the wire, whole or spoiled: the only place that plays faults on a connection."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tweenbatch.emulator.faults.script import FaultScript, Live
from tweenbatch.emulator.faults.vocabulary import (
    At,
    Change,
    Close,
    Delay,
    Deny,
    Drip,
    Fault,
    Half,
    Hang,
    Hold,
    Lock,
    ReplyFault,
    Reset,
)
from tweenbatch.emulator.state.ledger import EventName, Ledger

CLIENT_GONE = "client gone"
GONE_SECONDS = 0.5
"""How often a call that is never answered looks whether its client is still there."""

_LINGER_ZERO = struct.pack("ii", 1, 0)

_NGINX = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n"
    "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)

_USUAL_BODIES: Mapping[int, Any] = {
    200: {},
    400: {"detail": "Bad request", "error_type": "bad_request"},
    401: {"detail": "Invalid authentication credentials"},
    403: {"detail": Lock.model_fields["message"].default},
    404: {"detail": "Not found"},
    408: {"detail": "Request timed out", "error_type": "request_timeout"},
    409: {"detail": "Conflict"},
    410: {"detail": "Gone"},
    429: {"detail": "Too many requests"},
    500: {"detail": "Internal server error", "error_type": "internal_error"},
    502: _NGINX.format("502 Bad Gateway"),
    503: _NGINX.format("503 Service Temporarily Unavailable"),
    504: _NGINX.format("504 Gateway Time-out"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server means to say."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Played:
    """How a call ended: what the client may have seen, and whether that was the true answer."""

    response: web.StreamResponse
    sent: bool
    http_status: int | None
    effect: str = ""


def json_answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return an answer in JSON."""
    return Answer(status=status, body=json.dumps(data).encode(), headers=headers or {})


def refusal(status: int, detail: Any, **more: Any) -> Answer:
    """Return an error in the form of fal's infrastructure."""
    return json_answer({"detail": detail, **more}, status)


async def pause(plan: FaultScript, at: At, ledger: Ledger, facts: Mapping[str, Any]) -> None:
    """Sit out the delays and holds of one side of a call."""
    for live in plan.pauses:
        fault = live.fault
        if not isinstance(fault, Hold | Delay) or fault.at is not at:
            continue
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        elif fault.after_bytes is None:
            await hold(live, ledger, facts)


async def hold(live: Live, ledger: Ledger, facts: Mapping[str, Any]) -> None:
    """Wait at a named point until somebody releases it."""
    if live.gate.is_set():
        return
    live.held += 1
    point = live.fault.point
    ledger.note(EventName.HELD, fault=live.id, point=point, **facts)
    try:
        await live.gate.wait()
    finally:
        live.held -= 1
    ledger.note(EventName.RELEASED, fault=live.id, point=point, **facts)


async def play(
    request: web.Request,
    plan: FaultScript,
    act: Callable[[], Answer | Awaitable[Answer]],
    *,
    ledger: Ledger,
    facts: dict[str, Any],
) -> Played:
    """Let a call take effect and answer it, as far as the faults allow.

    ``facts`` go into the events; ``act`` may add to them.
    """
    try:
        return await _play(request, plan, act, ledger, facts)
    except ConnectionError:
        return Played(web.Response(), False, None, CLIENT_GONE)


async def _play(
    request: web.Request,
    plan: FaultScript,
    act: Callable[[], Answer | Awaitable[Answer]],
    ledger: Ledger,
    facts: dict[str, Any],
) -> Played:
    fault = plan.deed.fault if plan.deed else None
    blunt = fault if isinstance(fault, ReplyFault | Reset | Close | Hang | Lock | Deny) else None
    await pause(plan, At.ARRIVAL, ledger, facts)
    if blunt is not None and blunt.at is At.ARRIVAL:
        note_deed(ledger, blunt, facts)
        return await _strike(request, blunt)
    acted = act()
    answer = acted if isinstance(acted, Answer) else await acted
    await pause(plan, At.REPLY, ledger, facts)
    if fault is not None:
        note_deed(ledger, fault, facts)
    if blunt is not None:
        return await _strike(request, blunt)
    match fault:
        case Half():
            response = await _send_part(request, answer, len(answer.body) // 2)
            return Played(response, False, answer.status, "half")
        case Drip():
            response = await _send_drip(request, answer, fault)
            return Played(response, False, answer.status, "drip")
        case Change():
            played = await send(request, _changed(answer, fault))
            return Played(played.response, False, played.http_status, "change")
        case _:
            return await send(request, answer)


def note_deed(ledger: Ledger, fault: Fault, facts: Mapping[str, Any]) -> None:
    """Write down that a fault is played."""
    ledger.note(EventName.FAULT_PLAYED, fault=fault.id, do=fault.do, point=fault.point, **facts)


async def _strike(
    request: web.Request, fault: ReplyFault | Reset | Close | Hang | Lock | Deny
) -> Played:
    match fault:
        case ReplyFault():
            played = await send(request, made_up(request, fault))
            effect = f"reply {fault.status} at {fault.at}"
            return Played(played.response, False, fault.status, effect)
        case Lock():
            played = await send(request, refusal(403, fault.message))
            return Played(played.response, False, 403, "locked")
        case Deny():
            answer = refusal(403, fault.message, error_type="authorization_error")
            played = await send(request, answer)
            return Played(played.response, False, 403, "denied")
        case Reset():
            reset(request)
        case Close():
            close(request)
        case Hang():
            await _gone(request)
    return Played(web.Response(), False, None, f"{fault.do} at {fault.at}")


async def _gone(request: web.Request) -> None:
    # aiohttp 3 tells a handler nothing when its client goes.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(GONE_SECONDS)


def made_up(request: web.Request, fault: ReplyFault) -> Answer:
    """Return the answer that a fault puts in place of the true one."""
    body = _USUAL_BODIES.get(fault.status, "") if fault.body is None else fault.body
    headers = dict(fault.headers)
    content_type = "application/json"
    for name in tuple(headers):
        if name.lower() == "content-type":
            content_type = headers.pop(name)
    if isinstance(body, str):
        if content_type == "application/json" and body.lstrip()[:1] == "<":
            content_type = "text/html"
        data = body.encode()
    else:
        data = json.dumps(body).encode()
    redirect = 300 <= fault.status < 400  # noqa: PLR2004 - the redirects of HTTP
    if redirect and not any(name.lower() == "location" for name in headers):
        headers["Location"] = f"{request.path}?redirected=1"
    return Answer(status=fault.status, body=data, content_type=content_type, headers=headers)


async def send(request: web.Request, answer: Answer) -> Played:
    """Send an answer whole; ``sent`` is false if the client had gone."""
    response = web.Response(
        status=answer.status,
        body=answer.body,
        headers={**answer.headers, "Content-Type": answer.content_type},
    )
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        return Played(response, False, None, CLIENT_GONE)
    return Played(response, True, answer.status)


async def _send_part(request: web.Request, answer: Answer, size: int) -> web.StreamResponse:
    """Announce the whole answer, send the first bytes of it and close."""
    response = _announced(answer)
    await response.prepare(request)
    await response.write(answer.body[:size])
    close(request)
    return response


async def _send_drip(request: web.Request, answer: Answer, drip: Drip) -> web.StreamResponse:
    """Send an answer in small pieces with pauses."""
    response = _announced(answer)
    await response.prepare(request)
    for start in range(0, len(answer.body), drip.bytes):
        await asyncio.sleep(drip.seconds)
        await response.write(answer.body[start : start + drip.bytes])
    await response.write_eof()
    return response


def _announced(answer: Answer) -> web.StreamResponse:
    return web.StreamResponse(
        status=answer.status,
        headers={
            **answer.headers,
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
        },
    )


def reset(request: web.Request) -> None:
    """Cut the connection with an RST."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        transport.abort()


def close(request: web.Request) -> None:
    """Close the connection after what was written has gone out."""
    if request.transport is not None:
        request.transport.close()


def _changed(answer: Answer, change: Change) -> Answer:
    data = json.loads(answer.body)
    for path, value in change.set.items():
        *parents, last = path.split(".")
        place = data
        for name in parents:
            place = _below(place, name) if isinstance(place, list) else place.setdefault(name, {})
        place[last] = value
    for path in change.drop:
        *parents, last = path.split(".")
        place = data
        for name in parents:
            place = _below(place, name)
        place.pop(last, None)
    headers = {**answer.headers, **change.headers}
    return json_answer(data, change.status or answer.status, headers)


def _below(place: Any, name: str) -> Any:
    """Return what has that name in an object, or stands at that place of a list."""
    if isinstance(place, list):
        return place[int(name)] if int(name) < len(place) else {}
    return place.get(name) or {}
