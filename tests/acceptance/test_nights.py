"""A job file that a schedule starts: each night's limit holds, however often it is started."""

import signal
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

JOB = Path("jobs", "night.toml")
EAST, WEST = "Pacific/Kiritimati", "Pacific/Pago_Pago"
"""Zones that never have the same date."""

ONE_EACH_NIGHT = 0.60
"""In US dollars; a clip costs 0.56."""


def job_file(
    folder: Path, *, zone: str = EAST, run_usd: float = ONE_EACH_NIGHT, window: str = ""
) -> None:
    (folder / JOB).write_text(
        'manifests = ["manifest.csv"]\noutput = "../videos"\ndb = "sqlite:///../tweenbatch.db"\n'
        f'yes = true\n[window]\ntimezone = "{zone}"\n{window}\n[budget]\nrun = {run_usd}\n'
    )


@pytest.fixture(autouse=True)
def three_clips(tweenbatch: Command) -> None:
    (tweenbatch.folder / "jobs").mkdir()
    manifests.project(tweenbatch.folder / "jobs", 3)


def test_a_second_start_has_what_the_night_has_left(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch.folder)
    for _ in range(2):
        stopped = tweenbatch("run", str(JOB))
        assert stopped.returncode == 3
        assert "stopped by --max-cost" in stopped.stdout
        assert "next     tweenbatch run jobs/night.toml" in stopped.stdout
        assert fal.totals()["posts"] == 1
    job_file(tweenbatch.folder, run_usd=2 * ONE_EACH_NIGHT)
    assert tweenbatch("run", str(JOB)).returncode == 3
    assert fal.totals()["posts"] == 2


def test_the_next_night_has_a_limit_of_its_own_and_goes_on(
    tweenbatch: Command, fal: Server
) -> None:
    for night, zone in enumerate((EAST, WEST), start=1):
        job_file(tweenbatch.folder, zone=zone)
        assert tweenbatch("run", str(JOB)).returncode == 3
        assert fal.totals()["posts"] == night
    assert tweenbatch.jobs() == {"pending": 1, "succeeded": 2}


def test_another_job_has_a_limit_of_its_own(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch.folder)
    assert tweenbatch("run", str(JOB)).returncode == 3
    (tweenbatch.folder / JOB).rename(tweenbatch.folder / "jobs" / "other.toml")
    assert tweenbatch("run", "jobs/other.toml").returncode == 3
    assert fal.totals()["posts"] == 2


def test_a_night_that_was_killed_is_caught_up_within_its_limit(
    tweenbatch: Command, fal: Server
) -> None:
    job_file(tweenbatch.folder, run_usd=2 * ONE_EACH_NIGHT)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started("run", str(JOB)) as night:
        fal.wait_for("accepted", count=2)
        night.send_signal(signal.SIGKILL)
        night.wait()
    fal.script()
    caught_up = tweenbatch("run", str(JOB))
    assert caught_up.returncode == 3
    totals = fal.totals()
    assert (totals["posts"], totals["billed_usd"]) == (2, "1.12")
    assert tweenbatch.jobs() == {"pending": 1, "succeeded": 2}


def test_a_night_that_is_done_is_done(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch.folder, run_usd=5)
    for _ in range(2):
        assert tweenbatch("run", str(JOB)).returncode == 0
    assert fal.totals()["posts"] == 3


def test_a_window_ends_a_night_with_clips_in_flight(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch.folder, run_usd=5, window='max_duration = "1s"\ngrace = "1s"')
    fal.script({"on": "generation", "do": "hold"})
    ended = tweenbatch("run", str(JOB), "--concurrency", "1")
    assert ended.returncode == 3
    assert "stopped by --max-duration or --stop-at" in ended.stdout
    assert "in progress at fal: $0.56" in ended.stdout
    assert tweenbatch.jobs() == {"pending": 2, "submitted": 1}
    fal.script()
    fal.release()
    job_file(tweenbatch.folder, run_usd=5)
    assert tweenbatch("run", str(JOB)).returncode == 0
    assert fal.totals()["posts"] == 3


def test_a_night_that_would_overlap_another_is_turned_away(
    tweenbatch: Command, fal: Server
) -> None:
    job_file(tweenbatch.folder, run_usd=5)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started("run", str(JOB)) as first:
        fal.wait_for("accepted", count=3)
        second = tweenbatch("run", str(JOB))
        assert second.returncode == 75
        assert f"pid {first.pid}" in second.stderr
        fal.release()
        fal.script()
        assert first.wait() == 0
    assert fal.totals()["posts"] == 3
