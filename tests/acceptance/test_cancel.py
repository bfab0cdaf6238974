"""``cancel``: what waits is dropped, what fal has is stopped or collected, nothing is lost."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import manifests
from support.command import KEY, Command, until
from support.fal import Server, server
from support.forked import Forked, Zygote

RUN = ("run", "manifest.csv", "--yes")
HELD = {"on": "generation", "do": "hold"}


@pytest.fixture(autouse=True)
def three_clips(tmp_path: Path) -> None:
    manifests.project(tmp_path, 3)


@pytest.fixture
def narrow(tmp_path: Path, zygote: Zygote) -> Iterator[tuple[Server, Command]]:
    """A fal that works on one clip at a time and has a second one in its queue; a third waits."""
    with server(zygote, "--slots", "1") as fal:
        tweenbatch = Forked(folder=tmp_path, connect_to=fal.url, zygote=zygote)
        fal.script(HELD)
        with tweenbatch.started(*RUN, "--concurrency", "2") as run:
            fal.wait_for("accepted", count=2)
            until(lambda: tweenbatch.jobs().get("submitted") == 2)
            run.kill()
        yield fal, tweenbatch


def test_what_waits_is_dropped_and_stays_so(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch(*RUN, "--limit", "1").returncode == 3
    cancelled = tweenbatch("cancel", "--yes")
    assert cancelled.returncode == 0
    assert "2 clips not submitted yet: cancelled, which saves $1.12" in cancelled.stderr
    assert tweenbatch.jobs() == {"cancelled": 2, "succeeded": 1}
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 1
    assert tweenbatch("retry", "--state", "cancelled", "--yes").returncode == 0
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3


def test_nobody_there_to_agree_changes_nothing(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch(*RUN, "--limit", "0").returncode == 3
    refused = tweenbatch("cancel")
    assert refused.returncode == 2
    assert "add --yes to agree. Nothing was changed" in refused.stderr
    assert tweenbatch.jobs() == {"pending": 3}
    assert fal.totals()["posts"] == 0


def test_fal_stops_what_waits_there_and_goes_on_with_the_rest(
    narrow: tuple[Server, Command],
) -> None:
    fal, tweenbatch = narrow
    asked = tweenbatch("cancel", "--state", "submitted", "--yes")
    assert asked.returncode == 0
    fates = sorted(line.partition(": ")[2] for line in asked.stdout.splitlines()[1:])
    assert [fate[:30] for fate in fates] == ["fal was asked to stop but stil", "stopped"]
    assert tweenbatch.jobs() == {"cancelled": 1, "pending": 1, "submitted": 1}
    fal.script()
    fal.release()
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch.jobs() == {"cancelled": 1, "succeeded": 2}
    assert fal.totals()["posts"] == 3


def test_a_clip_that_is_done_is_collected_whoever_cancels_it(
    narrow: tuple[Server, Command],
) -> None:
    fal, tweenbatch = narrow
    fal.script()
    fal.release()
    fal.wait_for("completed", count=2)
    asked = tweenbatch("cancel", "--json", "--yes", "1", "2")
    assert json.loads(asked.stdout) == {"dropped": [], "asked": {"1": "ended", "2": "ended"}}
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 3}
    assert fal.totals()["posts"] == 3


def test_a_fal_that_can_not_be_asked_is_reported(narrow: tuple[Server, Command]) -> None:
    fal, tweenbatch = narrow
    fal.script({"on": "cancel", "do": "reply", "status": 403})
    asked = tweenbatch("cancel", "--state", "submitted", "--yes")
    assert asked.stdout.count("fal could not be asked") == 2
    assert tweenbatch.jobs() == {"pending": 1, "submitted": 2}


def test_a_run_that_is_going_hears_of_it(tweenbatch: Command, fal: Server) -> None:
    fal.script(HELD)
    with tweenbatch.started(*RUN, "--concurrency", "1") as run:
        fal.wait_for("accepted")
        tweenbatch("cancel", "--state", "pending", "--yes")
        fal.script()
        fal.release()
        assert run.wait() == 0
    assert tweenbatch.jobs() == {"cancelled": 2, "succeeded": 1}
    assert fal.totals()["posts"] == 1


def test_what_somebody_stops_on_the_dashboard_is_cancelled_too(
    narrow: tuple[Server, Command],
) -> None:
    fal, tweenbatch = narrow
    request = fal.ledger()["accepted"][1]["request_id"]
    url = f"{fal.url}/queue.fal.run/fal-ai/kling-video/requests/{request}/cancel"
    headers = {"Authorization": f"Key {KEY}"}
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
    fal.script()
    fal.release()
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch.jobs() == {"cancelled": 1, "succeeded": 2}
