"""The history of one job: as lines for a person and as JSON for a program."""

import json

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


@pytest.fixture(autouse=True)
def three_rows(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)


def test_a_clip_is_reported_with_its_row_request_money_and_file(
    tweenbatch: Command, fal: Server
) -> None:
    assert tweenbatch(*RUN).returncode == 0
    (request,) = (
        each for each in fal.ledger()["accepted"] if "number 2" in each["input"]["prompt"]
    )
    told = tweenbatch("show", "CLIP-2").stdout
    assert told.splitlines()[0] == "job 2  clip-2  succeeded"
    for part in (
        "manifest.csv, row 3 (clip-2)",
        "prompt number 2: @Image1 becomes @Image2",
        "a.png to ",
        "succeeded, $0.56 paid",
        request["request_id"],
        request["video"]["sha256"],
        "videos/clip-2.mp4",
    ):
        assert part in told
    assert "next" not in told


def test_a_program_reads_the_same(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "fail", "prompt_contains": "number 1", "status": 422})
    assert tweenbatch(*RUN).returncode == 1
    told = json.loads(tweenbatch("show", "1", "--json").stdout)
    (attempt,) = told["attempts"]
    assert (told["state"], attempt["outcome"], attempt["http_status"]) == ("failed", "failed", 422)
    assert told["error"].startswith(attempt["error_type"])
    assert attempt["request_id"] in {each["request_id"] for each in fal.ledger()["accepted"]}
    assert [row["row"] for row in told["asked_by"]] == [2]
    assert "next       tweenbatch retry 1" in tweenbatch("show", "1").stdout


def test_each_attempt_is_reported_in_its_order(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "fail", "prompt_contains": "number 1", "status": 422})
    tweenbatch(*RUN)
    fal.script()
    assert tweenbatch("retry", "1", "--yes").returncode == 0
    assert tweenbatch("run", "--yes").returncode == 0
    attempts = json.loads(tweenbatch("show", "1", "--json").stdout)["attempts"]
    assert [(each["number"], each["outcome"]) for each in attempts] == [
        (1, "failed"),
        (2, "succeeded"),
    ]


def test_what_nobody_knows_the_outcome_of_says_what_to_do(tweenbatch: Command, fal: Server) -> None:
    fal.script(
        {"on": "submit", "do": "reset", "at": "reply", "prompt_contains": "number 3"},
        {"on": "history", "do": "reply", "status": 403},
    )
    assert tweenbatch(*RUN, "--settle", "0").returncode == 5
    told = tweenbatch("show", "3").stdout
    assert "unknown, $0.56 reserved" in told
    assert "tweenbatch resolve 3" in told


@pytest.mark.parametrize("job", ["99", "nobody", "clip-%"])
def test_what_is_not_there_is_reported(tweenbatch: Command, job: str) -> None:
    assert tweenbatch(*RUN).returncode == 0
    asked = tweenbatch("show", job)
    assert asked.returncode == 2
    assert f"there is no job {job} and no clip of that name" in asked.stderr
