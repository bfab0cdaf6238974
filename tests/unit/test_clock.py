from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from support.zones import local_zone
from tweenbatch.clock import local_day, local_month

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "now", "begins", "hours"),
    [
        ("UTC", "2026-03-01T23:59:59", "2026-03-01T00:00", 24),
        ("Europe/Berlin", "2026-03-28T23:00", "2026-03-28T23:00", 23),
        ("Europe/Berlin", "2026-03-29T21:59", "2026-03-28T23:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", 25),
        ("America/Los_Angeles", "2026-03-08T03:00", "2026-03-07T08:00", 24),
        ("Asia/Kolkata", "2026-03-01T18:29", "2026-02-28T18:30", 24),
        # The clocks go from 24:00 to 1:00.
        ("America/Santiago", "2026-09-06T12:00", "2026-09-06T04:00", 23),
        # The clocks go from 1:00 back to 0:00: the day has two midnights.
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00", 25),
        ("Australia/Lord_Howe", "2026-10-03T20:00", "2026-10-03T13:30", 23.5),
    ],
)
def test_a_day_is_that_of_the_machine_s_time_zone(
    zone: str, now: str, begins: str, hours: float
) -> None:
    with local_zone(zone):
        found = local_day(datetime.fromisoformat(now).replace(tzinfo=UTC))
    start = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert found == (start, start + hours * HOUR)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Santiago", "America/Havana"])
def test_every_moment_of_two_years_is_in_one_day_and_the_days_leave_no_gap(name: str) -> None:
    zone = ZoneInfo(name)
    days = set()
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with local_zone(name):
        while now.year < 2028:
            begins, ends = local_day(now)
            assert begins <= now < ends
            dates = {t.astimezone(zone).date() for t in (begins, now, ends - HOUR / 60)}
            assert len(dates) == 1
            days.add((begins, ends))
            now += HOUR / 2
    assert len(days) >= 730
    assert all(one[1] == next_one[0] for one, next_one in pairwise(sorted(days)))


@pytest.mark.parametrize(
    ("zone", "now", "begins", "ends"),
    [
        ("UTC", "2026-02-28T23:59", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("UTC", "2026-12-31T12:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("Europe/Berlin", "2026-03-31T21:59", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("Europe/Berlin", "2026-03-31T22:00", "2026-03-31T22:00", "2026-04-30T22:00"),
        # The clocks go from 1:00 back to 0:00 on the first day of the month.
        ("America/Havana", "2026-11-01T04:00", "2026-11-01T04:00", "2026-12-01T05:00"),
    ],
)
def test_a_month_is_that_of_the_machine_s_time_zone(
    zone: str, now: str, begins: str, ends: str
) -> None:
    with local_zone(zone):
        found = local_month(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == tuple(datetime.fromisoformat(end).replace(tzinfo=UTC) for end in (begins, ends))
