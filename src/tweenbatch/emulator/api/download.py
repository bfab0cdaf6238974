"""``v3.fal.media`` and ``v3b.fal.media``: downloads with ranges, whole or cut short."""

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
    note_deed,
    pause,
    play,
    refusal,
    reset,
    send,
)
from tweenbatch.emulator.api.storage import token_owner
from tweenbatch.emulator.faults.script import FaultScript, Live, Subject
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
class Cut:
    """What part of a file goes out, and how it is headed."""

    status: int
    start: int
    stop: int
    headers: dict[str, str]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.stop - self.start


def cut(request: web.Request, file: StoredFile) -> Cut:
    """Return what a download asks for; a range counts only if its If-Range still holds."""
    headers = {"ETag": file.etag, "Accept-Ranges": "bytes", "Content-Type": file.content_type}
    whole = Cut(status=200, start=0, stop=file.size, headers=headers)
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or request.headers.get("If-Range", file.etag) != file.etag:
        return whole
    first, last = asked.groups()
    if not first and not last:
        return whole
    start = int(first) if first else max(0, file.size - int(last))
    stop = min(file.size, int(last) + 1) if first and last else file.size
    if start >= stop:
        unsatisfied = {**headers, "Content-Range": f"bytes */{file.size}"}
        return Cut(status=416, start=0, stop=0, headers=unsatisfied)
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    return Cut(status=206, start=start, stop=stop, headers=headers)


def misled(part: Cut, file: StoredFile, answer: RangeAnswer) -> Cut:
    """Return what a server that is bad at ranges makes of a right one."""
    if part.status != 206:  # noqa: PLR2004 - partial content
        return part
    plain = {name: value for name, value in part.headers.items() if name != "Content-Range"}
    if answer is RangeAnswer.IGNORED:
        del plain["Accept-Ranges"]
        return Cut(status=200, start=0, stop=file.size, headers=plain)
    start, stop = 0, part.size
    plain["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
    return replace(part, start=start, stop=stop, headers=plain)


def pieces(path: Path, part: Cut, size: int) -> Iterator[bytes]:
    """Yield the bytes of a part, at most ``size`` at once."""
    with path.open("rb") as file:
        file.seek(part.start)
        left = part.size
        while left:
            piece = file.read(min(size, left))
            left -= len(piece)
            yield piece


def blanked(path: Path, from_share: float) -> range:
    """Return where the media data of an mp4 lies, from this share of it on."""
    with path.open("rb") as file:
        while head := file.read(8):
            size, kind = struct.unpack(">I4s", head)
            begin, end = file.tell(), file.tell() - 8 + size
            if kind == b"mdat":
                return range(begin + int((end - begin) * from_share), end)
            file.seek(end)
    return range(0)


def without(blanks: range, piece: bytes, at: int) -> bytes:
    """Return a piece of a file, which lies ``at`` there, with zeros for what is blank."""
    first = min(max(blanks.start - at, 0), len(piece))
    last = max(min(blanks.stop - at, len(piece)), first)
    return piece[:first] + bytes(last - first) + piece[last:]


class DownloadApi:
    """Handlers of the CDN. Files are public: a key that is sent along is counted as a fault."""

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
        if plan.deed is not None and isinstance(plan.deed.fault, Restrict):
            if reader is None or subject.account not in {"", reader}:
                answer = refusal(plan.deed.fault.status, "You may not read this file")
                return (await send(request, answer)).response
            plan = replace(plan, deed=None)
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
        deed = plan.deed
        fault: Fault | None = deed.fault if deed else None
        if isinstance(fault, Expire):
            site.storage.expire(file.path, fault.status)
        expired = site.storage.expired(file.path)
        if expired is not None:
            played = await send(request, refusal(expired, "The file has expired"))
            return Played(played.response, False, expired, "expired")
        if fault is not None and not isinstance(fault, Drip | Endless | Truncate | Range | Blank):
            # Without effect of its own a download is spoiled like any other call.
            return await play(
                request, plan, lambda: json_answer({}), ledger=site.ledger, facts=facts
            )
        await pause(plan, At.ARRIVAL, site.ledger, facts)
        if deed is not None:
            note_deed(site.ledger, deed.fault, facts)
        part = cut(request, file)
        if isinstance(fault, Range):
            part = misled(part, file, fault.answer)
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
        part: Cut,
        plan: FaultScript,
        facts: dict[str, Any],
    ) -> None:
        site = self._site
        fault = plan.deed.fault if plan.deed else None
        drip = fault if isinstance(fault, Drip) else None
        blob = site.storage.blob(file.sha256)
        blanks = blanked(blob, fault.from_share) if isinstance(fault, Blank) else range(0)
        here = part.start
        for after, gate in [*_gates(plan), (part.size, None)]:
            stop = min(part.stop, part.start + after)
            stretch = replace(part, start=here, stop=max(here, stop))
            for piece in pieces(blob, stretch, drip.bytes if drip else CHUNK):
                await response.write(without(blanks, piece, here))
                here += len(piece)
                site.ledger.downloaded("bytes", file.request_id, len(piece))
                if drip:
                    await asyncio.sleep(drip.seconds)
            here = stretch.stop
            if gate is not None:
                await hold(gate, site.ledger, facts)

    async def _truncated(
        self, request: web.Request, file: StoredFile, part: Cut, fault: Truncate
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


def _gates(plan: FaultScript) -> list[tuple[int, Live]]:
    """Return the holds in the middle of a download, first one first."""
    return sorted(
        (
            (live.fault.after_bytes, live)
            for live in plan.pauses
            if isinstance(live.fault, Hold) and live.fault.after_bytes is not None
        ),
        key=lambda gate: gate[0],
    )


def _raw(request: web.Request, part: Cut, data: bytes) -> web.StreamResponse:
    """Send a body that ends with the connection, which aiohttp does not offer on HTTP/1.1."""
    lines = [f"HTTP/1.1 {part.status} OK", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in part.headers.items()]
    if request.transport is not None:
        request.transport.write("\r\n".join([*lines, "", ""]).encode() + data)
    close(request)
    return web.Response()
