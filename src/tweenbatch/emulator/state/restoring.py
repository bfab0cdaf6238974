"""Goes on from the journal of an earlier process on the same folder."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.files import StoredFile
from tweenbatch.emulator.state.ledger import EventName, Post, PostReply
from tweenbatch.emulator.state.requests import FalRequest, RequestOutcome, RequestPhase


def restore(site: Site) -> list[FalRequest]:
    """Take over files, submissions and outcomes; return the requests still to be worked off."""
    open_requests: dict[str, FalRequest] = {}
    for entry in site.journal.read():
        match entry.pop("kind"):
            case "file":
                site.storage.restore(StoredFile(**entry))
            case "refused":
                site.ledger.posts.append(_post(entry["post"]))
            case "accepted":
                site.ledger.posts.append(_post(entry["post"]))
                found = _request(entry)
                open_requests[found.request_id] = found
            case "ended":
                found = open_requests.pop(entry["request_id"])
                _finish(found, entry)
                site.queue.restore_ended(found)
    return list(open_requests.values())


def resume(site: Site, unfinished: list[FalRequest]) -> None:
    """Queue again what was not finished, without accepting it a second time."""
    for found in unfinished:
        site.queue.requests[found.request_id] = found
        site.ledger.note(EventName.RESTORED, request_id=found.request_id)
        site.queue.enqueue(found)


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


def _finish(found: FalRequest, facts: dict[str, Any]) -> None:
    found.phase = RequestPhase.COMPLETED
    started = facts["started_at"]
    found.started_at = datetime.fromisoformat(started) if started else None
    found.ended_at = datetime.fromisoformat(facts["ended_at"])
    found.inference_seconds = facts["inference_seconds"]
    found.outcome = RequestOutcome.unpacked(facts["outcome"])
    found.video_path = found.outcome.video_path
