"""What fal's list of past requests proves about submissions of unknown outcome. Pure judgement.

Found: an equal input, sent at about that time, under an id that nobody owns. Equal inputs are
interchangeable. Absent: never because it is not listed, for the list lags and shows only what
has ended, but only once whatever fal may have had must have ended, and the list has shown that
it is past that point. fal's clock decides, for ours may be wrong, or jump. In doubt the
submission stays uncertain: it may have been paid for.
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
"""From its sending a request has ended by then. How long others took says nothing of one that
hangs. An earlier release sent no start timeout: there our own limit for waiting counts."""

SLOWEST_FACTOR = 3
"""A person who knows better is not believed below so many times the slowest request seen."""

LONGEST_LAG = timedelta(hours=24)
"""The list was up to 15 hours behind in incidents that fal has reported."""

CLOCKS_APART = timedelta(minutes=15)
"""A request sent further from our record of it than this is not taken for it, whichever of the
clocks that we know of dated that."""

SUBMISSION = timedelta(seconds=60)
"""A POST may be on its way for so long while later ones overtake it."""

BETWEEN_LISTINGS = timedelta(seconds=60)
"""Two lists that agree must lie this far apart."""


_Dated = tuple[OwnRequest, PastRequest]
"""A request that the table and fal have dated."""


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

    ``now`` and the instants of ``listed`` are by fal's clock; those of ``own`` and of jobs by
    fal's or this machine's, as it knew them then. ``ahead`` is how far this machine's clock is
    ahead of fal's now. ``key_fingerprint`` is that of the key whose list it is. ``life`` is how
    long after its sending a request may not have ended.
    """

    listed: Sequence[PastRequest]
    own: Sequence[OwnRequest]
    key_fingerprint: str
    now: datetime
    ahead: timedelta = timedelta(0)
    life: timedelta = LONGEST_LIFE


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
    """Return how long after its sending a request may still be at work, and so not be listed.

    ``absent_after`` is what a person says instead.
    """
    return (
        LONGEST_LIFE if absent_after is None else max(absent_after, SLOWEST_FACTOR * _slow(listed))
    )


@dataclass(slots=True)
class Agreement:
    """Whether two lists, far enough apart, call an attempt absent, and none between denies it."""

    _since: dict[int, float] = field(default_factory=dict)

    def is_reached(self, attempt_id: int, verdict: Verdict, *, at: float) -> bool:
        """Hear what one more list says; ``at`` is when, in seconds that never go back."""
        if verdict is not Verdict.ABSENT:
            self._since.pop(attempt_id, None)
            return False
        first = self._since.setdefault(attempt_id, at)
        return timedelta(seconds=at - first) >= BETWEEN_LISTINGS


def _known_by_id(job: Job, item: PastRequest | None) -> Judgement:
    """Judge a request that fal had accepted: it is found or missed, but never absent."""
    if item is not None:
        return Judgement(verdict=Verdict.FOUND, found=item)
    assert job.request is not None
    return Judgement(
        verdict=Verdict.UNPROVEN,
        reason=f"fal accepted request {job.request.request_id} and does not list it",
    )


def _match(
    doubts: Sequence[Job],
    free: Iterable[PastRequest],
    may_be: Callable[[Job, PastRequest], bool],
) -> dict[int, PastRequest]:
    """Give each job a listed request of its own: equal input, in the order of sending."""
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
    """What a list must show before a request that is not in it was never there."""

    def __init__(self, evidence: Evidence, *, since: datetime) -> None:
        self._evidence = evidence
        listed = {item.request_id: item for item in evidence.listed}
        own = sorted(
            (o for o in evidence.own if o.key_fingerprint == evidence.key_fingerprint),
            key=lambda o: o.attempt_id,
        )
        # Older ones the list need not show.
        self._missing = [o for o in own if o.sent_at >= since and o.request_id not in listed]
        self._shown = [
            (o, listed[o.request_id])
            for o in own
            if o.request_id in listed and _digest(listed[o.request_id].input) == o.payload_sha256
        ]

    def may_be(self, job: Job, item: PastRequest) -> bool:
        """Tell whether a request was sent when the job was, by a clock that may have dated it."""
        ahead = {timedelta(0), self._evidence.ahead, *map(_apart, self._neighbours(job))}
        return any(abs(item.sent_at + each - _sent_at(job)) <= CLOCKS_APART for each in ahead)

    def of_absence(self, job: Job, *, twin: bool) -> Judgement:
        """Judge a job that the list does not show; ``twin``: its input is there, far away."""
        now, life = self._evidence.now, self._evidence.life
        later = self._later(job)
        ended_by = (self._sent_by(job) if later else _sent_at(job)) + SUBMISSION + life
        if now < ended_by:
            return _too_early(
                "it may still be running at fal, which lists only what has ended; nobody can prove "
                f"that fal never had it before {ended_by:%Y-%m-%d %H:%M} UTC"
            )
        obstacle = self._obstacle(job, twin=twin)
        if obstacle:
            return Judgement(verdict=Verdict.UNPROVEN, reason=obstacle)
        past = [o for o, item in later if item.ended_at is not None and item.ended_at >= ended_by]
        if self._lacks(ended_by, *past):
            return _too_early("fal's list of past requests is behind, or not whole")
        long_past = now - ended_by >= LONGEST_LAG
        if past or (long_past and any(item.ended_at is not None for _, item in later)):
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
        return ""

    def _later(self, job: Job) -> list[_Dated]:
        """Return the canaries: requests of ours that were sent after the job and are listed."""
        assert job.attempt_id is not None
        return [pair for pair in self._shown if pair[0].attempt_id > job.attempt_id]

    def _neighbours(self, job: Job) -> list[_Dated]:
        """Return what both clocks have dated just before and just after the job, in that order."""
        later = self._later(job)
        return [*self._shown[: len(self._shown) - len(later)][-1:], *later[:1]]

    def _sent_by(self, job: Job) -> datetime:
        """Return when it had gone out at the latest: before the first of those sent after it.

        Where those sent just before and after it show how far apart the clocks were, our own
        record is closer; of two such distances the one that makes it later.
        """
        bound = min(item.sent_at for _, item in self._later(job))
        apart = [_apart(pair) for pair in self._neighbours(job)]
        return min(bound, _sent_at(job) - min(apart)) if len(apart) > 1 else bound

    def _lacks(self, by: datetime, *canaries: OwnRequest) -> bool:
        """Tell whether a request of ours is not listed although its clip was here by then.

        Or before that of one of the canaries: these two one clock has dated.
        """
        home = [o.finished_at for o in self._missing if o.finished_at is not None]
        latest = [by, by + self._evidence.ahead]
        latest += [o.finished_at for o in canaries if o.finished_at is not None]
        return any(each <= max(latest) for each in home)


def _apart(dated: _Dated) -> timedelta:
    """Return how far our record of a request was ahead of fal's."""
    own, item = dated
    return own.sent_at - item.sent_at


def latest_instant(listed: Iterable[PastRequest]) -> datetime | None:
    """Return the latest instant in a list: by fal's clock it is no earlier now."""
    instants = (instant for item in listed for instant in (item.sent_at, item.ended_at))
    return max((instant for instant in instants if instant is not None), default=None)


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
