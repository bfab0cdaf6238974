"""Texts from outside are shown and handed on; they never act."""

import csv
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal
from support.virtual import virtually
from support.world import world
from tweenbatch.cli.streams import PlainFormatter
from tweenbatch.exit_codes import ExitCode

RUN = ("run", "manifest.csv", "--yes")
STEERS = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202eevil\u2028\u2066\r\x08"
"""What would clear a screen, name a window, colour, turn round and overwrite a line."""
STEERS_A_PROMPT = "\x9b2J\x9d0;owned\x9c\x9b31m\u202eevil\u2028\u2066\r"
"""The same in characters that a prompt may have."""


def shows_only_text(said: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in said)


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Screens


def test_no_text_of_a_manifest_or_of_fal_steers_the_terminal(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    row = manifests.rows(1, prompt=f"p{STEERS_A_PROMPT}", name=f"n{STEERS}", tags=f"t{STEERS}")
    manifests.write(tweenbatch.folder / "manifest.csv", row)
    texts = {"message": f"m{STEERS}", "type": f"t{STEERS}"}
    fal.script({"on": "generation", "do": "fail", "status": 422, **texts})
    loud = replace(tweenbatch, environment={"TWEENBATCH_LOG": "debug"})
    for arguments in (RUN, ("run", "--logs"), ("status",), ("plan", "manifest.csv"), ("retry",)):
        said = loud(*arguments)
        assert shows_only_text(said.stdout + said.stderr), arguments
    assert "m[2J" in tweenbatch("status").stdout


def test_no_answer_to_a_submission_steers_the_terminal(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "submit", "do": "reply", "status": 200, "body": f"<html>{STEERS}"})
    loud = replace(tweenbatch, environment={"TWEENBATCH_LOG": "debug"})
    run = loud(*RUN, "--settle", "0s")
    assert "html" in run.stderr
    assert shows_only_text(run.stdout + run.stderr)
    assert shows_only_text(tweenbatch("status").stdout)


def test_no_problem_of_a_manifest_steers_the_terminal_or_makes_up_a_line(
    tweenbatch: Command,
) -> None:
    path = tweenbatch.folder / f"m{STEERS}.csv"
    fake = f"x{STEERS}\n  row 9: all is well\n.png"
    manifests.write(path, manifests.rows(1, start_image=fake, duration=f"5{STEERS}"))
    refused = tweenbatch("plan", path.name)
    assert refused.returncode == 2
    assert shows_only_text(refused.stderr)
    assert not any(line.startswith("  row 9") for line in refused.stderr.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [("status", "--db", f"sqlite:///no{STEERS}\n.db"), (STEERS,), ("status", STEERS)],
)
def test_no_argument_steers_the_terminal(tweenbatch: Command, arguments: tuple[str, ...]) -> None:
    refused = tweenbatch(*arguments)
    assert refused.returncode == 2
    assert shows_only_text(refused.stdout + refused.stderr)


def test_no_path_steers_the_terminal(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 0)
    frame = manifests.frame(tweenbatch.folder / f"a{STEERS}.png")
    name = f"m{STEERS}.csv"
    manifests.write(tweenbatch.folder / name, manifests.rows(1, start_image=frame.name))
    fal.script({"on": "token", "do": "reply", "status": 401})
    loud = replace(tweenbatch, environment={"TWEENBATCH_LOG": "debug"})
    said = [loud("plan", name), loud("run", name, "--yes", "--output", f"v{STEERS}")]
    fal.script()
    manifests.frame(frame, (1, 2, 3))
    said += [loud("run", "--yes")]
    assert [run.returncode for run in said] == [0, 4, 1]
    for run in said:
        assert "owned" in run.stdout + run.stderr
        assert shows_only_text(run.stdout + run.stderr)
    assert "frame_unusable" in said[-1].stderr


def test_an_export_is_whole_in_a_file_and_harmless_on_a_screen(tweenbatch: Command) -> None:
    manifests.project(tweenbatch.folder, 1, prompt="p\x9b2Jq", name="n\x1b[2Jq")
    tweenbatch(*RUN)
    for text in ("p\x9b2Jq", "n\x1b[2Jq"):
        assert text in tweenbatch("export").stdout
    for arguments in (("export",), ("export", "--json")):
        with terminal(tweenbatch, *arguments) as screen:
            assert screen.end() == 0
        assert "p 2Jq" in screen.screen
        assert "[2Jq" in screen.screen
        assert shows_only_text(screen.screen.replace("\r\n", "\n"))


def test_a_traceback_in_the_log_is_harmless() -> None:
    record = logging.makeLogRecord({"msg": "left %s", "args": (f"a{STEERS}",)})
    shown = PlainFormatter().format(record)
    assert shown.startswith("left a")
    assert shows_only_text(shown)


# Spreadsheets


def test_a_formula_goes_out_as_a_text_and_comes_back_as_the_same_clip(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1, prompt="=1+1 @Image1", name="@SUM(A1)")
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch("export", "-o", "again.csv").returncode == 0
    (row,) = lines(tweenbatch.folder / "again.csv")
    assert (row["prompt"], row["name"]) == ("'=1+1 @Image1", "'@SUM(A1)")
    (row,) = lines(tweenbatch.folder / "videos" / "results.csv")
    assert row["prompt"] == "'=1+1 @Image1"
    (row,) = csv.DictReader(tweenbatch("export", "--raw").stdout.splitlines())
    assert (row["prompt"], row["name"]) == ("=1+1 @Image1", "@SUM(A1)")
    assert '"prompt": "=1+1 @Image1"' in tweenbatch("export", "--json").stdout
    again = tweenbatch("run", "again.csv", "--yes")
    assert again.returncode == 0
    assert fal.ledger()["posts"] == 1


# Paid and unreadable


@pytest.mark.parametrize(
    "change",
    [
        {"drop": ["video"]},
        {"set": {"video": None}},
        {"set": {"video": [{"url": "https://v3.fal.media/files/a.mp4"}, {"url": None}]}},
        {"set": {"video": {"url": 7}}},
        {"set": {"video": "https://v3.fal.media/files/only-here.mp4"}},
    ],
)
def test_what_was_paid_for_and_can_not_be_read_is_kept_and_never_bought_again(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    extra = {"seed": f"kept{STEERS}", "tail": "x" * 9000}
    unreadable = {
        "on": "result",
        "do": "change",
        **change,
        "set": {**change.get("set", {}), **extra},
    }

    async def body() -> None:
        async with world(tmp_path, rows=1) as played:
            played.script(unreadable, {"on": "history", "do": "reply", "status": 403})
            assert (await played.run()).exit_code is ExitCode.FAILED
            (left,) = played.store.views.attention()
            assert left.error_type == "paid_unreadable"
            kept = left.error_message or ""
            assert '"seed": "kept' in kept
            assert shows_only_text(kept)
            assert 4096 <= len(kept) <= 4200
            await played.run()
            assert played.ledger()["posts"] == 1

    virtually(body)
