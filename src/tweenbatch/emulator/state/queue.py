"""fal's queue: accept requests, start them in order as slots become free, end them.

Each account has a number of slots; only requests in progress use one. The queue is first in, first
out, and unlimited. It does not know how a clip is made.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tweenbatch.emulator.state.journal import Journal
from tweenbatch.emulator.state.ledger import EventName, Ledger
from tweenbatch.emulator.state.requests import FalRequest, RequestOutcome, RequestPhase


@dataclass(slots=True)
class _Account:
    waiting: deque[FalRequest] = field(default_factory=deque)
    tickets: int = 0
    popped: int = 0
    in_progress: int = 0


class Queue:
    """All accepted requests, and the slots that process them."""

    def __init__(
        self,
        *,
        slots: int,
        work: Callable[[FalRequest], Awaitable[RequestOutcome]],
        ledger: Ledger,
        journal: Journal,
    ) -> None:
        self.slots = slots
        self.requests: dict[str, FalRequest] = {}
        self.ended: list[FalRequest] = []
        self._work = work
        self._ledger = ledger
        self._journal = journal
        self._accounts: dict[str, _Account] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_progress = 0
        self._deadlines: dict[str, asyncio.TimerHandle] = {}

    def accept(self, request: FalRequest, post: dict[str, Any]) -> None:
        """Accept a submission; from now on it will be processed and billed."""
        self._journal.write(
            "accepted",
            request_id=request.request_id,
            account=request.account,
            endpoint_id=request.endpoint_id,
            payload=request.payload,
            fingerprint=request.fingerprint,
            price_usd=str(request.price_usd),
            accepted_at=request.accepted_at.isoformat(),
            stored=request.stored,
            start_within_seconds=request.start_within_seconds,
            webhook_url=request.webhook_url,
            post=post,
        )
        self.requests[request.request_id] = request
        self._ledger.note(
            EventName.ACCEPTED,
            request_id=request.request_id,
            post=post["n"],
            account=request.account,
            endpoint_id=request.endpoint_id,
        )
        self.enqueue(request)

    def enqueue(self, request: FalRequest) -> None:
        """Put a request at the end of its account's queue."""
        account = self._accounts.setdefault(request.account, _Account())
        request.ticket = account.tickets
        account.tickets += 1
        account.waiting.append(request)
        if request.start_within_seconds is not None:
            waited = (self._ledger.now() - request.accepted_at).total_seconds()
            self._deadlines[request.request_id] = asyncio.get_running_loop().call_later(
                max(0.0, request.start_within_seconds - waited), self._give_up, request
            )
        self._start_next(account)

    def position(self, request: FalRequest) -> int:
        """Return the number of requests ahead of a waiting one."""
        return request.ticket - self._accounts[request.account].popped

    def cancel(self, request: FalRequest) -> None:
        """End a waiting request; one in progress continues and is billed."""
        request.cancel_asked = True
        if request.phase is RequestPhase.IN_QUEUE:
            self._ledger.note(EventName.CANCELLED, request_id=request.request_id)
            self._end(
                request,
                RequestOutcome(
                    http_status=499,
                    body={"detail": "Request cancelled", "error_type": "client_cancelled"},
                    error="Request cancelled",
                    error_type="client_cancelled",
                ),
            )

    def restore_ended(self, request: FalRequest) -> None:
        """Restore a request that an earlier process finished."""
        assert request.outcome is not None
        self.requests[request.request_id] = request
        self.ended.append(request)
        self._ledger.billed_usd += request.outcome.billed_usd

    async def stop(self) -> None:
        """Stop processing; requests in progress stay unfinished."""
        for deadline in self._deadlines.values():
            deadline.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def busy_slot_seconds(self) -> float:
        """Return the total time that slots were in use, including those in use now."""
        now = asyncio.get_running_loop().time()
        running = (
            now - request.began
            for request in self.requests.values()
            if request.phase is RequestPhase.IN_PROGRESS
        )
        return self._ledger.busy_slot_seconds + sum(running)

    def _start_next(self, account: _Account) -> None:
        while account.waiting and account.in_progress < self.slots:
            request = account.waiting.popleft()
            account.popped += 1
            if request.phase is not RequestPhase.IN_QUEUE:
                continue
            account.in_progress += 1
            self._in_progress += 1
            ledger = self._ledger
            ledger.most_in_progress = max(ledger.most_in_progress, self._in_progress)
            request.phase = RequestPhase.IN_PROGRESS
            self._forget_deadline(request)
            request.started_at = ledger.now()
            ledger.first_started_at = ledger.first_started_at or request.started_at
            request.began = asyncio.get_running_loop().time()
            ledger.note(EventName.STARTED, request_id=request.request_id)
            request.changed()
            task = asyncio.create_task(
                self._run(account, request), name=f"generation {request.request_id}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, account: _Account, request: FalRequest) -> None:
        outcome = await self._work(request)
        request.inference_seconds = asyncio.get_running_loop().time() - request.began
        self._ledger.busy_slot_seconds += request.inference_seconds
        account.in_progress -= 1
        self._in_progress -= 1
        self._end(request, outcome)
        self._start_next(account)

    def _end(self, request: FalRequest, outcome: RequestOutcome) -> None:
        request.phase = RequestPhase.COMPLETED
        self._forget_deadline(request)
        request.outcome = outcome
        request.video_path = outcome.video_path
        request.ended_at = self._ledger.now()
        self._ledger.last_ended_at = request.ended_at
        self._ledger.billed_usd += outcome.billed_usd
        self.ended.append(request)
        self._journal.write(
            "ended",
            request_id=request.request_id,
            started_at=request.started_at.isoformat() if request.started_at else None,
            ended_at=request.ended_at.isoformat(),
            inference_seconds=request.inference_seconds,
            outcome=outcome.packed(),
        )
        self._ledger.note(
            EventName.COMPLETED,
            request_id=request.request_id,
            http_status=outcome.http_status,
            error_type=outcome.error_type,
            billed_usd=str(outcome.billed_usd),
        )
        request.changed()

    def _forget_deadline(self, request: FalRequest) -> None:
        deadline = self._deadlines.pop(request.request_id, None)
        if deadline is not None:
            deadline.cancel()

    def _give_up(self, request: FalRequest) -> None:
        if request.phase is RequestPhase.IN_QUEUE:
            text = "Request timed out before it was started"
            self._end(
                request,
                RequestOutcome(
                    http_status=504,
                    body={"detail": text, "error_type": "request_timeout"},
                    error=text,
                    error_type="request_timeout",
                    timeout_type="user",
                ),
            )
