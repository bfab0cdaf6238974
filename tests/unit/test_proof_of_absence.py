"""Whatever clocks, lists and generations do: what fal accepted is never taken for absent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from support.jobs import NOON, job
from tweenbatch.records import OwnRequest, PastRequest, canonical_json
from tweenbatch.stages.reconcile import (
    LONGEST_LAG,
    LONGEST_LIFE,
    SUBMISSION,
    Evidence,
    Verdict,
    judge,
)
from tweenbatch.states import State

ZERO = timedelta(0)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def between(least: timedelta, most: timedelta) -> st.SearchStrategy[timedelta]:
    seconds = st.integers(int(least.total_seconds()), int(most.total_seconds()))
    return seconds.map(lambda each: timedelta(seconds=each))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A submission as it really went: after noon, by fal's clock."""

    at: timedelta
    takes: timedelta
    ahead: timedelta
    """How far our clock was ahead of fal's then."""
    hidden: bool = False

    @property
    def ended(self) -> timedelta:
        return self.at + self.takes


@st.composite
def submissions(draw: st.DrawFn) -> list[Sent]:
    """Some in their order, a few seconds or nights apart; generations of seconds or many hours."""
    at, sent = ZERO, []
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.one_of(between(ZERO, MINUTE), between(MINUTE, 30 * HOUR)))
        takes = between(timedelta(seconds=1), 20 * MINUTE) | between(MINUTE, LONGEST_LIFE)
        ahead = st.just(ZERO) | between(-26 * HOUR, 26 * HOUR)
        hidden = st.sampled_from([False, False, False, True])
        sent.append(Sent(at=at, takes=draw(takes), ahead=draw(ahead), hidden=draw(hidden)))
    return sent


def prompt(number: int) -> dict[str, str]:
    return {"prompt": f"prompt {number}"}


def listed(sent: Sequence[Sent], now: timedelta, lag: timedelta) -> list[PastRequest]:
    return [
        PastRequest(
            request_id=f"r{number}",
            sent_at=NOON + each.at,
            ended_at=NOON + each.ended,
            http_status=200,
            input=prompt(number),
            output=None,
        )
        for number, each in enumerate(sent)
        if each.ended + lag <= now and not each.hidden
    ]


def owned(sent: Sequence[Sent], lost: int, now: timedelta, *, by_fal: bool) -> list[OwnRequest]:
    """What the table knows of all but the lost one; clips are home as soon as they are made."""
    return [
        OwnRequest(
            attempt_id=number,
            request_id=f"r{number}",
            key_fingerprint="key",
            payload_sha256=hashlib.sha256(canonical_json(prompt(number)).encode()).hexdigest(),
            sent_at=NOON + each.at + (ZERO if by_fal else each.ahead),
            finished_at=NOON + each.ended + each.ahead if each.ended <= now else None,
        )
        for number, each in enumerate(sent)
        if number != lost and each.at <= now
    ]


def verdict(
    sent: Sequence[Sent],
    lost: int,
    now: timedelta,
    lag: timedelta,
    *,
    by_fal: bool = True,
    accepted: bool = True,
) -> Verdict:
    """Judge the lost one, whose submission was dated by fal's clock or by ours."""
    doubt = job(
        lost,
        state=State.UNCERTAIN,
        arguments=prompt(lost),
        sent_at=NOON + sent[lost].at + (ZERO if by_fal else sent[lost].ahead),
        attempt_id=lost,
        key_fingerprint="key",
    )
    shown = [item for item in listed(sent, now, lag) if accepted or item.request_id != f"r{lost}"]
    evidence = Evidence(
        listed=shown,
        own=owned(sent, lost, now, by_fal=by_fal),
        key_fingerprint="key",
        now=NOON + now,
        ahead=sent[-1].ahead,
    )
    return judge([doubt], evidence)[lost].verdict


NOW = between(ZERO, 200 * HOUR)
LAG = st.just(ZERO) | between(ZERO, LONGEST_LAG)


@given(submissions(), st.data(), NOW, LAG)
def test_what_fal_accepted_is_never_taken_for_absent(
    sent: list[Sent], data: st.DataObject, now: timedelta, lag: timedelta
) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    assume(not sent[lost].hidden)
    assert verdict(sent, lost, now, lag) is not Verdict.ABSENT


@given(submissions(), st.data(), NOW, LAG, between(-26 * HOUR, 26 * HOUR))
def test_nor_where_a_clock_that_is_off_has_dated_all(
    sent: list[Sent], data: st.DataObject, now: timedelta, lag: timedelta, ahead: timedelta
) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    assume(not sent[lost].hidden)
    off = [Sent(at=each.at, takes=each.takes, ahead=ahead, hidden=each.hidden) for each in sent]
    assert verdict(off, lost, now, lag, by_fal=False) is not Verdict.ABSENT


@given(submissions(), st.data(), NOW, LAG, between(-26 * HOUR, 26 * HOUR))
def test_nor_where_our_clock_jumped_once(
    sent: list[Sent], data: st.DataObject, now: timedelta, lag: timedelta, jump: timedelta
) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    first = data.draw(st.integers(0, len(sent)))
    assume(not sent[lost].hidden)
    off = [
        Sent(at=each.at, takes=each.takes, ahead=jump if n >= first else ZERO, hidden=each.hidden)
        for n, each in enumerate(sent)
    ]
    assert verdict(off, lost, now, lag, by_fal=False) is not Verdict.ABSENT


@given(submissions(), st.data(), NOW, LAG)
def test_what_is_listed_is_found_whatever_our_clock_said(
    sent: list[Sent], data: st.DataObject, now: timedelta, lag: timedelta
) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    assume(not sent[lost].hidden and sent[lost].ended + lag <= now)
    assert verdict(sent, lost, now, lag) is Verdict.FOUND


@given(submissions(), st.data())
def test_what_fal_never_had_is_absent_once_a_later_one_ended_late_enough(
    sent: list[Sent], data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, len(sent) - 1))
    last = sent[-1].at + LONGEST_LIFE + 2 * SUBMISSION + LONGEST_LIFE
    whole = [Sent(at=each.at, takes=each.takes, ahead=each.ahead) for each in sent]
    whole.append(Sent(at=last, takes=MINUTE, ahead=ZERO))
    # The lost one is known to have gone out before the next: the last, if no other came between.
    whole.append(Sent(at=last + LONGEST_LIFE + 2 * SUBMISSION, takes=MINUTE, ahead=ZERO))
    now = whole[-1].ended + LONGEST_LAG
    assert verdict(whole, lost, now, ZERO, accepted=False) is Verdict.ABSENT
