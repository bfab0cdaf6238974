"""What is to be run stands in a file; the environment and the command line have the last word."""

import json
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server


def job_file(folder: Path, text: str, name: str = "night.toml") -> Path:
    """Write a job file into ``jobs``, and the manifests that it may name beside it."""
    jobs = folder / "jobs"
    jobs.mkdir(exist_ok=True)
    (jobs / name).write_text(text, encoding="utf-8")
    return Path("jobs", name)


def shown(tweenbatch: Command, path: Path, *options: str) -> dict[str, list[Any]]:
    """Return each value, and where it is from."""
    told: dict[str, list[Any]] = json.loads(
        tweenbatch("config", "show", str(path), "--json", *options).stdout
    )
    return told


def test_a_job_file_is_run_with_paths_relative_to_it(tweenbatch: Command, fal: Server) -> None:
    path = job_file(
        tweenbatch.folder,
        'manifests = ["*.csv"]\noutput = "../clips"\ndb = "sqlite:///night.db"\nyes = true\n'
        'name = "{start}-{row}"\n[set]\nduration = 10\n[budget]\nrun = 1.20',
    )
    manifests.project(tweenbatch.folder / "jobs", 3, duration="")
    ran = tweenbatch("run", str(path))
    assert ran.returncode == 3, ran.stderr
    assert "stopped by --max-cost" in ran.stdout
    assert [each["input"]["duration"] for each in fal.ledger()["accepted"]] == ["10"]
    assert [clip.name for clip in tweenbatch.folder.glob("clips/*.mp4")] == ["a-2.mp4"]
    assert (tweenbatch.folder / "jobs" / "night.db").exists()
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_a_plan_of_a_job_file_is_that_of_its_run(tweenbatch: Command) -> None:
    path = job_file(tweenbatch.folder, 'manifests = ["manifest.csv"]\ntakes = 2')
    manifests.project(tweenbatch.folder / "jobs", 3)
    plan = tweenbatch("plan", str(path))
    assert "would submit 6 clips for $3.36" in plan.stdout


def test_the_environment_is_above_the_file_and_the_command_line_above_both(
    tweenbatch: Command,
) -> None:
    path = job_file(
        tweenbatch.folder,
        'manifests = ["m.csv"]\noutput = "file"\nconcurrency = 3\nsettle = "2m"\n[budget]\nrun = 5',
    )
    environment = {"TWEENBATCH_OUTPUT": "environment"}
    command = Command(folder=tweenbatch.folder, environment=environment)
    told = shown(command, path, "--concurrency", "7")
    assert told["output"] == ["environment", "TWEENBATCH_OUTPUT"]
    assert told["concurrency"] == [7, "--concurrency"]
    assert told["settle"] == ["120s", "jobs/night.toml"]
    assert told["budget.run"] == ["5", "jobs/night.toml"]
    assert told["max_in_flight"] == [48, "default"]
    assert told["manifests"] == [["jobs/m.csv"], "jobs/night.toml"]


def test_a_password_is_not_shown(tweenbatch: Command) -> None:
    db = "postgresql://me:secret@example.com/jobs"
    path = job_file(tweenbatch.folder, f'manifests = ["m.csv"]\ndb = "{db}"')
    assert shown(tweenbatch, path)["db"][0] == "postgresql://me:***@example.com/jobs"
    assert "secret" not in tweenbatch("config", "show", str(path)).stdout


def test_a_stop_time_is_that_of_the_zone_in_the_file(tweenbatch: Command) -> None:
    text = 'manifests = ["m.csv"]\n[window]\nstop_at = "06:30"\ntimezone = "Asia/Tokyo"'
    path = job_file(tweenbatch.folder, text)
    command = Command(folder=tweenbatch.folder, environment={"TZ": "UTC"})
    stop, source = shown(command, path)["window.stop_at"]
    assert stop.endswith("T21:30+00:00")
    assert source == "jobs/night.toml"


ONE = 'manifests = ["m.csv"]\n'

WRONG = {
    'manifests = "m.csv"': 'manifests = "m.csv": expected a list such as',
    "": 'manifests: missing; name at least one, e.g. manifests = ["manifest.csv"]',
    "manifests = []": "manifests: missing; name at least one",
    f"{ONE}concurency = 3": "concurency: there is no such key; did you mean concurrency?",
    f"{ONE}max_cost = 3": "max_cost: there is no such key; did you mean budget.run",
    f'{ONE}stop_at = "06:30"': "stop_at: there is no such key; did you mean window.stop_at",
    f"{ONE}[budget]\nnight = 3": "budget.night: there is no such key",
    f"{ONE}colour = 1": "colour: there is no such key; the keys are manifests, inbox, model",
    f'{ONE}concurrency = "many"': 'concurrency = "many": expected auto or a number from 1 to 1000',
    f'{ONE}settle = "soon"': 'settle = "soon": expected e.g. 90s, 45m, 2h or 1h30m',
    f"{ONE}[budget]\nrun = -1": "budget.run = -1: expected at least 0",
    f'{ONE}[window]\ntimezone = "Mars/Base"': (
        'window.timezone = "Mars/Base": expected a time zone such as Europe/Berlin'
    ),
    f'{ONE}[window]\nstop_at = "late"': (
        'window.stop_at = "late": expected a time of day such as 06:30'
    ),
    f'{ONE}fit = "stretch"': "fit = \"stretch\": expected 'pad' or 'crop'",
    f'{ONE}frames = ["nowhere"]': "frames: there is no folder jobs/nowhere",
    f'{ONE}model = "klingg"': "model = \"klingg\": there is no model 'klingg'",
    f'{ONE}name = "../../"': (
        "name = \"../../\": --name '../../': '..' can't be a file or folder name"
    ),
    'manifests = ["m.csv"\ntakes = 2': "isn't valid TOML: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_job_file_is_said_with_its_key_and_costs_nothing(
    tweenbatch: Command, fal: Server, text: str
) -> None:
    path = job_file(tweenbatch.folder, text)
    ran = tweenbatch("run", str(path), "--yes")
    assert ran.returncode == 2
    head, *problems = ran.stderr.splitlines()
    assert head == f"tweenbatch: {path}: 1 problem; nothing was done"
    assert len(problems) == 1
    assert WRONG[text] in problems[0]
    assert fal.ledger()["posts"] == 0


def test_all_that_is_wrong_is_reported_at_once(tweenbatch: Command) -> None:
    path = job_file(tweenbatch.folder, 'manifests = []\ntakes = 0\n[budget]\nday = "much"')
    said = tweenbatch("run", str(path)).stderr
    assert [line.split()[0].rstrip(":") for line in said.splitlines()[1:]] == [
        "manifests",
        "takes",
        "budget.day",
    ]


def test_a_file_that_is_not_there_is_named(tweenbatch: Command) -> None:
    ran = tweenbatch("run", "night.toml")
    assert ran.returncode == 2
    assert "night.toml" in ran.stderr
    assert "can't be read: No such file or directory" in ran.stderr


def test_a_job_file_stands_alone(tweenbatch: Command) -> None:
    ran = tweenbatch("run", "night.toml", "more.csv")
    assert ran.returncode == 2
    assert "a job file lists its own manifests" in ran.stderr


def test_a_folder_with_the_characters_of_a_pattern_is_no_pattern(tweenbatch: Command) -> None:
    folder = tweenbatch.folder / "jobs [old]"
    folder.mkdir()
    manifests.project(folder, 1)
    (folder / "night.toml").write_text('manifests = ["*.csv"]')
    assert "1 clip for $0.56" in tweenbatch("plan", "jobs [old]/night.toml").stdout
