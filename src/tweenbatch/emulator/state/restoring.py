"""Restore the state from the journal of an earlier process on the same folder."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.ledger import EventName, Post, PostReply
from tweenbatch.emulator.state.requests import FalRequest, RequestOutcome, RequestPhase


def restore(site: Site) -> list[FalRequest]:
    """Restore files, submissions and outcomes; return the unfinished requests."""
    open_requests: dict[str, FalRequest] = {}
    for entry in site.journal.read():
        match entry.pop("kind"):
            case "file":
                site.storage.restore(StoredFile(**entry))
            case "refused":
                site.ledger.posts.append(_post(entry["post"]))
            case "accepted":
                site.ledger.posts.append(_post(entry["post"]))
                request = _request(entry)
                open_requests[request.request_id] = request
            case "ended":
                request = open_requests.pop(entry["request_id"])
                _finish(request, entry)
                site.queue.restore_ended(request)
    return list(open_requests.values())


def resume(site: Site, unfinished: list[FalRequest]) -> None:
    """Queue unfinished requests again, without accepting them a second time."""
    for request in unfinished:
        site.queue.requests[request.request_id] = request
        site.ledger.note(EventName.RESTORED, request_id=request.request_id)
        site.queue.enqueue(request)


def _post(facts: dict[str, Any]) -> Post:
    return Post(
        n=facts["n"],
        at=datetime.fromisoformat(facts["at"]),
        account=facts["account"],
        endpoint_id=facts["endpoint_id"],
        input=facts["input"],
        faults=facts["faults"],
        effect=facts["effect"],
        request_id=facts["request_id"],
        reply=PostReply.UNKNOWN,
        http_status=facts["http_status"],
    )


def _request(facts: dict[str, Any]) -> FalRequest:
    return FalRequest(
        request_id=facts["request_id"],
        account=facts["account"],
        endpoint_id=facts["endpoint_id"],
        app="/".join(facts["endpoint_id"].split("/")[:2]),
        payload=facts["payload"],
        fingerprint=facts["fingerprint"],
        price_usd=Decimal(facts["price_usd"]),
        accepted_at=datetime.fromisoformat(facts["accepted_at"]),
        stored=facts["stored"],
        start_within_seconds=facts.get("start_within_seconds"),
        webhook_url=facts.get("webhook_url"),
    )


def _finish(request: FalRequest, facts: dict[str, Any]) -> None:
    request.phase = RequestPhase.COMPLETED
    started = facts["started_at"]
    request.started_at = datetime.fromisoformat(started) if started else None
    request.ended_at = datetime.fromisoformat(facts["ended_at"])
    request.inference_seconds = facts["inference_seconds"]
    request.outcome = RequestOutcome.unpacked(facts["outcome"])
    request.video_path = request.outcome.video_path
