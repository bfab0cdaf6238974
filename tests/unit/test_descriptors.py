"""No more clips go at one time than this process may have files open for."""

import json
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support import manifests
from support.command import executable
from support.fal import Server
from support.forked import Forked
from tweenbatch.runner.throttle import descriptors

LOOK = (
    "import json, resource\n"
    "from tweenbatch.runner.throttle import descriptors\n"
    "raised = descriptors.raise_limit()\n"
    "print(json.dumps([raised, *resource.getrlimit(resource.RLIMIT_NOFILE)]))\n"
)


def raised(soft: str, hard: str) -> list[int]:
    shell = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"'
    command = ["bash", "-c", shell, "-", sys.executable, "-c", LOOK]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(json.loads(printed))


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [("256", "20000", descriptors.SUFFICIENT), ("256", "1000", 1000), ("5000", "20000", 5000)],
)
def test_the_limit_is_raised_as_far_as_it_is_of_use(soft: str, hard: str, expected: int) -> None:
    assert raised(soft, hard) == [expected, expected, int(hard)]


def test_more_clips_than_there_are_descriptors_for_are_never_on_their_way() -> None:
    assert descriptors.enough_for(256) == 256 - descriptors.RESERVED
    assert descriptors.enough_for(descriptors.SUFFICIENT) > 1000
    assert descriptors.enough_for(40) == descriptors.LEAST


def test_a_run_with_few_descriptors_lowers_its_concurrency_and_says_so(
    tweenbatch: Forked, fal: Server
) -> None:
    url = "https://example.com/frame.png"
    manifests.write(
        tweenbatch.folder / "manifest.csv", manifests.rows(40, start_image=url, end_image=url)
    )
    run = ("run", "manifest.csv", "--yes", "--concurrency", "40")
    ran = subprocess.run(
        ["bash", "-c", 'ulimit -n 106 && exec "$@"', "-", executable(), *run],
        cwd=tweenbatch.folder,
        env=tweenbatch.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "at most 10 clips at one time: this process may open only 106" in ran.stderr
    assert tweenbatch.jobs() == {"succeeded": 40}
    at_fal = [(each["at"], each["ended_at"]) for each in fal.ledger()["accepted"]]
    most = max(sum(began <= at < ended for began, ended in at_fal) for at, _ in at_fal)
    assert most <= 10


def test_a_table_that_can_not_be_opened_for_want_of_descriptors_says_so(tmp_path: Path) -> None:
    from tweenbatch.errors import TableUnusable
    from tweenbatch.store import Store

    store = Store.open(f"sqlite:///{tmp_path / 'tweenbatch.db'}")
    store.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(Path("/dev/null").open())  # noqa: SIM115 - closed below
        with pytest.raises(TableUnusable, match="too many open files: raise `ulimit -n`"):
            store.views.counts()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in taken:
            each.close()
