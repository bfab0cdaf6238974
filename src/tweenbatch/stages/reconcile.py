"""Decide from fal's list of past requests whether uncertain submissions were accepted.

Pure functions; ``recovery.reconciler`` reads the list and records the conclusions.

A submission was accepted if the list has a request with the same input, sent at about the same
time, that no other job owns. Requests with the same input are interchangeable.

It is absent only if fal would have ended its request by now, and the list has been shown to cover
that time: the list lags, and omits running requests. fal's clock decides, because ours may be wrong
or jump. Otherwise the submission stays uncertain: it may have been paid for.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tweenbatch.fal import START_TIMEOUT
from tweenbatch.records import Job, OwnRequest, PastRequest, canonical_json
from tweenbatch.stages.wait import STUCK_QUEUED, STUCK_RUNNING

LONGEST_LIFE = max(START_TIMEOUT, STUCK_QUEUED) + STUCK_RUNNING
"""The longest time from sending to end. The durations of other requests say nothing about one that
hangs. Earlier releases sent no start timeout: for their requests our own waiting limit counts."""

SLOWEST_FACTOR = 3
"""``--absent-after`` can't go below this many times the slowest request seen."""

LONGEST_LAG = timedelta(hours=24)
"""Longest lag of the list; in incidents reported by fal it was up to 15 hours."""

CLOCKS_APART = timedelta(minutes=15)
"""Largest difference between fal's date of a request and ours, by any clock that may have dated
it, for both to mean the same submission."""

SUBMISSION = timedelta(seconds=60)
"""Longest time of a POST in transit, during which later ones may overtake it."""

BETWEEN_LISTINGS = timedelta(seconds=60)
"""Shortest time between two lists that must agree."""


_Dated = tuple[OwnRequest, PastRequest]
"""A request with its dates in the table and at fal."""


class Verdict(StrEnum):
    """What one list shows about one submission."""

    FOUND = "found"
    ABSENT = "absent"
    """The list proves, as far as one list can, that fal never received it."""
    TOO_EARLY = "too_early"
    """It may still be running, or the list lags: a later list may decide."""
    UNPROVEN = "unproven"
    """No list of this account will decide without a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict on a job, with the matching request or the reason for the doubt."""

    verdict: Verdict
    found: PastRequest | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One list of an endpoint's past requests, and the table's own requests.

    ``now`` and the times in ``listed`` are by fal's clock; those of ``own`` and of jobs by fal's or
    this machine's, whichever was known then. ``ahead`` is the lead of this machine's clock over
    fal's. ``key_fingerprint`` identifies the key that read the list. ``life`` is the longest time
    from sending to end.
    """

    listed: Sequence[PastRequest]
    own: Sequence[OwnRequest]
    key_fingerprint: str
    now: datetime
    ahead: timedelta = timedelta(0)
    life: timedelta = LONGEST_LIFE


def judge(doubts: Sequence[Job], evidence: Evidence) -> Mapping[int, Judgement]:
    """Return a judgement by job id; all jobs are uncertain and of the list's endpoint."""
    owned = {own.request_id for own in evidence.own}
    listed = {item.request_id: item for item in evidence.listed}
    free = [item for item in evidence.listed if item.request_id not in owned]
    judged: dict[int, Judgement] = {}
    for job in doubts:
        if job.request is not None:
            judged[job.id] = _known_by_id(job, listed.get(job.request.request_id))
    nameless = [job for job in doubts if job.request is None]
    proof = _Proof(evidence, since=min(map(_sent_at, doubts)))
    matched = _match(nameless, free, proof.may_be)
    inputs = {_digest(item.input) for item in free}
    for job in nameless:
        if job.id in matched:
            judged[job.id] = Judgement(verdict=Verdict.FOUND, found=matched[job.id])
        else:
            judged[job.id] = proof.of_absence(job, twin=_payload_digest(job) in inputs)
    return judged


def longest_life(listed: Iterable[PastRequest], absent_after: timedelta | None) -> timedelta:
    """Return how long after sending a request may still run, and so be missing from the list.

    ``absent_after`` is a person's value for it.
    """
    return (
        LONGEST_LIFE if absent_after is None else max(absent_after, SLOWEST_FACTOR * _slow(listed))
    )


@dataclass(slots=True)
class Agreement:
    """Requires two ABSENT verdicts far enough apart, and no other verdict between them."""

    _since: dict[int, float] = field(default_factory=dict)

    def is_reached(self, attempt_id: int, verdict: Verdict, *, at: float) -> bool:
        """Record one more verdict at monotonic time ``at``; tell whether the two agree."""
        if verdict is not Verdict.ABSENT:
            self._since.pop(attempt_id, None)
            return False
        first = self._since.setdefault(attempt_id, at)
        return timedelta(seconds=at - first) >= BETWEEN_LISTINGS


def _known_by_id(job: Job, item: PastRequest | None) -> Judgement:
    """Judge a request that fal accepted: it is found or unproven, but never absent."""
    if item is not None:
        return Judgement(verdict=Verdict.FOUND, found=item)
    assert job.request is not None
    return Judgement(
        verdict=Verdict.UNPROVEN,
        reason=f"fal accepted request {job.request.request_id} but does not list it",
    )


def _match(
    doubts: Sequence[Job],
    free: Iterable[PastRequest],
    may_be: Callable[[Job, PastRequest], bool],
) -> dict[int, PastRequest]:
    """Assign each job a listed request with equal input, in the order of sending."""
    by_input: dict[str, list[PastRequest]] = defaultdict(list)
    for item in sorted(free, key=lambda item: item.sent_at):
        by_input[_digest(item.input)].append(item)
    matched: dict[int, PastRequest] = {}
    for job in sorted(doubts, key=_sent_at):
        candidates = by_input[_payload_digest(job)]
        near = [item for item in candidates if may_be(job, item)]
        if near:
            matched[job.id] = near[0]
            candidates.remove(near[0])
    return matched


class _Proof:
    """Decides whether a list proves that a missing request never existed."""

    def __init__(self, evidence: Evidence, *, since: datetime) -> None:
        self._evidence = evidence
        listed = {item.request_id: item for item in evidence.listed}
        own = sorted(
            (o for o in evidence.own if o.key_fingerprint == evidence.key_fingerprint),
            key=lambda o: o.attempt_id,
        )
        # The list need not show older ones.
        self._missing = [o for o in own if o.sent_at >= since and o.request_id not in listed]
        self._shown = [
            (o, listed[o.request_id])
            for o in own
            if o.request_id in listed and _digest(listed[o.request_id].input) == o.payload_sha256
        ]

    def may_be(self, job: Job, item: PastRequest) -> bool:
        """Tell whether a request and the job were sent at the same time, by any likely clock."""
        ahead = {timedelta(0), self._evidence.ahead, *map(_apart, self._neighbours(job))}
        return any(abs(item.sent_at + each - _sent_at(job)) <= CLOCKS_APART for each in ahead)

    def of_absence(self, job: Job, *, twin: bool) -> Judgement:
        """Judge a job missing from the list; ``twin``: the list has its input at another time."""
        now, life = self._evidence.now, self._evidence.life
        later = self._later(job)
        ended_by = (self._sent_by(job) if later else _sent_at(job)) + SUBMISSION + life
        if now < ended_by:
            return _too_early(
                "it may still be running at fal, which lists only ended requests; proof that fal "
                f"never received it is possible after {ended_by:%Y-%m-%d %H:%M} UTC"
            )
        obstacle = self._obstacle(job, twin=twin)
        if obstacle:
            return Judgement(verdict=Verdict.UNPROVEN, reason=obstacle)
        past = [o for o, item in later if item.ended_at is not None and item.ended_at >= ended_by]
        if self._lacks(ended_by, *past):
            return _too_early("fal's list of past requests lags or is incomplete")
        long_past = now - ended_by >= LONGEST_LAG
        if past or (long_past and any(item.ended_at is not None for _, item in later)):
            return Judgement(verdict=Verdict.ABSENT)
        if self._lacks(now - BETWEEN_LISTINGS):
            return _too_early("fal's list of past requests lags")
        reason = "no later request ended late enough to show that fal's list covers that time"
        return Judgement(verdict=Verdict.UNPROVEN, reason=reason)

    def _obstacle(self, job: Job, *, twin: bool) -> str:
        """Return why waiting won't make this list prove an absence; "" if it can."""
        if job.key_fingerprint != self._evidence.key_fingerprint:
            return "it was sent with another key, and this key may not list its requests"
        if twin:
            return "fal lists a request with the same input, sent at another time"
        return ""

    def _later(self, job: Job) -> list[_Dated]:
        """Return our listed requests that were sent after the job."""
        assert job.attempt_id is not None
        return [pair for pair in self._shown if pair[0].attempt_id > job.attempt_id]

    def _neighbours(self, job: Job) -> list[_Dated]:
        """Return our listed requests just before and just after the job, in that order."""
        later = self._later(job)
        return [*self._shown[: len(self._shown) - len(later)][-1:], *later[:1]]

    def _sent_by(self, job: Job) -> datetime:
        """Return the latest time at which it was sent: before the first later request.

        If the requests just before and after it show the difference of the clocks, our own record
        is more precise; of the two differences, the one that gives the later time counts.
        """
        bound = min(item.sent_at for _, item in self._later(job))
        apart = [_apart(pair) for pair in self._neighbours(job)]
        return min(bound, _sent_at(job) - min(apart)) if len(apart) > 1 else bound

    def _lacks(self, by: datetime, *listed: OwnRequest) -> bool:
        """Tell whether the list lacks a request whose clip was downloaded by then.

        Or before the clip of one of ``listed``: one clock has dated both.
        """
        finished = [o.finished_at for o in self._missing if o.finished_at is not None]
        latest = [by, by + self._evidence.ahead]
        latest += [o.finished_at for o in listed if o.finished_at is not None]
        return any(each <= max(latest) for each in finished)


def _apart(dated: _Dated) -> timedelta:
    """Return how much later our record dates a request than fal's."""
    own, item = dated
    return own.sent_at - item.sent_at


def latest_instant(listed: Iterable[PastRequest]) -> datetime | None:
    """Return the latest instant in a list: fal's clock now shows at least this."""
    instants = (instant for item in listed for instant in (item.sent_at, item.ended_at))
    return max((instant for instant in instants if instant is not None), default=None)


def _slow(listed: Iterable[PastRequest]) -> timedelta:
    """Return the 99th percentile of the durations from sending to end; zero without any."""
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
    """Return an input's digest, equal for equal inputs; every attempt records it."""
    try:
        text = canonical_json(payload)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(repr(type(payload)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
