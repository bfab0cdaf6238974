"""Build the JSON of the ledger: submissions, bills, downloads, duplicates."""

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.ledger import KEPT_EVENTS
from tweenbatch.emulator.state.requests import FalRequest, RequestPhase

CALLS = (
    "submit",
    "run",
    "status",
    "stream",
    "result",
    "cancel",
    "token",
    "initiate",
    "upload",
    "download",
    "history",
    "pricing",
    "schema",
)


def statement(site: Site, *, totals_only: bool = False) -> dict[str, Any]:
    """Return the ledger as JSON; ``totals_only`` omits the long lists."""
    ledger = site.ledger
    requests = site.queue.requests.values()
    same = defaultdict(list)
    in_flight = Decimal(0)
    states: Counter[str] = Counter()
    for fal_request in requests:
        same[fal_request.fingerprint].append(fal_request.request_id)
        states[fal_request.state] += 1
        if fal_request.phase is not RequestPhase.COMPLETED:
            in_flight += fal_request.price_usd
    groups = [group for group in same.values() if len(group) > 1]
    shown: dict[str, Any] = {
        "posts": len(ledger.posts),
        "accepted_count": len(requests),
        "states": dict(states),
        "billed_usd": _usd(ledger.billed_usd),
        "in_flight_usd": _usd(in_flight),
        "duplicate_count": sum(len(group) - 1 for group in groups),
        "duplicates": groups,
        "requests": {call: ledger.calls[call] for call in CALLS},
        "slots": site.settings.slots,
        "most_in_progress": ledger.most_in_progress,
        "busy_slot_seconds": site.queue.busy_slot_seconds(),
        "first_started_at": _written(ledger.first_started_at),
        "last_ended_at": _written(ledger.last_ended_at),
        "last_event": ledger.last,
        "events_kept": min(ledger.last, KEPT_EVENTS),
        "faults": site.script.shown(),
        "downloads": {
            key: ledger.downloads[key]
            for key in ("started", "finished", "broken", "bytes", "with_credentials")
        },
    }
    if totals_only:
        return shown
    shown["downloads"]["by_request"] = {
        request_id: dict(counts) for request_id, counts in ledger.downloads_by_request.items()
    }
    shown["accepted"] = [_accepted(site, fal_request) for fal_request in requests]
    shown["post_list"] = [post.shown() for post in ledger.posts]
    shown["uploads"] = [
        {
            "path": file.path,
            "bytes": file.size,
            "sha256": file.sha256,
            "content_type": file.content_type,
        }
        for file in site.storage.uploads()
    ]
    return shown


def _accepted(site: Site, fal_request: FalRequest) -> dict[str, Any]:
    outcome = fal_request.outcome
    file = site.storage.find(fal_request.video_path)
    return {
        "request_id": fal_request.request_id,
        "endpoint_id": fal_request.endpoint_id,
        "account": fal_request.account,
        "at": fal_request.accepted_at.isoformat(),
        "input": fal_request.payload,
        "fingerprint": fal_request.fingerprint,
        "state": fal_request.state,
        "started_at": _written(fal_request.started_at),
        "ended_at": _written(fal_request.ended_at),
        "price_usd": _usd(fal_request.price_usd),
        "billed_usd": _usd(outcome.billed_usd if outcome else Decimal(0)),
        "http_status": outcome.http_status if outcome else None,
        "error_type": outcome.error_type if outcome else None,
        "cancel_asked": fal_request.cancel_asked,
        "status_reads": fal_request.status_reads,
        "result_reads": fal_request.result_reads,
        "video": None
        if file is None
        else {"path": file.path, "bytes": file.size, "sha256": file.sha256},
    }


def _usd(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount == round(amount, 2) else str(amount)


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
