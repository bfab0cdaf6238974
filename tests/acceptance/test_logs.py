"""The log of a run: lines that say which job and request they are about, and never a secret."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import KEY, Command
from support.fal import Server
from support.faulty import Disk, needs_strace

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture(autouse=True)
def two_clips(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 2)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_line_of_a_job_names_run_job_and_request(tweenbatch: Command, fal: Server) -> None:
    ran = tweenbatch(*RUN, "--log-format", "json", "--log-file", "logs/run.log")
    assert ran.returncode == 0
    told = lines((tweenbatch.folder / "logs" / "run.log").read_text())
    assert {line["run"] for line in told} == {1}
    requests = {each["request_id"] for each in fal.ledger()["accepted"]}
    for job in (1, 2):
        story = [line for line in told if line["job"] == job]
        assert [line["message"].split()[0] for line in story] == [
            *("submits", "accepted", "generated", "fetched"),
        ]
        (request,) = {line["request"] for line in story[1:]}
        assert request in requests
    assert told[0]["message"].startswith("run 1 begins: manifest.csv")
    assert told[-1]["message"] == "run 1 ends with 0, $1.12 spent"


def test_stderr_is_json_and_nothing_else_where_that_is_asked_for(
    tweenbatch: Command, fal: Server
) -> None:
    fal.script({"on": "submit", "do": "lock"})
    ran = tweenbatch(*RUN, "--json", "--log-format", "json")
    assert ran.returncode == 4
    told = lines(ran.stderr)
    assert any("locked" in line["message"] for line in told)
    assert json.loads(ran.stdout)["exit_code"] == 4


def test_an_error_is_a_line_too(tweenbatch: Command) -> None:
    (tweenbatch.folder / "manifest.csv").write_text("prompt\nx\n")
    ran = tweenbatch(*RUN, "--log-format", "json")
    assert ran.returncode == 2
    (line,) = lines(ran.stderr)
    assert line["level"] == "error"
    assert "start_image" in line["message"]


def test_a_person_s_screen_stays_as_it_is_beside_a_file(tweenbatch: Command) -> None:
    ran = tweenbatch(*RUN, "--log-file", "run.log")
    assert "INFO" not in ran.stderr
    text = (tweenbatch.folder / "run.log").read_text()
    assert "INFO    run=1 job=1 request=" in text
    assert stat.S_IMODE((tweenbatch.folder / "run.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("level", ["info", "debug"])
def test_no_secret_is_in_it(tweenbatch: Command, fal: Server, level: str) -> None:
    rows = manifests.rows(2)
    for row in rows:
        row["prompt"] = "an unheard-of prompt"
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    fal.script({"on": "generation", "do": "fail", "status": 422, "type": "bad", "message": KEY})
    tweenbatch(*RUN, "--log-file", "run.log", "--log-level", level)
    text = (tweenbatch.folder / "run.log").read_text()
    for part in (KEY, *KEY.split(":")):
        assert part not in text
    if level == "info":
        assert "unheard-of" not in text


def test_it_goes_on_in_the_same_file(tweenbatch: Command) -> None:
    for _ in range(2):
        assert tweenbatch(*RUN, "--log-file", "run.log").returncode == 0
    text = (tweenbatch.folder / "run.log").read_text()
    assert "run 1 ends with 0" in text
    assert "run 2 ends with 0" in text


def test_an_impossible_file_is_reported_before_anything_is_paid(
    tweenbatch: Command, fal: Server
) -> None:
    (tweenbatch.folder / "file").touch()
    ran = tweenbatch(*RUN, "--log-file", "file/run.log")
    assert ran.returncode == 2
    assert "--log-file file/run.log: can't be written" in ran.stderr
    assert fal.totals()["posts"] == 0


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="there is no /dev/full here")
@needs_strace
def test_a_disk_that_is_full_costs_lines_and_no_clip(tweenbatch: Command) -> None:
    full = Disk(calls="write", error="ENOSPC", files=("run.log",))
    ran, _ = full.run(tweenbatch, 1, *RUN, "--log-file", "run.log")
    assert ran.returncode == 0
    assert ran.stderr.count("can't be written") == 1
    assert tweenbatch.jobs() == {"succeeded": 2}


def test_a_job_file_says_it_too(tweenbatch: Command) -> None:
    Path(tweenbatch.folder, "night.toml").write_text(
        'manifests = ["manifest.csv"]\nyes = true\nlog_file = "logs/night.log"\n'
        'log_format = "json"\nlog_level = "debug"\n'
    )
    assert tweenbatch("run", "night.toml").returncode == 0
    assert lines((tweenbatch.folder / "logs" / "night.log").read_text())
