"""On a terminal, a person is asked before money is spent, and sees the progress."""

import re

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal


def test_typing_the_amount_spends_it(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 2)
    with terminal(tweenbatch, "run", "manifest.csv") as shown:
        shown.read_until("To confirm, type the amount ($1.12)")
        assert fal.ledger()["posts"] == 0
        shown.type("1.12")
        assert shown.end() == 0
    assert fal.ledger()["posts"] == 2


@pytest.mark.parametrize(
    ("limits", "said", "posts"),
    [
        (("--limit", "2"), ("$1.68; this run submits 2 at most", "$1.68"), 2),
        (("--max-cost", "1.20"), ("$1.68; this run spends $1.20 at most", "$1.20"), 2),
        (
            ("--limit", "1", "--max-cost", "1.20"),
            ("$1.68; this run submits 1 and spends $1.20 at most", "$1.20"),
            1,
        ),
        (("--limit", "3", "--max-cost", "9"), ("$1.68", "$1.68"), 3),
        # The run goes on the next day.
        (("--max-cost-per-day", "1.20"), ("$1.68", "$1.68"), 2),
    ],
)
def test_what_is_agreed_to_is_no_more_than_the_run_may_spend(
    tweenbatch: Command, fal: Server, limits: tuple[str, ...], said: tuple[str, str], posts: int
) -> None:
    manifests.project(tweenbatch.folder, 3)
    comes_to, most = said
    with terminal(tweenbatch, "run", "manifest.csv", *limits, columns=200) as shown:
        shown.read_until(f"To confirm, type the amount ({most})")
        assert f"To submit: 3 clips for {comes_to}. Output folder: " in shown.screen
        shown.type(most)
        shown.end()
    assert fal.ledger()["posts"] == posts


@pytest.mark.parametrize("answer", ["", "y", "yes", "1.1", "11.2"])
def test_anything_else_spends_nothing_and_imports_nothing(
    tweenbatch: Command, fal: Server, answer: str
) -> None:
    manifests.project(tweenbatch.folder, 2)
    with terminal(tweenbatch, "run", "manifest.csv") as shown:
        shown.read_until("To confirm, type the amount ($1.12)")
        shown.type(answer)
        assert shown.end() == 2
        assert "nothing was imported" in shown.screen
    assert fal.ledger()["posts"] == 0
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_what_never_comes_fails_a_test_with_what_was_on_the_screen(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    with terminal(tweenbatch, "run", "manifest.csv") as shown:
        shown.read_until("To confirm, type the amount ($1.12)")
        shown.patience = 0.1
        with pytest.raises(
            AssertionError, match=r"'\$2' never came in 0.1 s: on the screen there is\nmanifest"
        ):
            shown.read_until("$2")
        with pytest.raises(
            AssertionError, match=r"it never ended in 0.1 s: on the screen there is\nmanifest"
        ):
            shown.end()
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize("columns", [80, 60, 0])
def test_the_bar_fits_the_terminal_and_ends_with_everything_done(
    tweenbatch: Command, columns: int
) -> None:
    manifests.project(tweenbatch.folder, 3)
    with terminal(tweenbatch, "run", "manifest.csv", "--yes", columns=columns) as shown:
        assert shown.end() == 0
    bars = [line for line in re.split(r"[\r\n]+", shown.screen) if "%|" in line]
    assert bars
    # A terminal that says it has no columns is taken for one of 80.
    assert max(len(line) for line in bars) <= (columns or 80)
    assert "3/3 clips" in bars[-1]


def test_off_a_terminal_there_is_no_bar(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1)
    run = tweenbatch("run", "manifest.csv", "--yes")
    assert "%|" not in run.stdout + run.stderr
    assert "\r" not in run.stdout + run.stderr
