"""A failure that is the same on row after row stops the run before more of it is bought."""

from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.virtual import virtually
from support.world import world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode

RUN = ("run", "manifest.csv", "--yes", "--concurrency", "1")


def failing(kind: str, **more: Any) -> dict[str, Any]:
    fault = {"on": "generation", "do": "fail", "status": 422, "type": kind, "billed": True}
    return {**fault, "message": "Images of cats are not understood.", **more}


def test_five_rows_that_fail_with_the_same_error_stop_the_run_with_their_words(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 9)
    fal.script(failing("feature_not_supported"))
    stopped = tweenbatch(*RUN)
    assert stopped.returncode == 1
    assert "5 consecutive rows failed with the same error" in stopped.stdout
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


AT_ONCE = 10


def stopped_after(folder: Path, *faults: dict[str, Any], rows: int = 100) -> dict[str, Any]:
    """Play a run of many rows in virtual time; return fal's ledger, the states and the result."""
    found: dict[str, Any] = {}

    async def body() -> None:
        settings = Settings(seconds=60.0, slots=AT_ONCE)
        async with world(folder, rows=rows, fal_settings=settings) as played:
            played.script(*faults)
            found["result"] = await played.run(concurrency=AT_ONCE)
            found["ledger"], found["states"] = played.ledger(), played.states()

    virtually(body)
    return found


RETRIED = ["file_download_error", "downstream_service_error", "a_type_of_the_future"]


@pytest.mark.parametrize("kind", RETRIED)
def test_failures_that_may_be_billed_stop_a_run_before_many_more_are_bought(
    tmp_path: Path, kind: str
) -> None:
    """Those at fal when five have failed, and one second try."""
    retried = failing(kind, status=422 if kind == "file_download_error" else 400, retryable=True)
    found = stopped_after(tmp_path, retried)
    assert found["ledger"]["accepted_count"] <= 2 * AT_ONCE + 1
    assert found["result"].exit_code is ExitCode.FAILED
    assert "so did a second try" in str(found["result"].ended.same_failure)


def test_a_second_try_that_succeeds_lets_all_others_go_on(tmp_path: Path) -> None:
    found = stopped_after(tmp_path, failing("file_download_error", times=AT_ONCE), rows=30)
    assert found["states"] == {"succeeded": 30}
    assert found["ledger"]["accepted_count"] == 30 + AT_ONCE


def test_a_failure_that_fal_never_bills_holds_nothing_back(tmp_path: Path) -> None:
    passing = failing("generation_timeout", status=504, times=2 * AT_ONCE)
    found = stopped_after(tmp_path, passing, rows=30)
    assert found["states"] == {"succeeded": 30}
