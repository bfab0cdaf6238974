"""Each command that changes jobs, on jobs in every state: it changes only the right ones."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.command import Command
from support.fal import Server
from tweenbatch.models import KLING_O1

GOLDEN = Path(__file__).parents[1] / "contract" / "store" / "golden"

EVERY_STATE = {
    "pending": 1,
    "submitting": 1,
    "uncertain": 1,
    "submitted": 1,
    "ready": 1,
    "succeeded": 2,
    "failed": 4,
    "cancelled": 2,
}


@pytest.fixture(autouse=True)
def every_state(tweenbatch: Command) -> None:
    dump = max(GOLDEN.glob("*.sqlite.sql"))
    with closing(sqlite3.connect(tweenbatch.folder / "tweenbatch.db")) as table:
        table.executescript(dump.read_text())
        table.execute("UPDATE jobs SET endpoint = ?", [KLING_O1.id])
        table.commit()
    assert tweenbatch.jobs() == EVERY_STATE


def after(**changes: int) -> dict[str, int]:
    counts = {state: count + changes.get(state, 0) for state, count in EVERY_STATE.items()}
    return {state: count for state, count in counts.items() if count}


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        (("retry",), after(failed=-4, pending=4)),
        (("retry", "--state", "cancelled"), after(cancelled=-2, pending=2)),
        (
            ("retry", "--state", "cancelled", "--state", "failed"),
            {**after(cancelled=-2, failed=-4, pending=6)},
        ),
        (("retake", "--name", "*"), after(pending=2)),
        (("cancel", "--state", "pending"), after(pending=-1, cancelled=1)),
        # fal knows nothing of the one that this table calls submitted: a run finds out.
        (("cancel",), after(pending=-1, cancelled=1)),
        (("cancel", "--state", "ready"), after()),
        (("pause",), after()),
        (("resume",), after()),
    ],
)
def test_a_verb_moves_those_that_it_is_for(
    tweenbatch: Command, fal: Server, verb: tuple[str, ...], expected: dict[str, int]
) -> None:
    yes = () if verb[0] in ("pause", "resume") else ("--yes",)
    done = tweenbatch(*verb, *yes)
    assert done.returncode == 0, done.stderr
    assert tweenbatch.jobs() == expected
    assert fal.totals()["posts"] == 0


@pytest.mark.parametrize("verb", ["retry", "retake", "cancel", "resolve"])
def test_a_job_that_a_verb_is_not_for_is_named_and_nothing_changes(
    tweenbatch: Command, verb: str
) -> None:
    wrong = ("9999", "--absent") if verb == "resolve" else ("9999",)
    refused = tweenbatch(verb, "--yes", *wrong)
    assert refused.returncode == 2
    assert "job 9999" in refused.stderr
    assert tweenbatch.jobs() == EVERY_STATE


@pytest.mark.parametrize("way", ["--absent", "--give-up", "--adopt"])
def test_what_is_uncertain_is_settled(tweenbatch: Command, way: str) -> None:
    (uncertain,) = (
        each["job"]
        for each in json.loads(tweenbatch("status", "--json").stdout)["attention"]
        if each["state"] == "uncertain"
    )
    words = (way, "abc") if way == "--adopt" else (way,)
    assert tweenbatch("resolve", str(uncertain), *words, "--yes").returncode == 0
    target = {"--absent": "pending", "--give-up": "failed", "--adopt": "submitted"}[way]
    assert tweenbatch.jobs() == after(uncertain=-1, **{target: 1})


def test_every_job_has_a_story(tweenbatch: Command) -> None:
    for job in range(1, sum(EVERY_STATE.values()) + 1):
        told = tweenbatch("show", str(job))
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith(f"job {job}")
