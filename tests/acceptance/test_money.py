"""Limits are exact, trouble costs no row an attempt, and no reply is worth a second POST."""

from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


@pytest.mark.parametrize("concurrency", ["1", "8"])
def test_the_budget_stops_before_the_submission_that_would_pass_it(
    tweenbatch: Command, fal: Server, concurrency: str
) -> None:
    manifests.project(tweenbatch.folder, 6)
    stopped = tweenbatch(*RUN, "--max-cost", "1.70", "--concurrency", concurrency)
    assert stopped.returncode == 3
    assert "stopped by --max-cost" in stopped.stdout
    assert fal.ledger()["billed_usd"] == "1.68"
    assert tweenbatch.jobs() == {"pending": 3, "succeeded": 3}


def test_a_budget_that_is_just_enough_is_enough(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    assert tweenbatch(*RUN, "--max-cost", "1.68").returncode == 0
    assert fal.ledger()["billed_usd"] == "1.68"


def test_what_was_not_billed_goes_back_into_the_budget(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(
        {
            "on": "generation",
            "do": "fail",
            "status": 500,
            "type": "internal_server_error",
            "retryable": False,
            "prompt_contains": "number 1",
        }
    )
    run = tweenbatch(*RUN, "--max-cost", "0.56", "--concurrency", "1")
    assert run.returncode == 1
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": 1}
    assert fal.ledger()["billed_usd"] == "0.56"


def test_a_limit_of_submissions_is_exact(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 5)
    assert tweenbatch(*RUN, "--limit", "2").returncode == 3
    assert fal.ledger()["posts"] == 2
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 5


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"do": "lock"}, "User is locked"),
        ({"do": "reply", "status": 401}, "401"),
    ],
)
def test_account_trouble_stops_the_batch_and_costs_no_row_an_attempt(
    tweenbatch: Command, fal: Server, fault: dict[str, object], words: str
) -> None:
    manifests.project(tweenbatch.folder, 6)
    fal.script(
        {"on": "submit", "from_nth": 3, **fault}
        if "status" in fault
        else {"on": "submit", "nth": 3, **fault}
    )
    stopped = tweenbatch(*RUN, "--concurrency", "1")
    assert stopped.returncode == 4
    assert words in stopped.stdout
    assert tweenbatch.jobs() == {"pending": 4, "succeeded": 2}
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (3, 2)
    fal.script()
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["accepted_count"] == 6


def test_too_many_requests_is_waited_out(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script(
        {"on": "submit", "do": "reply", "status": 429, "times": 1, "headers": {"Retry-After": "1"}}
    )
    assert tweenbatch(*RUN).returncode == 0
    ledger = fal.ledger()
    assert ledger["accepted_count"] == 3
    assert ledger["duplicates"] == []


AFTER_ACCEPTANCE: list[dict[str, object]] = [
    {"do": "reset", "at": "reply"},
    {"do": "close", "at": "reply"},
    {"do": "half"},
    {"do": "reply", "at": "reply", "status": 502},
    {"do": "reply", "at": "reply", "status": 409},
    {"do": "reply", "at": "reply", "status": 200, "body": "<html>hello</html>"},
    {"do": "change", "drop": ["request_id"]},
]


@pytest.mark.parametrize(
    "fault", AFTER_ACCEPTANCE, ids=lambda fault: "-".join(map(str, fault.values()))
)
def test_a_submission_whose_reply_is_lost_is_looked_up_and_never_sent_again(
    tweenbatch: Command, fal: Server, fault: dict[str, object]
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "submit", "nth": 2, **fault})
    run = tweenbatch(*RUN, "--concurrency", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "fal had accepted it" in run.stderr
    assert tweenbatch.jobs() == {"succeeded": 3}
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (3, 3)
    assert ledger["downloads"]["finished"] == 3


def test_of_two_equal_inputs_each_request_serves_one(tweenbatch: Command, fal: Server) -> None:
    """The first take's submission is lost before fal has it; the second's answer is late."""
    manifests.project(tweenbatch.folder, 1, takes="2")
    fal.script(
        {"on": "submit", "do": "reset", "at": "arrival", "nth": 1},
        {"on": "submit", "do": "delay", "at": "reply", "nth": 2, "seconds": 12},
    )
    run = tweenbatch(*RUN, "--settle", "0")
    assert run.returncode == 5, run.stderr
    assert "see the log" not in run.stderr
    assert tweenbatch.jobs() == {"succeeded": 1, "uncertain": 1}
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (2, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_where_the_history_can_t_be_read_the_job_stays_uncertain_with_its_price(
    tweenbatch: Command, fal: Server, status: int
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script(
        {"on": "submit", "do": "reset", "at": "reply", "nth": 2},
        {"on": "history", "do": "reply", "status": status},
    )
    run = tweenbatch(*RUN, "--concurrency", "1")
    assert run.returncode == 5
    assert f"can't be read (HTTP {status}: " in run.stderr
    assert "$0.56 is uncertain" in run.stdout
    assert "clip-2  uncertain ($0.56)" in run.stdout
    assert tweenbatch.jobs() == {"succeeded": 2, "uncertain": 1}
    fal.script()
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 3


def test_trouble_of_the_service_is_tried_again_and_paid_once(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(
        {
            "on": "generation",
            "do": "fail",
            "status": 500,
            "type": "downstream_service_error",
            "prompt_contains": "number 1",
            "times": 1,
        }
    )
    assert tweenbatch(*RUN).returncode == 0
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["billed_usd"]) == (3, "1.12")


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "truncate", "after_bytes": 300, "framing": "length"},
        {"do": "truncate", "after_bytes": 300, "framing": "chunked"},
        {"do": "truncate", "after_bytes": 300, "framing": "short_length"},
        {"do": "reply", "status": 200, "body": "<html>not found</html>"},
        {"do": "reply", "status": 200, "body": ""},
        {"do": "reply", "status": 503},
        {"do": "reset"},
        {"do": "expire", "times": 1},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_a_bad_download_is_made_again_and_never_taken_for_a_clip(
    tweenbatch: Command, fal: Server, fault: dict[str, object]
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "download", "nth": 1, **fault})
    assert tweenbatch(*RUN).returncode == 0
    ledger = fal.ledger()
    assert ledger["posts"] == 2
    videos = sorted((tweenbatch.folder / "videos").glob("*.mp4"))
    assert [path.stat().st_size for path in videos] == [
        accepted["video"]["bytes"] for accepted in ledger["accepted"]
    ]


def test_a_clip_that_can_not_be_had_stays_paid_and_is_fetched_by_the_next_run(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "download", "do": "reset"})
    run = tweenbatch(*RUN, "--settle", "0")
    assert run.returncode == 3
    assert tweenbatch.jobs() == {"ready": 1}
    fal.script()
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 1


def test_a_file_of_somebody_else_is_never_overwritten(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    (tweenbatch.folder / "videos").mkdir()
    other = tweenbatch.folder / "videos" / "clip-1.mp4"
    other.write_bytes(b"somebody else's")
    assert tweenbatch(*RUN).returncode == 0
    assert other.read_bytes() == b"somebody else's"
    assert len(list((tweenbatch.folder / "videos").glob("clip-1-*.mp4"))) == 1


def own_frames(folder: Path, count: int) -> None:
    """Write a manifest whose rows share no frame."""
    rows = manifests.rows(count)
    for number, row in enumerate(rows):
        for column, blue in (("start_image", 10), ("end_image", 200)):
            row[column] = manifests.frame(folder / f"{number}-{blue}.png", (40, number, blue)).name
    manifests.write(folder / "manifest.csv", rows)


def test_frames_go_to_fal_while_the_clip_before_is_made(tweenbatch: Command, fal: Server) -> None:
    own_frames(tweenbatch.folder, 6)
    fal.script({"on": "generation", "do": "hold", "id": "first", "nth": 1})
    with tweenbatch.started(*RUN, "--concurrency", "1"):
        fal.wait_for("accepted")
        fal.wait_for("uploaded", count=4)
        assert fal.ledger()["posts"] == 1
        fal.release("first")
        fal.wait_for("completed", count=6)


def test_no_frame_goes_to_fal_for_a_job_beyond_the_limit(tweenbatch: Command, fal: Server) -> None:
    own_frames(tweenbatch.folder, 6)
    assert tweenbatch(*RUN, "--concurrency", "1", "--limit", "1").returncode == 3
    assert fal.ledger()["requests"]["upload"] == 2
