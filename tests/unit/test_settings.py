from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from support.zones import local_zone
from tweenbatch import paths
from tweenbatch.settings import (
    RunSettings,
    duration,
    expectation,
    next_occurrence,
    next_time,
    window,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 1, 4, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1h2m3s", 3723)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "0", "-5m", "soon", "h", "nan", "inf"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is Python's own
        duration(text)


def test_an_hour_means_its_next_occurrence() -> None:
    local = NOW.astimezone()
    later = next_time(f"{(local + timedelta(hours=1)):%H:%M}", now=NOW)
    earlier = next_time(f"{(local - timedelta(hours=1)):%H:%M}", now=NOW)
    assert timedelta(0) < later - NOW <= timedelta(hours=1)
    assert timedelta(hours=22) < earlier - NOW < timedelta(hours=24)


def test_the_earlier_of_two_ends_counts() -> None:
    settings = RunSettings(max_duration=timedelta(hours=1), stop_at=NOW + timedelta(hours=2))
    assert settings.submits_until(NOW) == NOW + timedelta(hours=1)
    assert RunSettings().submits_until(NOW) is None


def test_a_budget_finer_than_a_micro_dollar_is_refused() -> None:
    with pytest.raises(ValidationError, match="six decimals"):
        RunSettings(max_cost=Decimal("0.1234567"))


@pytest.mark.parametrize(
    ("values", "phrase"),
    [
        ({"limit": -1}, "expected at least 0"),
        ({"concurrency": 5000}, "expected at most 1000"),
        ({"max_cost": "five"}, "expected an amount in US dollars such as 5 or 5.00"),
        ({"max_cost": [5]}, "expected an amount in US dollars such as 5 or 5.00"),
        ({"max_cost": "0.1234567"}, "expected at most six decimals"),
        ({"limit": "many"}, "expected a whole number"),
        ({"limit": 1.5}, "expected a whole number"),
        ({"yes": "perhaps"}, "expected true or false"),
    ],
)
def test_a_rejected_setting_names_the_expected_value_in_our_words(
    values: dict[str, Any], phrase: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        RunSettings(**values)
    assert [expectation(error) for error in caught.value.errors()] == [phrase]


@pytest.mark.parametrize(
    ("real", "rehearsal"),
    [
        ("sqlite:///tweenbatch.db", "sqlite:///rehearsal/tweenbatch.db"),
        ("sqlite:////data/jobs/a.db", "sqlite:////data/jobs/rehearsal/a.db"),
        ("sqlite:///rehearsal/tweenbatch.db", "sqlite:///rehearsal/tweenbatch.db"),
        ("postgresql://host/jobs", "sqlite:///rehearsal/tweenbatch.db"),
    ],
)
def test_a_rehearsal_has_a_table_of_its_own(real: str, rehearsal: str) -> None:
    assert paths.rehearsal_db(real) == rehearsal


def test_a_rehearsal_has_a_folder_of_its_own() -> None:
    assert paths.rehearsal_output(Path("videos")) == Path("rehearsal/videos")
    assert paths.rehearsal_output(Path("/data/clips")) == Path("/data/rehearsal/clips")
    assert paths.rehearsal_output(Path("rehearsal/videos")) == Path("rehearsal/videos")


@pytest.mark.parametrize(
    ("zone", "now", "wanted", "comes"),
    [
        # Clocks leap from 2:00 to 3:00, and fall back from 3:00 to 2:00.
        ("Europe/Berlin", "2026-03-28T23:00Z", "02:30", "2026-03-29T01:30Z"),
        ("Europe/Berlin", "2026-10-24T22:00Z", "02:30", "2026-10-25T00:30Z"),
        ("Europe/Berlin", "2026-10-25T01:00Z", "02:30", "2026-10-26T01:30Z"),
        ("America/New_York", "2026-03-08T05:00Z", "02:30", "2026-03-08T07:30Z"),
        ("America/New_York", "2026-11-01T04:00Z", "01:30", "2026-11-01T05:30Z"),
        # Half an hour only; and midnight itself is leapt over.
        ("Australia/Lord_Howe", "2026-10-03T14:00Z", "02:15", "2026-10-03T15:45Z"),
        ("Africa/Cairo", "2026-04-23T20:00Z", "00:15", "2026-04-23T22:15Z"),
        ("Asia/Kathmandu", "2026-06-01T00:00Z", "06:30", "2026-06-01T00:45Z"),
    ],
)
def test_a_time_of_day_is_found_also_where_clocks_are_changed(
    zone: str, now: str, wanted: str, comes: str
) -> None:
    instant = datetime.fromisoformat(now)
    expected = datetime.fromisoformat(comes)
    at = time.fromisoformat(wanted)
    assert next_occurrence(at, now=instant, zone=ZoneInfo(zone)) == expected
    with local_zone(zone):
        assert next_time(wanted, now=instant) == expected


@pytest.mark.parametrize(
    ("opens", "closes", "now", "from_", "until"),
    [
        ("04:00", "06:30", "05:00", "03-01T04:00", "03-01T06:30"),
        ("04:00", "06:30", "03:00", "03-01T04:00", "03-01T06:30"),
        # Over for today: a run begins with a window that is past, and waits for no other day's.
        ("04:00", "06:30", "07:00", "03-01T04:00", "03-01T06:30"),
        # Across midnight, before and after it.
        ("22:00", "06:30", "23:00", "03-01T22:00", "03-02T06:30"),
        ("22:00", "06:30", "05:00", "02-28T22:00", "03-01T06:30"),
        ("22:00", "06:30", "07:00", "03-01T22:00", "03-02T06:30"),
        ("04:00", None, "03:00", "03-01T04:00", None),
        ("04:00", None, "23:00", "03-01T04:00", None),
        (None, "06:30", "07:00", None, "03-02T06:30"),
        (None, None, "07:00", None, None),
    ],
)
def test_a_window_is_that_in_which_it_is_or_the_one_of_its_day(
    opens: str | None, closes: str | None, now: str, from_: str | None, until: str | None
) -> None:
    def instant(text: str | None) -> datetime | None:
        return (
            None if text is None else datetime.fromisoformat(f"2026-{text}").replace(tzinfo=BERLIN)
        )

    found = window(
        None if opens is None else time.fromisoformat(opens),
        None if closes is None else time.fromisoformat(closes),
        now=datetime.fromisoformat(f"2026-03-01T{now}").replace(tzinfo=BERLIN),
        zone=BERLIN,
    )
    assert found == (instant(from_), instant(until))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 2),
        ("Europe/Berlin", "2026-10-25", 4),
        ("America/New_York", "2026-03-08", 2),
        ("America/New_York", "2026-11-01", 4),
        ("Australia/Lord_Howe", "2026-10-04", 2.5),
    ],
)
def test_a_window_from_one_to_four_is_shorter_or_longer_where_clocks_are_changed(
    zone: str, day: str, hours: float
) -> None:
    place = ZoneInfo(zone)
    begun = datetime.fromisoformat(f"{day}T00:30").replace(tzinfo=place)
    opens, closes = window(time(1), time(4), now=begun, zone=place)
    assert opens is not None
    assert closes is not None
    assert closes - opens == timedelta(hours=hours)
