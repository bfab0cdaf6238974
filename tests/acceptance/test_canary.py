"""``--canary N``: a few clips first; the rest only if they succeed and a person agrees."""

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal

RUN = ("run", "manifest.csv", "--canary", "3")


@pytest.fixture(autouse=True)
def seven_clips(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 7)


def numbers(fal: Server) -> list[int]:
    """The rows whose clips were asked for, in order."""
    return sorted(int(prompt.split("number ")[1].split(":")[0]) for prompt in fal.prompts())


def test_the_first_the_middle_and_the_last_go_first(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN, "--yes") as run:
        fal.wait_for("accepted", count=3)
        # A look at each says that the runner has been round since.
        fal.wait_for("status_read", count=6)
        assert numbers(fal) == [1, 4, 7]
        fal.script()
        fal.release()
        assert run.wait() == 0
    assert fal.totals()["posts"] == 7


def test_one_that_fails_keeps_the_rest_from_being_paid(tweenbatch: Command, fal: Server) -> None:
    fal.script(
        {
            "on": "generation",
            "do": "fail",
            "status": 422,
            "type": "content_policy_violation",
            "prompt_contains": "number 4",
        }
    )
    failed = tweenbatch(*RUN, "--yes")
    assert failed.returncode == 1
    assert "stopped by --canary: not all canary clips succeeded" in failed.stdout
    assert tweenbatch.jobs() == {"failed": 1, "pending": 4, "succeeded": 2}


def test_a_run_that_goes_on_chooses_anew(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch(*RUN, "--yes", "--limit", "3").returncode == 3
    assert numbers(fal) == [1, 4, 7]
    assert tweenbatch(*RUN, "--yes").returncode == 0
    assert fal.totals()["posts"] == 7


def test_more_than_there_are_is_all_of_them(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch("run", "manifest.csv", "--yes", "--canary", "20").returncode == 0
    assert fal.totals()["posts"] == 7


@pytest.mark.parametrize(("answer", "code", "posts"), [("y", 0, 7), ("n", 3, 3)])
def test_somebody_is_asked_before_the_rest_is_paid(
    tweenbatch: Command, fal: Server, answer: str, code: int, posts: int
) -> None:
    with terminal(tweenbatch, *RUN) as shown:
        shown.read_until("To confirm, type the amount ($3.92)")
        shown.type("3.92")
        shown.read_until("All canary clips succeeded; check them now. Continue with 4 clips? [y/N]")
        assert fal.totals()["posts"] == 3
        shown.type(answer)
        assert shown.end() == code
    assert fal.totals()["posts"] == posts
