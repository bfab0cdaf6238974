"""What fal's list of past requests proves about submissions of unknown outcome. Pure judgement.

Found: an equal input, sent at about that time, under an id that nobody owns. Equal inputs are
interchangeable. Absent: never because it is not listed, for the list lags and does not show
what still runs, but only once the list has shown that it is past the point at which the
request would stand in it. In doubt the submission stays uncertain: it may have been paid for.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tweenbatch.records import Job, OwnRequest, PastRequest, canonical_json

QUARANTINE = timedelta(minutes=10)
QUARANTINE_FACTOR = 3
"""Within this many times the slowest job seen, a request may still be running at fal."""

CLOCKS_APART = timedelta(minutes=15)
"""A request sent further from our record of it than this is not taken for it, nor is anything
concluded from a list whose clock is further from ours."""

SUBMISSION = timedelta(seconds=60)
"""A POST may be on its way for so long while later ones overtake it."""

BETWEEN_LISTINGS = timedelta(seconds=60)
"""Two lists that agree must lie this far apart."""


class Verdict(StrEnum):
    """What one list says about one submission."""

    FOUND = "found"
    ABSENT = "absent"
    """Everything that can be asked of one list shows that fal never had it."""
    TOO_EARLY = "too_early"
    """It may still run, or the list has not caught up: a later one may tell."""
    UNPROVEN = "unproven"
    """No list of this account is going to tell by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict on a job, with the request that was found or the reason for the doubt."""

    verdict: Verdict
    found: PastRequest | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One list of an endpoint's past requests, and what the table owns of them.

    ``now`` and the instants of ``own`` are by this machine's clock, those of ``listed`` by
    fal's. ``key_fingerprint`` is that of the key whose list it is.
    """

    listed: Sequence[PastRequest]
    own: Sequence[OwnRequest]
    key_fingerprint: str
    now: datetime


def judge(doubts: Sequence[Job], evidence: Evidence) -> Mapping[int, Judgement]:
    """Return a judgement for each job, by id; all are uncertain and of the list's endpoint."""
    owned = {own.request_id for own in evidence.own}
    listed = {item.request_id: item for item in evidence.listed}
    free = [item for item in evidence.listed if item.request_id not in owned]
    judged: dict[int, Judgement] = {}
    for job in doubts:
        if job.request is not None:
            judged[job.id] = _known_by_id(job, listed.get(job.request.request_id))
    nameless = [job for job in doubts if job.request is None]
    matched = _match(nameless, free)
    proof = _Proof(evidence, since=min(map(_sent_at, doubts)))
    inputs = {_digest(item.input) for item in free}
    for job in nameless:
        if job.id in matched:
            judged[job.id] = Judgement(verdict=Verdict.FOUND, found=matched[job.id])
        else:
            judged[job.id] = proof.of_absence(job, twin=_payload_digest(job) in inputs)
    return judged


def quarantine(listed: Iterable[PastRequest]) -> timedelta:
    """Return how long after its sending a request may still run, and so not be listed."""
    return max(QUARANTINE, QUARANTINE_FACTOR * _slow(listed))


def _known_by_id(job: Job, item: PastRequest | None) -> Judgement:
    """Judge a request that fal had accepted: it is found or missed, but never absent."""
    if item is not None:
        return Judgement(verdict=Verdict.FOUND, found=item)
    assert job.request is not None
    return Judgement(
        verdict=Verdict.UNPROVEN,
        reason=f"fal accepted request {job.request.request_id} and does not list it",
    )


def _match(doubts: Sequence[Job], free: Iterable[PastRequest]) -> dict[int, PastRequest]:
    """Give each job a listed request of its own: equal input, in the order of sending."""
    by_input: dict[str, list[PastRequest]] = defaultdict(list)
    for item in sorted(free, key=lambda item: item.sent_at):
        by_input[_digest(item.input)].append(item)
    matched: dict[int, PastRequest] = {}
    for job in sorted(doubts, key=_sent_at):
        candidates = by_input[_payload_digest(job)]
        near = [item for item in candidates if abs(item.sent_at - _sent_at(job)) <= CLOCKS_APART]
        if near:
            matched[job.id] = near[0]
            candidates.remove(near[0])
    return matched


class _Proof:
    """What a list must show before a request that is not in it was never there."""

    def __init__(self, evidence: Evidence, *, since: datetime) -> None:
        self._evidence = evidence
        listed = {item.request_id: item for item in evidence.listed}
        own = [o for o in evidence.own if o.key_fingerprint == evidence.key_fingerprint]
        # Older ones the list need not show.
        self._missing = [o for o in own if o.sent_at >= since and o.request_id not in listed]
        self._shown = [
            (o, listed[o.request_id])
            for o in own
            if o.request_id in listed and _digest(listed[o.request_id].input) == o.payload_sha256
        ]
        self._apart = [o.sent_at - item.sent_at for o, item in self._shown]
        self._quarantine = quarantine(evidence.listed)

    def of_absence(self, job: Job, *, twin: bool) -> Judgement:
        """Judge a job that the list does not show; ``twin``: its input is there, far away."""
        now = self._evidence.now
        ended_by = _sent_at(job) + self._quarantine
        if now < ended_by:
            return _too_early("it may still be running at fal")
        obstacle = self._obstacle(job, twin=twin)
        if obstacle:
            return Judgement(verdict=Verdict.UNPROVEN, reason=obstacle)
        if self._lacks(ended_by):
            return _too_early("fal's list of past requests is behind, or not whole")
        if self._is_past(job):
            return Judgement(verdict=Verdict.ABSENT)
        if self._lacks(now - BETWEEN_LISTINGS):
            return _too_early("fal's list of past requests is behind")
        reason = "no later request ended late enough to show how far fal's list goes"
        return Judgement(verdict=Verdict.UNPROVEN, reason=reason)

    def _obstacle(self, job: Job, *, twin: bool) -> str:
        """Return why this list can't prove an absence, however long one waits; "" if it can."""
        if job.key_fingerprint != self._evidence.key_fingerprint:
            return "it was sent with another key, whose requests this key may not see"
        if twin:
            return "fal lists a request with the same input, sent at another time"
        if self._clocks_apart() > CLOCKS_APART:
            return "this machine's clock is too far from fal's"
        return ""

    def _is_past(self, job: Job) -> bool:
        """Tell whether a canary, sent later, ended after such a request must have.

        All by fal's clock, for ours may have jumped.
        """
        assert job.attempt_id is not None
        later = [item for own, item in self._shown if own.attempt_id > job.attempt_id]
        if not later:
            return False
        ended_by = self._sent_by(job, later) + SUBMISSION + self._quarantine
        return any(item.ended_at is not None and item.ended_at >= ended_by for item in later)

    def _sent_by(self, job: Job, later: Sequence[PastRequest]) -> datetime:
        """Return when it had gone out at the latest: before the first of those sent after it.

        Where both clocks have dated one sent before it as well, our own record is closer.
        """
        bound = min(item.sent_at for item in later)
        if len(later) < len(self._shown):
            bound = min(bound, _sent_at(job) - min(self._apart))
        return bound

    def _lacks(self, by: datetime) -> bool:
        """Tell whether a request of ours is not listed although its clip was here by then."""
        return any(o.finished_at is not None and o.finished_at <= by for o in self._missing)

    def _clocks_apart(self) -> timedelta:
        """Return how far fal's clock is from ours, by the requests that both have dated."""
        return abs(sorted(self._apart)[len(self._apart) // 2]) if self._apart else timedelta(0)


def _slow(listed: Iterable[PastRequest]) -> timedelta:
    """Return the 99th percentile of the times from sending to end; zero without any."""
    times = sorted(item.ended_at - item.sent_at for item in listed if item.ended_at is not None)
    return times[len(times) - 1 - len(times) // 100] if times else timedelta(0)


def _too_early(reason: str) -> Judgement:
    return Judgement(verdict=Verdict.TOO_EARLY, reason=reason)


def _sent_at(job: Job) -> datetime:
    assert job.sent_at is not None
    return job.sent_at


def _payload_digest(job: Job) -> str:
    return _digest(job.arguments)


def _digest(payload: object) -> str:
    """Return what equal inputs share: the digest that is recorded with every attempt."""
    try:
        text = canonical_json(payload)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(repr(type(payload)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
