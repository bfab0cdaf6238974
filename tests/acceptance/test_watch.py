"""``status --watch`` on another terminal, and a line now and then where there is none."""

import json

import pytest

from support import manifests
from support.command import Command, until
from support.fal import Server
from support.terminal import terminal
from tweenbatch.cli.progress import Progress

RUN = ("run", "manifest.csv", "--yes", "--concurrency", "2")


@pytest.fixture(autouse=True)
def three_clips(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 3)


def test_another_terminal_shows_the_same_bar_until_the_run_ends(
    tweenbatch: Command, fal: Server
) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("accepted", count=2)
        with terminal(tweenbatch, "status", "--watch", columns=120) as shown:
            shown.read_until("0/3 clips, 2 running, 0 failed, $1.12, time left: –")
            fal.script()
            fal.release()
            assert run.wait() == 0
            assert shown.end() == 0
            assert "3  succeeded" in shown.screen


def test_a_program_reads_a_line_for_each_change(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("accepted", count=2)
        until(lambda: tweenbatch.jobs().get("submitted") == 2)
        with tweenbatch.started("status", "--watch", "--json") as watch:
            assert watch.stdout is not None
            first = json.loads(watch.stdout.readline())
            fal.script()
            fal.release()
            assert run.wait() == 0
            *_, last = (json.loads(line) for line in watch.stdout)
            assert watch.wait() == 0
    assert first["jobs"]["submitted"] == 2
    assert last["jobs"]["succeeded"] == 3


def test_where_nothing_runs_it_says_how_things_stand(tweenbatch: Command) -> None:
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch("status", "--watch").stdout == tweenbatch("status").stdout


def test_off_a_terminal_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []

    def two_lines() -> bool:
        lines.extend(capsys.readouterr().err.splitlines())
        return len(lines) >= 2

    with Progress(total=3, running=2, line_every_seconds=0.1):
        until(two_lines)
    assert set(lines) == {"0/3 clips, 2 running, 0 failed, $0.00, time left: –"}
