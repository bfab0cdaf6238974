"""A person settles what fal's history could not, knowing what it means."""

import json

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal

RUN = ("run", "manifest.csv", "--yes", "--concurrency", "1")
NO_HISTORY = {"on": "history", "do": "reply", "status": 403}


@pytest.fixture
def in_doubt(tweenbatch: Command, fal: Server) -> int:
    """The id of a job whose reply was lost, and whose history can't be read."""
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "submit", "do": "reset", "at": "reply", "nth": 1}, NO_HISTORY)
    assert tweenbatch(*RUN).returncode == 5
    fal.script(NO_HISTORY)
    (attention,) = json.loads(tweenbatch("status", "--json").stdout)["attention"]
    return int(attention["job"])


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ((), "it may still be running at fal"),
        ((NO_HISTORY,), "fal's list of past requests can't be read (HTTP 403: "),
    ],
)
def test_why_a_submission_stays_uncertain_is_reported_at_the_end(
    tweenbatch: Command, fal: Server, history: tuple[dict[str, object], ...], why: str
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "submit", "do": "reset", "at": "arrival", "nth": 1}, *history)
    assert tweenbatch(*RUN, "--settle", "0").returncode == 5
    # What an earlier run left is looked for, however short the time.
    ended = tweenbatch("run", "--settle", "0")
    assert ended.returncode == 5
    assert ended.stderr.count("uncertain jobs are still unresolved: ") == 1
    assert f"uncertain jobs are still unresolved: {why}" in ended.stderr


def test_an_adopted_request_is_collected_and_not_paid_again(
    tweenbatch: Command, fal: Server, in_doubt: int
) -> None:
    request_id = fal.ledger()["accepted"][0]["request_id"]
    resolved = tweenbatch("resolve", str(in_doubt), "--adopt", request_id, "--yes")
    assert resolved.returncode == 0
    assert "; free" in resolved.stderr
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 2}
    assert fal.ledger()["posts"] == 2


def test_what_a_person_calls_absent_is_submitted_again(
    tweenbatch: Command, fal: Server, in_doubt: int
) -> None:
    resolved = tweenbatch("resolve", str(in_doubt), "--absent", "--yes")
    assert resolved.returncode == 0
    assert "pays $0.56" in resolved.stderr
    assert "paid for twice" in resolved.stderr
    assert tweenbatch.jobs() == {"pending": 1, "succeeded": 1}
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 3


def test_what_a_person_gives_up_counts_as_spent(tweenbatch: Command, in_doubt: int) -> None:
    resolved = tweenbatch("resolve", str(in_doubt), "--give-up", "--yes", "--json")
    assert json.loads(resolved.stdout) == {"resolved": {str(in_doubt): "failed"}}
    money = json.loads(tweenbatch("status", "--json").stdout)["money"]
    assert (money["spent"], money["uncertain"]) == (1.12, 0.0)


def test_nothing_changes_until_somebody_agrees(tweenbatch: Command, in_doubt: int) -> None:
    refused = tweenbatch("resolve", str(in_doubt), "--absent")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    with terminal(tweenbatch, "resolve", str(in_doubt), "--absent") as screen:
        screen.read_until("Continue?")
        assert "paid for twice" in screen.screen.replace("\r\n", "")
        screen.type("n")
        assert screen.end() == 2
    assert tweenbatch.jobs() == {"succeeded": 1, "uncertain": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("JOB --absent --give-up", "choose one of"),
        ("JOB", "choose one of"),
        ("JOB --adopt ../../etc/passwd", "not a request id of fal"),
        ("JOB 999 --absent", "job 999: not uncertain"),
        ("2 --give-up", "job 2: not ready or submitted or uncertain"),
        ("2 --adopt some-id", "job 2: not failed or uncertain"),
        ("JOB 2 --adopt some-id", "--adopt needs exactly one job number"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    tweenbatch: Command, in_doubt: int, arguments: str, words: str
) -> None:
    refused = tweenbatch("resolve", *arguments.replace("JOB", str(in_doubt)).split(), "--yes")
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert tweenbatch.jobs() == {"succeeded": 1, "uncertain": 1}


def test_a_request_of_another_job_is_not_adopted(
    tweenbatch: Command, fal: Server, in_doubt: int
) -> None:
    taken = fal.ledger()["accepted"][1]["request_id"]
    refused = tweenbatch("resolve", str(in_doubt), "--adopt", taken, "--yes")
    assert refused.returncode == 2
    assert "another attempt has it" in refused.stderr
    assert tweenbatch.jobs() == {"succeeded": 1, "uncertain": 1}


NO_CLIP = (
    {"on": "result", "do": "change", "drop": ["video"]},
    {"on": "history", "do": "change", "drop": ["items.0.json_output.video"]},
)


def test_a_paid_clip_whose_result_was_unreadable_is_read_once_more_for_free(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(*NO_CLIP)
    ended = tweenbatch(*RUN)
    assert ended.returncode == 1
    (attention,) = json.loads(tweenbatch("status", "--json").stdout)["attention"]
    assert attention["error_type"] == "paid_unreadable"
    fal.script()
    job, request_id = str(attention["job"]), attention["request_id"]
    assert tweenbatch("resolve", job, "--adopt", request_id, "--yes").returncode == 0
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 1


def test_what_costs_nothing_is_offered_before_what_is_paid_for(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(
        {"on": "result", "do": "change", "drop": ["video"]},
        {
            "on": "history",
            "do": "change",
            "drop": ["items.0.json_output.video", "items.1.json_output.video"],
        },
    )
    ended = tweenbatch(*RUN)
    assert "next     tweenbatch resolve JOB --read-again" in ended.stdout
    told = tweenbatch("show", "1").stdout
    free, paid = told.index("resolve 1 --read-again"), told.index("retry 1  (queues it again, for")
    assert free < paid
    fal.script()
    resolved = tweenbatch("resolve", "1", "2", "--read-again", "--yes")
    assert resolved.returncode == 0
    assert "; free" in resolved.stderr
    assert tweenbatch.jobs() == {"submitted": 2}
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 2}
    assert fal.ledger()["posts"] == 2


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        ({"on": "result", "do": "reply", "status": 429}, "submitted"),
        ({"on": "download", "do": "reply", "status": 502}, "ready"),
    ],
)
def test_a_paid_clip_that_can_not_be_had_is_shown_with_a_way_out(
    tweenbatch: Command, fal: Server, fault: dict[str, object], state: str
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(fault)
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("fault_played")
        run.kill()
        run.wait(60)
    assert tweenbatch.jobs() == {state: 1}
    given_up = tweenbatch("resolve", "1", "--give-up", "--yes")
    assert given_up.returncode == 0
    assert tweenbatch.jobs() == {"failed": 1}
    assert json.loads(tweenbatch("status", "--json").stdout)["money"]["spent"] == 0.56
    fal.script()
    assert tweenbatch("resolve", "1", "--read-again", "--yes").returncode == 0
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 1


def test_a_job_that_fal_never_had_has_no_result_to_read_again(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "submit", "do": "reply", "status": 422, "body": {"detail": "No."}})
    assert tweenbatch(*RUN).returncode == 1
    refused = tweenbatch("resolve", "1", "--read-again", "--yes")
    assert refused.returncode == 2
    assert "there is no result to read" in refused.stderr
    assert tweenbatch.jobs() == {"failed": 1}
