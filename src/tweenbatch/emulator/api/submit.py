"""``queue.fal.run`` and ``fal.run``: submissions, the calls that cost money."""

import json
from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from tweenbatch.emulator.addresses import Host, file_name
from tweenbatch.emulator.api.exchange import Answer, Played, json_answer, play, refusal
from tweenbatch.emulator.api.results import replayed
from tweenbatch.emulator.api.webhooks import Webhooks, unfit
from tweenbatch.emulator.faults.script import Subject
from tweenbatch.emulator.faults.vocabulary import Call
from tweenbatch.emulator.model import catalog
from tweenbatch.emulator.site import Site, account_of, request_id_header, request_urls, unauthorized
from tweenbatch.emulator.state.ledger import EventName, Post, PostReply
from tweenbatch.emulator.state.requests import FalRequest, RequestPhase, fingerprint

_START_TIMEOUT_HEADERS = ("X-Fal-Request-Start-Timeout", "X-Fal-Request-Timeout")


class SubmitApi:
    """Handlers of submissions: ``submit`` answers with a handle, ``run`` with the output."""

    def __init__(self, site: Site, webhooks: Webhooks) -> None:
        self._site = site
        self._webhooks = webhooks

    def routes(self) -> list[web.RouteDef]:
        """Return the routes under the hosts' paths."""
        return [
            web.post(f"/{Host.QUEUE}/{{endpoint:.+}}", self.submit),
            web.post(f"/{Host.RUN}/{{endpoint:.+}}", self.run),
        ]

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Accept any input: it is checked only when the work starts."""
        return await self._take(request, "submit", webhook_url=request.query.get("fal_webhook"))

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Accept in the same way, and answer with the output at the end of the work.

        A client that disconnects before has no handle and pays; unverified: whether fal ends such a
        request. The request waits for a slot like all others.
        """
        return await self._take(request, "run")

    async def _take(
        self, request: web.Request, call: str, *, webhook_url: str | None = None
    ) -> web.StreamResponse:
        site = self._site
        body = await request.read()
        site.ledger.calls[call] += 1
        endpoint_id = request.match_info["endpoint"]
        account = account_of(request)
        try:
            payload = json.loads(body)
        except ValueError:
            payload = body[:4000].decode(errors="replace")
            refused: Answer | None = refusal(
                422, [{"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid"}]
            )
        else:
            refused = None
        post = site.ledger.post_arrived(
            account=account or "", endpoint_id=endpoint_id, payload=payload
        )
        app = "/".join(endpoint_id.split("/")[:2])
        if account is None:
            refused = unauthorized()
        elif app not in catalog.APPS:
            refused = refusal(404, f"Application '{app}' not found")
        elif webhook_url is not None and (trouble := unfit(webhook_url, request.remote)):
            refused = refusal(422, trouble)
        prompt = str(payload.get("prompt", "")) if isinstance(payload, dict) else ""
        plan = site.script.plan(
            Call.SUBMIT,
            Subject(account=account or "", endpoint_id=endpoint_id, prompt=prompt),
        )
        post.faults = plan.fault_ids
        facts: dict[str, Any] = {"call": call, "post": post.n}

        async def outcome(accepted: FalRequest) -> Answer:
            await accepted.ended()
            return replayed(site, accepted)

        def act() -> Answer | Awaitable[Answer]:
            if refused is not None or account is None:
                return refused or unauthorized()
            accepted = self._accept(request, post, account, webhook_url)
            facts["request_id"] = accepted.request_id
            if call == "run":
                return outcome(accepted)
            self._webhooks.watch(accepted)
            return json_answer(_handle(site, accepted), headers=request_id_header(accepted))

        played = await play(request, plan, act, ledger=site.ledger, facts=facts)
        self._close_post(post, played, facts)
        return played.response

    def _accept(
        self, request: web.Request, post: Post, account: str, webhook_url: str | None
    ) -> FalRequest:
        site = self._site
        request_id = site.names.request_id()
        while request_id in site.queue.requests:
            request_id = site.names.request_id()
        endpoint = catalog.ENDPOINTS.get(post.endpoint_id)
        payload = post.input
        accepted = FalRequest(
            request_id=request_id,
            account=account,
            endpoint_id=post.endpoint_id,
            app="/".join(post.endpoint_id.split("/")[:2]),
            payload=payload,
            fingerprint=fingerprint(account, post.endpoint_id, self._canonical(payload)),
            price_usd=endpoint.price_usd(payload if isinstance(payload, dict) else {})
            if endpoint
            else next(iter(catalog.ENDPOINTS.values())).price_usd({}),
            accepted_at=site.ledger.now(),
            stored=request.headers.get("X-Fal-Store-IO") != "0",
            start_within_seconds=_start_timeout(request),
            webhook_url=webhook_url,
        )
        post.request_id = request_id
        site.queue.accept(accepted, post.shown())
        return accepted

    def _canonical(self, value: Any) -> Any:
        """Return an input with the URLs of stored files replaced by their digests."""
        if isinstance(value, dict):
            return {key: self._canonical(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._canonical(item) for item in value]
        if isinstance(value, str) and value.startswith("http"):
            file = self._site.storage.find(file_name(value))
            return value if file is None else f"sha256:{file.sha256}"
        return value

    def _close_post(self, post: Post, played: Played, facts: dict[str, Any]) -> None:
        site = self._site
        post.effect = played.effect
        post.http_status = played.http_status
        post.reply = PostReply.SENT if played.sent else PostReply.LOST
        if post.request_id is None:
            site.journal.write("refused", post=post.shown())
            site.ledger.note(EventName.REFUSED, http_status=played.http_status, **facts)
        name = EventName.REPLY_SENT if played.sent else EventName.REPLY_LOST
        site.ledger.note(name, http_status=played.http_status, **facts)


def _handle(site: Site, accepted: FalRequest) -> dict[str, Any]:
    waiting = accepted.phase is RequestPhase.IN_QUEUE
    return {
        "status": RequestPhase.IN_QUEUE.value,
        **request_urls(site, accepted),
        "gateway_request_id": accepted.request_id,
        "logs": None,
        "metrics": {},
        "queue_position": site.queue.position(accepted) if waiting else 0,
    }


def _start_timeout(request: web.Request) -> float | None:
    for name in _START_TIMEOUT_HEADERS:
        try:
            return float(request.headers[name])
        except (KeyError, ValueError):
            continue
    return None
