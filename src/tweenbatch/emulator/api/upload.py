"""Uploads of fal's JavaScript client: first get an upload URL, then send the bytes to it.

The URL itself permits writing one file for an hour; no key goes to the CDN. An incomplete upload is
lost when the emulator ends.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, json_answer, play, refusal
from tweenbatch.emulator.api.storage import TOKEN_LIFE
from tweenbatch.emulator.faults.script import Subject
from tweenbatch.emulator.faults.vocabulary import Call, Vanish
from tweenbatch.emulator.site import Site, account_of, unauthorized
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.ledger import EventName

MAX_PARTS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Upload:
    """An open upload URL; ``parts`` is None if the file is sent whole."""

    path: str
    content_type: str
    account: str
    expires_at: datetime
    parts: dict[int, bytes] | None = field(repr=False)


class UploadApi:
    """Handlers of uploads to an upload URL."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._open: dict[str, _Upload] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the hosts' paths."""
        start = f"/{Host.REST}/storage/upload"
        address = f"/{Host.CDN}/upload/{{right}}"
        return [
            web.post(f"{start}/initiate", self.initiate),
            web.post(f"{start}/initiate-multipart", self.initiate_in_parts),
            web.put(address, self.put),
            web.put(f"{address}/{{number:\\d{{1,9}}}}", self.put_part),
            web.post(f"{address}/complete", self.complete),
        ]

    async def initiate(self, request: web.Request) -> web.StreamResponse:
        """Return an upload URL for a whole file, and the file's future URL."""
        return await self._initiate(request, in_parts=False)

    async def initiate_in_parts(self, request: web.Request) -> web.StreamResponse:
        """Return an upload URL for a file in parts."""
        return await self._initiate(request, in_parts=True)

    async def _initiate(self, request: web.Request, *, in_parts: bool) -> web.StreamResponse:
        site = self._site
        body = await request.read()
        site.ledger.calls["initiate"] += 1
        account = account_of(request)
        facts: dict[str, Any] = {"call": "initiate"}

        def act() -> Answer:
            if account is None:
                return unauthorized()
            fields = _object(body)
            if request.query.get("storage_type") != "fal-cdn-v3":
                return refusal(422, "storage_type: expected fal-cdn-v3")
            if not all(isinstance(fields.get(name), str) for name in ("content_type", "file_name")):
                return refusal(422, "expected content_type and file_name")
            upload = _Upload(
                path=site.names.path(fields["file_name"]),
                content_type=fields["content_type"],
                account=account,
                expires_at=site.ledger.now() + TOKEN_LIFE,
                parts={} if in_parts else None,
            )
            facts["path"] = upload.path
            return json_answer(
                {
                    "upload_url": site.address(Host.CDN, f"/upload/{self._opened(upload)}"),
                    "file_url": site.address(Host.CDN, upload.path),
                }
            )

        plan = site.script.plan(Call.INITIATE, Subject(account=account or ""))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        site.ledger.note(EventName.UPLOAD_INITIATED, http_status=played.http_status, **facts)
        return played.response

    def _opened(self, upload: _Upload) -> str:
        now = self._site.ledger.now()
        self._open = {name: each for name, each in self._open.items() if now < each.expires_at}
        right = self._site.names.request_id()
        self._open[right] = upload
        return right

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Store a whole file."""
        data = await request.read()

        def act(upload: _Upload, facts: dict[str, Any]) -> Answer:
            if upload.parts is not None:
                return refusal(400, "this upload comes in parts")
            self._keep(upload, request.content_type, data, facts)
            return Answer(content_type="text/plain", headers={"ETag": _etag(data)})

        return await self._write(request, act, size=len(data))

    async def put_part(self, request: web.Request) -> web.StreamResponse:
        """Store one part; a part sent again replaces the earlier one."""
        data = await request.read()
        number = int(request.match_info["number"])

        def act(upload: _Upload, facts: dict[str, Any]) -> Answer:
            if upload.parts is None or not 1 <= number <= MAX_PARTS:
                return refusal(400, f"there is no part {number} in this upload")
            upload.parts[number] = data
            facts["part"] = number
            return json_answer({"partNumber": number, "etag": _etag(data)})

        return await self._write(request, act, size=len(data))

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Join the parts, if the list in the request matches the parts received."""
        body = await request.read()

        def act(upload: _Upload, facts: dict[str, Any]) -> Answer:
            parts = sorted((upload.parts or {}).items())
            sent = [{"partNumber": number, "etag": _etag(data)} for number, data in parts]
            if not sent or _object(body).get("parts") != sent:
                return refusal(400, "the listed parts differ from the parts received")
            whole = b"".join(data for _, data in parts)
            self._keep(upload, upload.content_type, whole, facts)
            self._open.pop(request.match_info["right"], None)
            return json_answer({})

        return await self._write(request, act)

    async def _write(
        self,
        request: web.Request,
        act: Callable[[_Upload, dict[str, Any]], Answer],
        *,
        size: int = 0,
    ) -> web.StreamResponse:
        site = self._site
        site.ledger.calls["upload"] += 1
        facts: dict[str, Any] = {"call": "upload", "bytes": size}
        upload = self._open.get(request.match_info["right"])
        if upload is not None and upload.expires_at <= site.ledger.now():
            upload = None

        def take() -> Answer:
            if upload is None:
                return refusal(403, "Invalid or expired upload URL")
            answer = act(upload, facts)
            if plan.action is not None and isinstance(plan.action.fault, Vanish):
                site.storage.expire(upload.path, 404)
            return answer

        plan = site.script.plan(
            Call.UPLOAD, Subject(account="" if upload is None else upload.account)
        )
        played = await play(request, plan, take, ledger=site.ledger, facts=facts)
        if "path" in facts:
            site.ledger.note(EventName.UPLOADED, **facts)
        name = EventName.REPLY_SENT if played.sent else EventName.REPLY_LOST
        site.ledger.note(name, http_status=played.http_status, **facts)
        return played.response

    def _keep(self, upload: _Upload, content_type: str, data: bytes, facts: dict[str, Any]) -> None:
        storage = self._site.storage
        file = storage.name(
            StoredFile(
                path=upload.path,
                sha256=storage.keep(data),
                size=len(data),
                content_type=content_type,
            )
        )
        facts.update(path=file.path, sha256=file.sha256, bytes=file.size)


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
