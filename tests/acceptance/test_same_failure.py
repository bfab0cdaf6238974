"""A failure that is the same on row after row stops the run before more of it is bought."""

from typing import Any

from support import manifests
from support.command import Command
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes", "--concurrency", "1")


def failing(kind: str, **more: Any) -> dict[str, Any]:
    fault = {"on": "generation", "do": "fail", "status": 422, "type": kind, "billed": True}
    return {**fault, "message": "Images of cats are not understood.", **more}


def test_five_rows_that_fail_alike_stop_the_run_with_their_words(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 9)
    fal.script(failing("feature_not_supported"))
    stopped = tweenbatch(*RUN)
    assert stopped.returncode == 1
    assert "5 rows in a row failed alike" in stopped.stdout
    assert "Images of cats are not understood." in stopped.stdout
    assert tweenbatch.jobs() == {"failed": 5, "pending": 4}
    assert fal.ledger()["posts"] == 5
    fal.script()
    assert tweenbatch("run", "--yes").returncode == 1
    assert tweenbatch.jobs() == {"failed": 5, "succeeded": 4}


def test_how_many_is_a_matter_of_taste(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 4)
    fal.script(failing("feature_not_supported"))
    assert tweenbatch(*RUN, "--same-failures", "2").returncode == 1
    assert tweenbatch.jobs() == {"failed": 2, "pending": 2}


def test_keep_going_buys_them_all(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 7)
    fal.script(failing("feature_not_supported"))
    assert tweenbatch(*RUN, "--keep-going").returncode == 1
    assert tweenbatch.jobs() == {"failed": 7}


def test_refusals_by_a_moderator_stop_only_their_rows(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 7)
    fal.script(failing("content_policy_violation", from_nth=2))
    assert tweenbatch(*RUN).returncode == 1
    assert tweenbatch.jobs() == {"failed": 6, "succeeded": 1}
