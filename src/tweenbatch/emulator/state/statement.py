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
    for found in requests:
        same[found.fingerprint].append(found.request_id)
        states[found.state] += 1
        if found.phase is not RequestPhase.COMPLETED:
            in_flight += found.price_usd
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
    shown["accepted"] = [_accepted(site, found) for found in requests]
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


def _accepted(site: Site, found: FalRequest) -> dict[str, Any]:
    outcome = found.outcome
    file = site.storage.find(found.video_path)
    return {
        "request_id": found.request_id,
        "endpoint_id": found.endpoint_id,
        "account": found.account,
        "at": found.accepted_at.isoformat(),
        "input": found.payload,
        "fingerprint": found.fingerprint,
        "state": found.state,
        "started_at": _written(found.started_at),
        "ended_at": _written(found.ended_at),
        "price_usd": _usd(found.price_usd),
        "billed_usd": _usd(outcome.billed_usd if outcome else Decimal(0)),
        "http_status": outcome.http_status if outcome else None,
        "error_type": outcome.error_type if outcome else None,
        "cancel_asked": found.cancel_asked,
        "status_reads": found.status_reads,
        "result_reads": found.result_reads,
        "video": None
        if file is None
        else {"path": file.path, "bytes": file.size, "sha256": file.sha256},
    }


def _usd(amount: Decimal) -> str:
    return f"{amount:.2f}" if amount == round(amount, 2) else str(amount)


def _written(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
