"""A request as fal stores it: its input, its state, its outcome."""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class RequestPhase(StrEnum):
    """The three states that fal knows."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOutcome:
    """How a request ended. ``body`` is the body of the result; None means the video.

    An error that is not ``announced`` appears only in the result, not in the status.
    """

    http_status: int = 200
    body: dict[str, Any] | None = None
    error: str | None = None
    error_type: str | None = None
    announced: bool = True
    retryable: bool | None = None
    timeout_type: str | None = None
    billed_usd: Decimal = Decimal(0)
    video_path: str | None = None

    def packed(self) -> dict[str, Any]:
        """Return the outcome as JSON."""
        return {
            "http_status": self.http_status,
            "body": self.body,
            "error": self.error,
            "error_type": self.error_type,
            "announced": self.announced,
            "retryable": self.retryable,
            "timeout_type": self.timeout_type,
            "billed_usd": str(self.billed_usd),
            "video_path": self.video_path,
        }

    @classmethod
    def unpacked(cls, facts: dict[str, Any]) -> "RequestOutcome":
        """Return the outcome from the JSON of ``packed``."""
        return cls(**{**facts, "billed_usd": Decimal(facts["billed_usd"])})


@dataclass(slots=True, kw_only=True, eq=False)
class FalRequest:
    """One accepted submission."""

    request_id: str
    account: str
    endpoint_id: str
    app: str
    payload: Any
    fingerprint: str
    price_usd: Decimal
    accepted_at: datetime
    stored: bool = True
    start_within_seconds: float | None = None
    webhook_url: str | None = None
    phase: RequestPhase = RequestPhase.IN_QUEUE
    ticket: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    began: float = 0.0
    inference_seconds: float = 0.0
    logs: list[dict[str, Any]] = field(default_factory=list)
    outcome: RequestOutcome | None = None
    video_path: str | None = None
    cancel_asked: bool = False
    status_reads: int = 0
    result_reads: int = 0
    watchers: set[asyncio.Event] = field(default_factory=set)

    @property
    def prompt(self) -> str:
        """Return the prompt, or an empty text."""
        return str(self.payload.get("prompt", "")) if isinstance(self.payload, dict) else ""

    @property
    def state(self) -> str:
        """Return the state in the ledger's terms, which separate success from failure."""
        if self.outcome is None:
            return self.phase.value
        if self.outcome.error_type == "client_cancelled":
            return "CANCELLED"
        return "COMPLETED" if self.outcome.http_status < 400 else "FAILED"  # noqa: PLR2004 - HTTP

    def log(self, at: datetime, message: str) -> None:
        """Add a line to the model's log."""
        self.logs.append(
            {
                "message": message,
                "level": "INFO",
                "source": "USER",
                "timestamp": at.isoformat(),
                "labels": {},
            }
        )

    def changed(self) -> None:
        """Wake the callers that follow the status."""
        for watcher in self.watchers:
            watcher.set()

    async def ended(self) -> RequestOutcome:
        """Wait for the end and return the outcome."""
        changed = asyncio.Event()
        self.watchers.add(changed)
        try:
            while self.outcome is None:
                await changed.wait()
                changed.clear()
        finally:
            self.watchers.discard(changed)
        return self.outcome


def fingerprint(account: str, endpoint_id: str, payload: Any) -> str:
    """Return a digest that is equal for equivalent inputs."""
    text = json.dumps([account, endpoint_id, payload], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
