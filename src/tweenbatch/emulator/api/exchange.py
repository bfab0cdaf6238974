"""Send answers, and play faults on them; only this module manipulates connections."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tweenbatch.emulator.faults.script import ActiveFault, FaultScript
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
"""Interval at which an unanswered call checks whether its client is still connected."""

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
    """The true answer to a call, before any fault."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Played:
    """How a call ended: the response, and whether the client got the true answer."""

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
    """Wait for the delays and holds before or after a call's effect."""
    for active in plan.pauses:
        fault = active.fault
        if not isinstance(fault, Hold | Delay) or fault.at is not at:
            continue
        if isinstance(fault, Delay):
            await asyncio.sleep(fault.seconds)
        elif fault.after_bytes is None:
            await hold(active, ledger, facts)


async def hold(active: ActiveFault, ledger: Ledger, facts: Mapping[str, Any]) -> None:
    """Wait at a named point until it is released."""
    if active.gate.is_set():
        return
    active.held += 1
    point = active.fault.point
    ledger.note(EventName.HELD, fault=active.id, point=point, **facts)
    try:
        await active.gate.wait()
    finally:
        active.held -= 1
    ledger.note(EventName.RELEASED, fault=active.id, point=point, **facts)


async def play(
    request: web.Request,
    plan: FaultScript,
    act: Callable[[], Answer | Awaitable[Answer]],
    *,
    ledger: Ledger,
    facts: dict[str, Any],
) -> Played:
    """Let a call take effect and answer it, unless a fault prevents either.

    ``facts`` are written into the events; ``act`` may add to them.
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
    fault = plan.action.fault if plan.action else None
    substitute = (
        fault if isinstance(fault, ReplyFault | Reset | Close | Hang | Lock | Deny) else None
    )
    await pause(plan, At.ARRIVAL, ledger, facts)
    if substitute is not None and substitute.at is At.ARRIVAL:
        note_fault(ledger, substitute, facts)
        return await _answer_with(request, substitute)
    acted = act()
    answer = acted if isinstance(acted, Answer) else await acted
    await pause(plan, At.REPLY, ledger, facts)
    if fault is not None:
        note_fault(ledger, fault, facts)
    if substitute is not None:
        return await _answer_with(request, substitute)
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


def note_fault(ledger: Ledger, fault: Fault, facts: Mapping[str, Any]) -> None:
    """Record that a fault was played."""
    ledger.note(EventName.FAULT_PLAYED, fault=fault.id, do=fault.do, point=fault.point, **facts)


async def _answer_with(
    request: web.Request, fault: ReplyFault | Reset | Close | Hang | Lock | Deny
) -> Played:
    match fault:
        case ReplyFault():
            played = await send(request, scripted_answer(request, fault))
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
            await _client_gone(request)
    return Played(web.Response(), False, None, f"{fault.do} at {fault.at}")


async def _client_gone(request: web.Request) -> None:
    # aiohttp 3 does not notify a handler when its client disconnects.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(GONE_SECONDS)


def scripted_answer(request: web.Request, fault: ReplyFault) -> Answer:
    """Return the fault's answer, which replaces the true one."""
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
    """Send a whole answer; ``sent`` is False if the client has disconnected."""
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
    """Announce the whole answer, send its first bytes and close the connection."""
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
    """Close the connection after sending all written data."""
    if request.transport is not None:
        request.transport.close()


def _changed(answer: Answer, change: Change) -> Answer:
    data = json.loads(answer.body)
    for path, value in change.set.items():
        *parents, last = path.split(".")
        node = data
        for name in parents:
            node = _child(node, name) if isinstance(node, list) else node.setdefault(name, {})
        node[last] = value
    for path in change.drop:
        *parents, last = path.split(".")
        node = data
        for name in parents:
            node = _child(node, name)
        node.pop(last, None)
    headers = {**answer.headers, **change.headers}
    return json_answer(data, change.status or answer.status, headers)


def _child(node: Any, name: str) -> Any:
    """Return the field of an object, or the item of a list, with that name or index."""
    if isinstance(node, list):
        return node[int(name)] if int(name) < len(node) else {}
    return node.get(name) or {}
