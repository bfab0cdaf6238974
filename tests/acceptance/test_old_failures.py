"""Failures of earlier nights: which of them the next one tries again, and how often."""

from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

JOB = Path("night.toml")


@pytest.fixture(autouse=True)
def two_that_failed(tweenbatch: Command, fal: Server) -> None:
    """Of three rows one failed for a reason that passes, and one for a reason that stays."""
    manifests.project(tweenbatch.folder, 3)
    job_file(tweenbatch, "")
    fal.script(
        *(
            {
                "on": "generation",
                "do": "fail",
                "status": 422,
                "type": kind,
                "prompt_contains": f"number {n}",
            }
            for n, kind in ((1, "image_load_error"), (2, "content_policy_violation"))
        )
    )
    assert tweenbatch("run", str(JOB)).returncode == 1
    assert tweenbatch.jobs() == {"failed": 2, "succeeded": 1}


def job_file(tweenbatch: Command, more: str) -> None:
    (tweenbatch.folder / JOB).write_text(f'manifests = ["manifest.csv"]\nyes = true\n{more}')


def test_only_those_that_are_named_are_tried_again(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch("run", str(JOB)).returncode == 1
    assert fal.totals()["posts"] == 3
    fal.script()
    job_file(tweenbatch, '[retries]\nerrors = ["image_load_error"]\n')
    planned = tweenbatch("plan", str(JOB)).stdout
    assert "1  of the failed, tried again" in planned
    assert "A run would submit 1 clip for $0.56" in planned
    assert tweenbatch.jobs() == {"failed": 2, "succeeded": 1}
    tried = tweenbatch("run", str(JOB))
    assert "To submit: 1 clip for $0.56" in tried.stdout
    assert tried.returncode == 1
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": 2}
    assert fal.totals()["posts"] == 4


def test_what_fails_again_and_again_is_left_alone(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch, '[retries]\nerrors = ["image_load_error"]\nmost = 2\n')
    for _ in range(3):
        assert tweenbatch("run", str(JOB)).returncode == 1
    assert fal.totals()["posts"] == 4


def test_nobody_who_agrees_leaves_them_as_they_are(tweenbatch: Command) -> None:
    refused = tweenbatch("run", "manifest.csv", "--retry-failed", "image_load_error")
    assert refused.returncode == 2
    assert "1 clip for $0.56 would be submitted" in refused.stderr
    assert tweenbatch.jobs() == {"failed": 2, "succeeded": 1}


def test_without_a_manifest_there_is_nothing_that_it_could_mean(tweenbatch: Command) -> None:
    refused = tweenbatch("run", "--yes", "--retry-failed", "image_load_error")
    assert refused.returncode == 2
    assert "--retry-failed needs a manifest, and none is named" in refused.stderr


def test_those_of_another_manifest_are_no_matter_of_this_one(
    tweenbatch: Command, fal: Server
) -> None:
    rows = manifests.rows(1)
    rows[0]["prompt"] = "another"
    manifests.write(tweenbatch.folder / "other.csv", rows)
    run = ("run", "other.csv", "--yes", "--retry-failed", "image_load_error")
    assert tweenbatch(*run).returncode == 0
    assert tweenbatch.jobs() == {"failed": 2, "succeeded": 2}
    assert fal.totals()["posts"] == 4
