"""``rest.fal.ai`` and ``v3.fal.media``: upload tokens and uploads."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, json_answer, play, refusal
from tweenbatch.emulator.faults.script import Subject
from tweenbatch.emulator.faults.vocabulary import Call, Vanish
from tweenbatch.emulator.site import Site, account_of, unauthorized
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.ledger import EventName

TOKEN_LIFE = timedelta(hours=1)
_TOKEN_MARK = "emulated"  # noqa: S105 - no secret


class StorageApi:
    """Handlers of the storage. A token names its account and expiry, so none is stored."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the hosts' paths."""
        return [
            web.post(f"/{Host.REST}/storage/auth/token", self.token),
            web.post(f"/{Host.CDN}/files/upload", self.upload),
            web.post(f"/{Host.CDN_B}/files/upload", self.upload),
        ]

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Issue a token for uploads."""
        site = self._site
        await request.read()
        site.ledger.calls["token"] += 1
        account = account_of(request)
        facts: dict[str, Any] = {"call": "token"}

        def act() -> Answer:
            if account is None:
                return unauthorized()
            expires_at = site.ledger.now() + TOKEN_LIFE
            return json_answer(
                {
                    "token": f"{_TOKEN_MARK}.{account}.{int(expires_at.timestamp())}",
                    "token_type": "Bearer",
                    "base_url": site.address(Host.CDN, ""),
                    "expires_at": expires_at.isoformat(),
                }
            )

        plan = site.script.plan(Call.TOKEN, Subject(account=account or ""))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        site.ledger.note(EventName.TOKEN_ISSUED, http_status=played.http_status, **facts)
        return played.response

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Store the bytes under a new URL; the same bytes sent twice get two URLs."""
        site = self._site
        data = await request.read()
        site.ledger.calls["upload"] += 1
        account = token_owner(request, now=site.ledger.now())
        facts: dict[str, Any] = {"call": "upload", "bytes": len(data)}

        def act() -> Answer:
            if account is None:
                return refusal(401, "Invalid or expired token")
            name = request.headers.get("X-Fal-File-Name", "upload.bin")
            file = site.storage.name(
                StoredFile(
                    path=site.names.path(name),
                    sha256=site.storage.keep(data),
                    size=len(data),
                    content_type=request.content_type,
                )
            )
            facts.update(path=file.path, sha256=file.sha256)
            if plan.action is not None and isinstance(plan.action.fault, Vanish):
                site.storage.expire(file.path, 404)
            return json_answer({"access_url": site.address(Host.CDN, file.path)})

        plan = site.script.plan(Call.UPLOAD, Subject(account=account or ""))
        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        if "path" in facts:
            site.ledger.note(EventName.UPLOADED, **facts)
        name = EventName.REPLY_SENT if played.sent else EventName.REPLY_LOST
        site.ledger.note(name, http_status=played.http_status, **facts)
        return played.response


def token_owner(request: web.Request, *, now: datetime) -> str | None:
    """Return the account of a call's file token, or None without a valid one."""
    token = request.headers.get("Authorization", "").partition(" ")[2].strip()
    mark, _, rest = token.partition(".")
    account, _, expires = rest.partition(".")
    if mark != _TOKEN_MARK or not expires.isdigit():
        return None
    return account if now.timestamp() < int(expires) else None
