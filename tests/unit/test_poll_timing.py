"""When a request is looked at: by what the ones before it took."""

import random
from itertools import pairwise
from math import inf

import pytest

from tweenbatch.stages.poll_timing import ENOUGH, MANY_POLLS, PollTiming, RequestObservation

KIND = ("kling", "5")


def rhythm(*before: float) -> PollTiming:
    made = PollTiming(random.Random(1))
    made.seen_before(before)
    return made


def looks(
    at: PollTiming, sight: RequestObservation, *, ends: float, waits: float = 0.0
) -> list[float]:
    """Follow one request to the look that sees its end; return the times of all looks."""
    times = []
    while True:
        now = at.due(sight)
        times.append(now)
        if now >= ends:
            return times
        sight.unfinished(now, waiting=now < waits)


def learned(*took: float) -> PollTiming:
    """Return a rhythm that has followed requests which took so long."""
    made = rhythm()
    for seconds in took:
        sight = made.sight(KIND, accepted=0.0, now=0.0)
        times = looks(made, sight, ends=seconds)
        made.ended(sight, now=times[-1], at_work=seconds)
    return made


def test_where_nothing_is_known_first_looks_are_spread_and_later_ones_further_apart() -> None:
    at = rhythm()
    sights = [at.sight(KIND, accepted=0.0, now=0.0) for _ in range(50)]
    firsts = [at.due(sight) for sight in sights]
    assert max(firsts) - min(firsts) > 0.5
    times = looks(at, sights[0], ends=120.0)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) <= 11
    assert gaps[:3] == sorted(gaps[:3])


@pytest.mark.parametrize("seconds", [3.0, 120.0, 900.0])
def test_what_is_known_brings_the_first_look_just_before_the_end(seconds: float) -> None:
    at = learned(*[seconds] * 40)
    times = looks(at, at.sight(KIND, accepted=1000.0, now=1000.0), ends=1000.0 + seconds)
    assert times[0] > 1000.0 + 0.8 * seconds
    assert len(times) <= 4
    assert times[-1] <= 1000.0 + 1.05 * seconds + 0.05


def test_where_times_differ_much_looks_are_as_far_apart_as_few_of_them_must_be() -> None:
    at = learned(*[1.0 + n % 10 for n in range(40)])
    for seconds in range(2, 11):
        ends = 1000.0 + seconds
        times = looks(at, at.sight(KIND, accepted=1000.0, now=1000.0), ends=ends)
        assert len(times) <= 10
        assert times[-1] <= ends + 0.35 * seconds


def test_clips_that_took_no_time_are_looked_at_all_the_same() -> None:
    at = rhythm()
    for _ in range(ENOUGH):
        at.ended(at.sight(KIND, accepted=0.0, now=0.0), now=0.0, at_work=0.0)
    times = looks(at, at.sight(KIND, accepted=0.0, now=0.0), ends=3.0)
    assert times[-1] < 5.0


def test_what_the_table_has_seen_is_where_a_run_begins() -> None:
    at = rhythm(*[100.0] * ENOUGH)
    first = at.due(at.sight(KIND, accepted=0.0, now=0.0))
    assert 50.0 < first < 100.0


def test_few_clips_of_another_day_are_not_relied_on() -> None:
    at = rhythm(*[100.0] * (ENOUGH - 1))
    assert at.due(at.sight(KIND, accepted=0.0, now=0.0)) < 2.0


def test_one_kind_does_not_tell_of_another() -> None:
    at = learned(*[120.0] * 10)
    assert at.due(at.sight(("kling", "10"), accepted=0.0, now=0.0)) < 2.0


def test_a_request_that_was_seen_to_wait_is_not_looked_at_before_it_can_have_ended() -> None:
    at = learned(*[60.0] * 20)
    sight = at.sight(KIND, accepted=0.0, now=0.0)
    sight.unfinished(70.0, waiting=True)
    assert at.due(sight) > 70.0 + 0.8 * 60.0


def test_one_behind_others_is_looked_at_once_its_turn_makes_it_likely_to_end() -> None:
    at = learned(*[60.0] * 20)
    sight = at.sight(KIND, accepted=0.0, now=0.0)
    sight.turn = inf
    assert at.due(sight) < 1.05 * 60.0
    sight.turn = 25.0
    assert 25.0 + 0.9 * 60.0 < at.due(sight) < 25.0 + 1.05 * 60.0


def test_a_long_queue_takes_few_requests_and_none_from_those_that_follow_it() -> None:
    at = learned(*[60.0] * 20)
    sight = at.sight(KIND, accepted=0.0, now=0.0)
    times = looks(at, sight, ends=36_060.0, waits=36_000.0)
    assert len(times) <= 60
    assert times[-1] <= 1.1 * 36_060.0


def test_what_waits_is_seldom_looked_at_where_nothing_is_known() -> None:
    at = rhythm()
    sight = at.sight(KIND, accepted=0.0, now=0.0)
    assert len(looks(at, sight, ends=100.0, waits=100.0)) <= 6


def test_of_many_that_nothing_is_known_of_only_the_first_are_looked_at_often() -> None:
    at = rhythm()
    sights = [at.sight(KIND, accepted=0.0, now=0.0) for _ in range(1000)]
    times = [looks(at, sight, ends=60.0) for sight in sights]
    assert sum(map(len, times)) <= 4 * len(sights)
    assert max(taken[0] for taken in times) <= 40.0
    assert sum(taken[0] < 2.0 for taken in times) >= 50
    at.ended(sights[0], now=60.0, at_work=60.0)
    assert at.due(at.sight(KIND, accepted=0.0, now=0.0)) > 50.0


def test_one_that_takes_far_longer_than_expected_takes_few_requests_more() -> None:
    at = learned(*[10.0] * 20)
    times = looks(at, at.sight(KIND, accepted=0.0, now=0.0), ends=3600.0)
    assert len(times) <= MANY_POLLS + 15
    assert times[-1] <= 1.5 * 3600.0 + 1800.0


def test_an_end_that_lies_far_back_when_it_is_seen_teaches_nothing() -> None:
    at = rhythm()
    sight = at.sight(KIND, accepted=0.0, now=50_000.0)
    assert not at.ended(sight, now=50_000.0, at_work=None)
    assert at.due(at.sight(KIND, accepted=0.0, now=0.0)) < 2.0


def test_the_time_that_fal_tells_of_itself_is_not_believed_where_it_can_not_be() -> None:
    at = rhythm()
    sight = at.sight(KIND, accepted=0.0, now=0.0)
    times = looks(at, sight, ends=20.0)
    at.ended(sight, now=times[-1], at_work=86_400.0)
    assert at.due(at.sight(KIND, accepted=0.0, now=0.0)) < 40.0


def test_the_first_ends_and_then_fewer_are_news_to_those_that_wait() -> None:
    at = rhythm()
    news = []
    for _ in range(20):
        sight = at.sight(KIND, accepted=0.0, now=0.0)
        news.append(at.ended(sight, now=5.0, at_work=5.0))
    assert [number for number, told in enumerate(news, start=1) if told] == [1, 2, 4]
