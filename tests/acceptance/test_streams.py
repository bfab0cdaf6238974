"""A run whose output nobody reads still finishes, with its exit code."""

import subprocess

import pytest

from support import canary, manifests
from support.command import TIMEOUT, Command, executable
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


def piped(command: Command, script: str) -> subprocess.CompletedProcess[str]:
    """Run ``script`` in bash, in which ``run`` is a run that says a lot."""
    line = f'run() {{ {executable()} {" ".join(RUN)} --logs "$@"; }}\n{script}'
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=command.folder,
        env={**command.environ(), "TWEENBATCH_LOG": "debug"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    canary.refuse(done.stdout + done.stderr, where=script)
    return done


@pytest.mark.parametrize(
    "script",
    [
        'run 2>&1 | head -1; exit "${PIPESTATUS[0]}"',
        'run | true; exit "${PIPESTATUS[0]}"',
        "run 2> >(true)",
        "run 2>&-",
        "run >&-",
        "run <&- >&- 2>&-",
        "run 2>/dev/full",
        "run >/dev/full",
        "run --json >/dev/full 2>&1",
    ],
)  # fmt: skip
def test_a_run_goes_on_to_its_end_when_nobody_listens(
    tweenbatch: Command, fal: Server, script: str
) -> None:
    manifests.project(tweenbatch.folder, 4)
    done = piped(tweenbatch, script)
    assert done.returncode == 0, done.stderr
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (4, 4)
    assert tweenbatch.jobs() == {"succeeded": 4}
    assert len(list(tweenbatch.folder.glob("videos/*.mp4"))) == 4


def test_the_exit_code_is_that_of_the_run_when_nobody_listens(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "generation", "do": "fail", "status": 422, "type": "missing"})
    assert piped(tweenbatch, "run >/dev/full 2>&1").returncode == 1


def test_a_full_disk_under_an_export_is_an_error(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    tweenbatch(*RUN)
    assert piped(tweenbatch, f"{executable()} export >/dev/full").returncode != 0
