"""What fal's list of past requests proves, and what it does not."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from support.jobs import NOON, job
from tweenbatch.fal import request_of
from tweenbatch.models import KLING_O1
from tweenbatch.records import Job, OwnRequest, PastRequest, canonical_json
from tweenbatch.stages.reconcile import (
    CLOCKS_APART,
    LONGEST_LAG,
    LONGEST_LIFE,
    SUBMISSION,
    Agreement,
    Evidence,
    Judgement,
    Verdict,
    judge,
    longest_life,
)
from tweenbatch.states import State

SOON = timedelta(seconds=20)
MINUTE = timedelta(minutes=1)
JOB_TIME = timedelta(minutes=2)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ENDED = LONGEST_LIFE + SUBMISSION + MINUTE
"""So long after noon whatever was sent at noon, or a minute later, has ended."""
LONG_AFTER = NOON + ENDED + HOUR
KEY = "this key"


def doubt(number: int = 1, **facts: Any) -> Job:
    usual: dict[str, Any] = {
        "state": State.UNCERTAIN,
        "sent_at": NOON,
        "attempt_id": number,
        "key_fingerprint": KEY,
    }
    return job(number, **{**usual, **facts})


def past(name: str, arguments: Any, **facts: Any) -> PastRequest:
    usual: dict[str, Any] = {
        "sent_at": NOON,
        "ended_at": NOON + JOB_TIME,
        "http_status": 200,
        "output": None,
    }
    return PastRequest(request_id=name, input=arguments, **{**usual, **facts})


def ours(item: PastRequest, attempt_id: int, **facts: Any) -> OwnRequest:
    usual: dict[str, Any] = {
        "key_fingerprint": KEY,
        "payload_sha256": hashlib.sha256(canonical_json(item.input).encode()).hexdigest(),
        "sent_at": item.sent_at,
        "finished_at": item.ended_at,
    }
    return OwnRequest(request_id=item.request_id, attempt_id=attempt_id, **{**usual, **facts})


def evidence(
    listed: Sequence[PastRequest] = (), own: Sequence[OwnRequest] = (), **facts: Any
) -> Evidence:
    return Evidence(listed=listed, own=own, **{"key_fingerprint": KEY, "now": LONG_AFTER, **facts})


def canaries(first: timedelta = MINUTE, last: timedelta = ENDED) -> list[PastRequest]:
    """Two requests of ours, sent so long after noon; each takes two minutes."""
    return [
        past(f"canary {n}", {"n": n}, sent_at=NOON + at, ended_at=NOON + at + JOB_TIME)
        for n, at in enumerate((first, last))
    ]


def all_ours(items: Sequence[PastRequest], **facts: Any) -> list[OwnRequest]:
    return [ours(item, 90 + n, **facts) for n, item in enumerate(items)]


def found(judged: Mapping[int, Judgement]) -> dict[int, str]:
    return {number: each.found.request_id for number, each in judged.items() if each.found}


def verdict_of_absence(listed: Sequence[PastRequest], **facts: Any) -> Judgement:
    own = facts.pop("own", all_ours([item for item in listed if "canary" in item.request_id]))
    return judge([facts.pop("job", doubt())], evidence(listed, own, **facts))[1]


def test_an_equal_input_under_an_id_that_nobody_owns_is_ours() -> None:
    listed = [past("other", {"prompt": "another"}), past("mine", {"prompt": "prompt 1"})]
    assert found(judge([doubt()], evidence(listed))) == {1: "mine"}


def test_a_request_that_another_attempt_owns_is_never_taken() -> None:
    item = past("taken", {"prompt": "prompt 1"})
    judged = judge([doubt()], evidence([item], [ours(item, 5)]))
    assert not found(judged)


def test_equal_inputs_are_matched_as_often_as_they_are_listed() -> None:
    same = {"prompt": "the same"}
    doubts = [doubt(n, arguments=same, sent_at=NOON + n * MINUTE) for n in (1, 2, 3)]
    listed = [past(f"r{n}", same, sent_at=NOON + n * MINUTE) for n in (2, 1)]
    assert found(judge(doubts, evidence(listed))) == {1: "r1", 2: "r2"}


@pytest.mark.parametrize("apart", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_clock_that_is_five_minutes_off_hides_nothing(apart: timedelta) -> None:
    item = past("mine", {"prompt": "prompt 1"}, sent_at=NOON + apart)
    assert found(judge([doubt()], evidence([item]))) == {1: "mine"}


def test_an_equal_input_of_another_day_is_neither_taken_nor_overlooked() -> None:
    day = timedelta(days=1)
    twin = past("old", {"prompt": "prompt 1"}, sent_at=NOON - day, ended_at=NOON - day + JOB_TIME)
    judged = verdict_of_absence([twin, *canaries()])
    assert judged.verdict is Verdict.UNPROVEN
    assert "same input" in judged.reason


@pytest.mark.parametrize("payload", [None, "text", 7, [], {"prompt": ["prompt 1"]}, {}])
def test_an_input_that_is_hidden_or_odd_matches_nothing(payload: Any) -> None:
    assert not found(judge([doubt()], evidence([past("odd", payload)])))


def test_absent_once_the_list_is_past_the_point_where_it_would_stand() -> None:
    assert verdict_of_absence(canaries()).verdict is Verdict.ABSENT


def test_not_absent_while_it_may_still_run() -> None:
    judged = verdict_of_absence(canaries(), now=NOON + LONGEST_LIFE - SOON)
    assert judged.verdict is Verdict.TOO_EARLY


def test_how_quick_others_were_says_nothing_of_one_that_is_not_listed() -> None:
    """It was sent at noon and ends after sixteen minutes; the others took two."""
    ended = [past(f"canary {n}", {"n": n}, sent_at=NOON + n * MINUTE) for n in range(1, 90)]
    ended = [replace(item, ended_at=item.sent_at + JOB_TIME) for item in ended]
    for minutes in range(1, 120):
        shown = [item for item in ended if item.sent_at + JOB_TIME <= NOON + minutes * MINUTE]
        judged = verdict_of_absence(shown, own=all_ours(ended), now=NOON + minutes * MINUTE)
        assert judged.verdict is Verdict.TOO_EARLY


@pytest.mark.parametrize("life", [10 * MINUTE, HOUR])
def test_a_person_may_take_it_to_have_ended_sooner(life: timedelta) -> None:
    shown = canaries(last=SUBMISSION + life + MINUTE)
    after = NOON + SUBMISSION + life
    early = verdict_of_absence(shown, now=after - SOON, life=life)
    assert early.verdict is Verdict.TOO_EARLY
    assert verdict_of_absence(shown, now=after + 5 * MINUTE, life=life).verdict is Verdict.ABSENT


def test_a_person_is_not_believed_who_knows_less_than_the_list_shows() -> None:
    slow = past("slow", {"prompt": "slow"}, ended_at=NOON + 30 * MINUTE)
    assert longest_life([slow], 10 * MINUTE) == 90 * MINUTE
    assert longest_life([slow], 2 * HOUR) == 2 * HOUR
    assert longest_life([slow], None) == LONGEST_LIFE


def test_it_is_said_until_when_it_may_run() -> None:
    judged = verdict_of_absence(canaries(), now=NOON + MINUTE)
    ended_by = NOON + MINUTE + SUBMISSION + LONGEST_LIFE
    assert f"after {ended_by:%Y-%m-%d %H:%M} UTC" in judged.reason


def test_an_empty_list_proves_nothing() -> None:
    assert verdict_of_absence([]).verdict is Verdict.UNPROVEN


def test_not_absent_by_canaries_that_were_sent_before_it() -> None:
    judged = verdict_of_absence(canaries(), job=doubt(attempt_id=100))
    assert judged.verdict is Verdict.UNPROVEN


def test_not_absent_where_no_canary_ended_after_it_must_have() -> None:
    """A list that stopped in between shows later requests, and still not ours."""
    judged = verdict_of_absence(canaries(last=LONGEST_LIFE - HOUR))
    assert judged.verdict is Verdict.UNPROVEN


def test_absent_without_such_a_canary_once_no_list_was_ever_so_far_behind() -> None:
    shown = canaries(last=HOUR)
    nearly = verdict_of_absence(shown, now=NOON + ENDED + LONGEST_LAG - 2 * MINUTE)
    assert nearly.verdict is Verdict.UNPROVEN
    judged = verdict_of_absence(shown, now=NOON + ENDED + LONGEST_LAG)
    assert judged.verdict is Verdict.ABSENT
    alone = verdict_of_absence([], own=[], now=NOON + ENDED + LONGEST_LAG)
    assert alone.verdict is Verdict.UNPROVEN


def test_not_absent_by_canaries_whose_payload_is_not_shown() -> None:
    hidden = [replace(item, input=None) for item in canaries()]
    judged = verdict_of_absence(hidden, own=all_ours(canaries()))
    assert judged.verdict is Verdict.UNPROVEN


def test_not_absent_by_a_stranger_s_requests() -> None:
    assert verdict_of_absence(canaries(), own=[]).verdict is Verdict.UNPROVEN


def test_not_absent_where_the_list_lacks_a_request_of_ours() -> None:
    lost = past("lost", {"prompt": "lost"}, ended_at=NOON + 5 * MINUTE)
    judged = verdict_of_absence(canaries(), own=[*all_ours(canaries()), ours(lost, 2)])
    assert judged.verdict is Verdict.TOO_EARLY
    assert "incomplete" in judged.reason


def test_a_list_that_is_behind_may_still_catch_up() -> None:
    judged = verdict_of_absence([], own=all_ours(canaries()))
    assert judged.verdict is Verdict.TOO_EARLY


def test_not_absent_with_another_key() -> None:
    judged = verdict_of_absence(canaries(), job=doubt(key_fingerprint="another key"))
    assert judged.verdict is Verdict.UNPROVEN
    assert "another key" in judged.reason


def test_requests_of_another_key_need_not_be_listed() -> None:
    foreign = ours(past("x", {}, ended_at=NOON + MINUTE), 2, key_fingerprint="another key")
    judged = verdict_of_absence(canaries(), own=[*all_ours(canaries()), foreign])
    assert judged.verdict is Verdict.ABSENT


def by_our_clock(items: Sequence[PastRequest], ahead: timedelta) -> list[OwnRequest]:
    """Our record of requests, dated by a clock that was so far ahead of fal's."""
    return [
        replace(
            own,
            sent_at=own.sent_at + ahead,
            finished_at=own.finished_at and own.finished_at + ahead,
        )
        for own in all_ours(items)
    ]


OFF = [-26 * HOUR, -3 * HOUR, -20 * MINUTE, 20 * MINUTE, 3 * HOUR, 26 * HOUR]


@pytest.mark.parametrize("ahead", OFF)
def test_a_clock_that_is_hours_off_proves_as_one_that_is_right(ahead: timedelta) -> None:
    before = past("canary before", {"n": "before"}, sent_at=NOON - MINUTE)
    items = [before, *canaries()]
    own = [
        replace(o, attempt_id=n)
        for n, o in zip((0, 90, 91), by_our_clock(items, ahead), strict=True)
    ]
    facts = {"job": doubt(sent_at=NOON + ahead), "own": own, "ahead": ahead}
    early = verdict_of_absence(items[:2], now=NOON + LONGEST_LIFE - HOUR, **facts)
    assert early.verdict is Verdict.TOO_EARLY
    assert verdict_of_absence(items, **facts).verdict is Verdict.ABSENT


@pytest.mark.parametrize("ahead", OFF)
@pytest.mark.parametrize("knows", ["the clock now", "one sent before", "one sent after"])
def test_a_clock_that_is_hours_off_finds_what_is_listed(ahead: timedelta, knows: str) -> None:
    mine = past("mine", {"prompt": "prompt 1"})
    other = past("other", {"n": 1}, sent_at=NOON + MINUTE)
    number = 0 if knows == "one sent before" else 2
    own = [ours(other, number, sent_at=other.sent_at + ahead)]
    given = evidence([mine, other], [] if knows == "the clock now" else own)
    if knows == "the clock now":
        given = replace(given, ahead=ahead)
    assert found(judge([doubt(sent_at=NOON + ahead)], given)) == {1: "mine"}


def jumped(items: Sequence[PastRequest], by: timedelta) -> list[OwnRequest]:
    """Our record of requests that were sent after our clock had jumped ahead."""
    return [replace(o, sent_at=o.sent_at + by, finished_at=None) for o in all_ours(items)]


@pytest.mark.parametrize("by", [CLOCKS_APART - MINUTE, CLOCKS_APART + MINUTE, 9 * HOUR])
def test_a_clock_that_jumped_does_not_shorten_the_life_of_a_request(by: timedelta) -> None:
    """By fal's clock no canary has ended late enough."""
    items = canaries(first=MINUTE, last=LONGEST_LIFE - JOB_TIME)
    before = past("before", {"n": "before"}, sent_at=NOON - MINUTE)
    for ahead in (by, -by):
        judged = verdict_of_absence(
            [before, *items],
            own=[ours(before, 0), *jumped(items, ahead)],
            now=NOON + LONGEST_LIFE + 5 * MINUTE,
            ahead=ahead,
        )
        assert judged.verdict is not Verdict.ABSENT


def test_the_next_night_proves_an_absence_at_once() -> None:
    """Clocks that agreed before and after date the submission itself."""
    before = past("before", {"n": "before"}, sent_at=NOON - MINUTE)
    night = canaries(first=DAY, last=DAY + MINUTE)
    own = [ours(before, 0), *all_ours(night)]
    judged = verdict_of_absence([before, *night], own=own, now=NOON + DAY + 5 * MINUTE)
    assert judged.verdict is Verdict.ABSENT


def agreed(*said: tuple[float, Verdict]) -> list[bool]:
    agreement = Agreement()
    return [agreement.is_reached(1, verdict, at=at) for at, verdict in said]


def test_one_list_is_not_believed_and_two_only_a_minute_apart() -> None:
    absent = Verdict.ABSENT
    assert agreed((0, absent), (59, absent), (60, absent)) == [False, False, True]


@pytest.mark.parametrize("between", [v for v in Verdict if v is not Verdict.ABSENT])
def test_a_list_between_that_says_otherwise_takes_back_the_first(between: Verdict) -> None:
    absent = Verdict.ABSENT
    said = ((0, absent), (30, between), (61, absent), (120, absent), (121, absent))
    assert agreed(*said) == [False, False, False, False, True]


def test_a_request_that_fal_had_accepted_is_never_absent() -> None:
    accepted = doubt(request=request_of(KLING_O1.id, "known"))
    assert verdict_of_absence(canaries(), job=accepted).verdict is Verdict.UNPROVEN
    listed = [past("known", {"prompt": "whatever"})]
    assert found(judge([accepted], evidence(listed, [ours(listed[0], 1)]))) == {1: "known"}
