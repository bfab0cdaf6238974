"""How a plan reads: times, reasons, and what a text from a manifest can't do to a terminal."""

from decimal import Decimal
from pathlib import Path

import pytest

from support.jobtable import row
from tweenbatch.planning.estimate import estimate
from tweenbatch.records import ClipDuration
from tweenbatch.records.plan import Estimate, Group, Plan, PlannedRow
from tweenbatch.report import plan as planned
from tweenbatch.report import text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (90, "2 min"),
        (1475, "25 min"),
        (99 * 60, "99 min"),
        (100 * 60, "1 h 40 min"),
        (7200, "2 h"),
        (119.9 * 60, "2 h"),
        (200 * 3600, "200 h"),
    ],
)
def test_a_time_is_as_exact_as_an_estimate_can_be(seconds: float, said: str) -> None:
    assert text.span(seconds) == said


def guess(clips: int, *took: ClipDuration, concurrency: int = 8) -> Estimate:
    return estimate(clips, endpoints={"kling"}, latest=took, concurrency=concurrency)


def test_the_median_tells_the_pace_whatever_one_clip_took_overnight() -> None:
    took = [ClipDuration(endpoint="kling", seconds=each) for each in (118, 110, 30_000)]
    assert planned.duration(guess(100, *took)) == (
        "about 25 min at 8 at a time (recent clips took 118 s)"
    )


def test_a_few_clips_take_no_less_than_one() -> None:
    assert guess(1, ClipDuration(endpoint="kling", seconds=100)).low_seconds == 100


def test_clips_of_another_model_tell_nothing() -> None:
    assert guess(8, ClipDuration(endpoint="veo", seconds=1)).clips_seen == 0


def plan_of(*reasons: str, count: int = 1) -> list[str]:
    rows = [
        PlannedRow(
            manifest=Path("/jobs/m.csv"),
            row=row(number, name="n\x1b[2J"),
            group=Group.CHANGED,
            price_usd=Decimal("0.56"),
            reasons=reasons,
        )
        for number in range(2, 2 + count)
    ]
    return planned.lines(
        Plan(manifests=(Path("/jobs/m.csv"),), here={}, elsewhere={}, listed=tuple(rows))
    )


def test_a_name_from_a_manifest_steers_no_terminal() -> None:
    assert all(line.isprintable() for line in plan_of("start frame changed (\x1b → \n)"))


def test_of_many_changes_the_first_are_told_and_the_rest_counted() -> None:
    lines = plan_of("prompt changed", count=25)
    assert sum("prompt changed" in line for line in lines) == 20
    assert lines[-1].strip() == "… and 5 more: plan --json"
