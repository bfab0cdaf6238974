"""``v3.fal.media`` and ``v3b.fal.media``: serve files, with ranges and with faults."""

import asyncio
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import (
    CLIENT_GONE,
    Played,
    close,
    hold,
    json_answer,
    note_fault,
    pause,
    play,
    refusal,
    reset,
    send,
)
from tweenbatch.emulator.api.storage import token_owner
from tweenbatch.emulator.faults.script import ActiveFault, FaultScript, Subject
from tweenbatch.emulator.faults.vocabulary import (
    At,
    Blank,
    Call,
    Drip,
    Endless,
    Expire,
    Fault,
    Framing,
    Hold,
    Range,
    RangeAnswer,
    Restrict,
    Truncate,
)
from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.ledger import EventName

CHUNK = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """The part of a file to send, with its status and headers."""

    status: int
    start: int
    stop: int
    headers: dict[str, str]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.stop - self.start


def requested_part(request: web.Request, file: StoredFile) -> FilePart:
    """Return the requested part; a Range counts only if its If-Range matches."""
    headers = {"ETag": file.etag, "Accept-Ranges": "bytes", "Content-Type": file.content_type}
    whole = FilePart(status=200, start=0, stop=file.size, headers=headers)
    requested = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if requested is None or request.headers.get("If-Range", file.etag) != file.etag:
        return whole
    first, last = requested.groups()
    if not first and not last:
        return whole
    start = int(first) if first else max(0, file.size - int(last))
    stop = min(file.size, int(last) + 1) if first and last else file.size
    if start >= stop:
        unsatisfied = {**headers, "Content-Range": f"bytes */{file.size}"}
        return FilePart(status=416, start=0, stop=0, headers=unsatisfied)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    return FilePart(status=206, start=start, stop=stop, headers=headers)


def wrong_part(part: FilePart, file: StoredFile, answer: RangeAnswer) -> FilePart:
    """Return the part that a server with wrong range support would send."""
    if part.status != 206:  # noqa: PLR2004 - partial content
        return part
    plain = {name: value for name, value in part.headers.items() if name != "Content-Range"}
    if answer is RangeAnswer.IGNORED:
        del plain["Accept-Ranges"]
        return FilePart(status=200, start=0, stop=file.size, headers=plain)
    start, stop = 0, part.size
    plain["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    return replace(part, start=start, stop=stop, headers=plain)


def pieces(path: Path, part: FilePart, size: int) -> Iterator[bytes]:
    """Yield the bytes of a part in pieces of at most ``size`` bytes."""
    with path.open("rb") as file:
        file.seek(part.start)
        left = part.size
        while left:
            piece = file.read(min(size, left))
            left -= len(piece)
            yield piece


def media_range(path: Path, from_share: float) -> range:
    """Return the byte range of an mp4's media data, from this share of it on."""
    with path.open("rb") as file:
        while head := file.read(8):
            size, kind = struct.unpack(">I4s", head)
            begin, end = file.tell(), file.tell() - 8 + size
            if kind == b"mdat":
                return range(begin + int((end - begin) * from_share), end)
            file.seek(end)
    return range(0)


def blanked(blanks: range, piece: bytes, at: int) -> bytes:
    """Return a piece of a file from position ``at``, with zeros in the blank range."""
    first = min(max(blanks.start - at, 0), len(piece))
    last = max(min(blanks.stop - at, len(piece)), first)
    return piece[:first] + bytes(last - first) + piece[last:]


class DownloadApi:
    """Handlers of the CDN. Files are public; the ledger counts requests that carry a key."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the hosts' paths."""
        return [web.get(f"/{host}/{{path:.+}}", self.download) for host in (Host.CDN, Host.CDN_B)]

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Send a file."""
        site = self._site
        site.ledger.calls["download"] += 1
        if "Authorization" in request.headers:
            site.ledger.downloads["with_credentials"] += 1
        reader = token_owner(request, now=site.ledger.now())
        file = site.storage.find("/" + request.match_info["path"])
        if file is None:
            return (await send(request, refusal(404, "File not found"))).response
        owner = site.queue.requests.get(file.request_id or "")
        subject = Subject(
            account=owner.account if owner else "",
            request_id=file.request_id or "",
            prompt=owner.prompt if owner else "",
            ranged="Range" in request.headers,
        )
        plan = site.script.plan(Call.DOWNLOAD, subject)
        if plan.action is not None and isinstance(plan.action.fault, Restrict):
            if reader is None or subject.account not in {"", reader}:
                answer = refusal(plan.action.fault.status, "You may not read this file")
                return (await send(request, answer)).response
            plan = replace(plan, action=None)
        facts = {"call": "download", "request_id": file.request_id, "path": file.path}
        site.ledger.downloaded("started", file.request_id)
        site.ledger.note(EventName.DOWNLOAD_STARTED, **facts)
        try:
            played = await self._send(request, file, plan, facts)
        except ConnectionError:
            played = Played(web.Response(), False, None, CLIENT_GONE)
        end = "finished" if played.sent else "broken"
        site.ledger.downloaded(end, file.request_id)
        name = EventName.DOWNLOAD_FINISHED if played.sent else EventName.DOWNLOAD_BROKEN
        site.ledger.note(name, http_status=played.http_status, effect=played.effect, **facts)
        return played.response

    async def _send(
        self, request: web.Request, file: StoredFile, plan: FaultScript, facts: dict[str, Any]
    ) -> Played:
        site = self._site
        action = plan.action
        fault: Fault | None = action.fault if action else None
        if isinstance(fault, Expire):
            site.storage.expire(file.path, fault.status)
        expired = site.storage.expired(file.path)
        if expired is not None:
            played = await send(request, refusal(expired, "The file has expired"))
            return Played(played.response, False, expired, "expired")
        if fault is not None and not isinstance(fault, Drip | Endless | Truncate | Range | Blank):
            # Faults without a special effect on downloads are played as on any other call.
            return await play(
                request, plan, lambda: json_answer({}), ledger=site.ledger, facts=facts
            )
        await pause(plan, At.ARRIVAL, site.ledger, facts)
        if action is not None:
            note_fault(site.ledger, action.fault, facts)
        part = requested_part(request, file)
        if isinstance(fault, Range):
            part = wrong_part(part, file, fault.answer)
        if isinstance(fault, Truncate):
            response = await self._truncated(request, file, part, fault)
            return Played(response, False, part.status, f"truncated, {fault.framing}")
        response = web.StreamResponse(status=part.status, headers=part.headers)
        if not isinstance(fault, Endless):
            response.content_length = part.size
        await response.prepare(request)
        if request.method != "HEAD":
            await self._write(response, file, part, plan, facts)
            if isinstance(fault, Endless):
                await self._write_on(response, fault)
        await response.write_eof()
        misplaced = isinstance(fault, Range) and fault.answer is RangeAnswer.WRONG
        spoiled = misplaced or isinstance(fault, Endless | Blank)
        return Played(response, not spoiled, part.status, fault.do if fault else "")

    async def _write(
        self,
        response: web.StreamResponse,
        file: StoredFile,
        part: FilePart,
        plan: FaultScript,
        facts: dict[str, Any],
    ) -> None:
        site = self._site
        fault = plan.action.fault if plan.action else None
        drip = fault if isinstance(fault, Drip) else None
        blob = site.storage.blob(file.sha256)
        blanks = media_range(blob, fault.from_share) if isinstance(fault, Blank) else range(0)
        here = part.start
        for after, gate in [*_gates(plan), (part.size, None)]:
            stop = min(part.stop, part.start + after)
            stretch = replace(part, start=here, stop=max(here, stop))
            for piece in pieces(blob, stretch, drip.bytes if drip else CHUNK):
                await response.write(blanked(blanks, piece, here))
                here += len(piece)
                site.ledger.downloaded("bytes", file.request_id, len(piece))
                if drip:
                    await asyncio.sleep(drip.seconds)
            here = stretch.stop
            if gate is not None:
                await hold(gate, site.ledger, facts)

    async def _truncated(
        self, request: web.Request, file: StoredFile, part: FilePart, fault: Truncate
    ) -> web.StreamResponse:
        site = self._site
        short = replace(part, stop=min(part.stop, part.start + fault.after_bytes))
        data = b"".join(pieces(site.storage.blob(file.sha256), short, CHUNK))
        site.ledger.downloaded("bytes", file.request_id, len(data))
        if fault.framing is Framing.CLOSE:
            return _raw(request, part, data)
        response = web.StreamResponse(status=part.status, headers=part.headers)
        if fault.framing is Framing.SHORT_LENGTH:
            response.content_length = short.size
        elif fault.framing is not Framing.CHUNKED:
            response.content_length = part.size
        await response.prepare(request)
        await response.write(data)
        match fault.framing:
            case Framing.LENGTH:
                close(request)
            case Framing.RESET:
                reset(request)
            case _:
                await response.write_eof()
        return response

    async def _write_on(self, response: web.StreamResponse, fault: Endless) -> None:
        left = fault.extra_bytes
        while left is None or left > 0:
            size = CHUNK if left is None else min(CHUNK, left)
            await response.write(bytes(size))
            self._site.ledger.downloaded("bytes", None, size)
            left = None if left is None else left - size


def _gates(plan: FaultScript) -> list[tuple[int, ActiveFault]]:
    """Return the holds within a download, in order of position."""
    return sorted(
        (
            (active.fault.after_bytes, active)
            for active in plan.pauses
            if isinstance(active.fault, Hold) and active.fault.after_bytes is not None
        ),
        key=lambda gate: gate[0],
    )


def _raw(request: web.Request, part: FilePart, data: bytes) -> web.StreamResponse:
    """Send a body that ends with the connection; aiohttp can't do this on HTTP/1.1."""
    lines = [f"HTTP/1.1 {part.status} OK", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in part.headers.items()]
    if request.transport is not None:
        request.transport.write("\r\n".join([*lines, "", ""]).encode() + data)
    close(request)
    return web.Response()
