"""The key shows up nowhere, and what is the owner's is for the owner."""

import csv
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support import canary, manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal
from tweenbatch.emulator.process import emulator

RUN = ("run", "manifest.csv", "--yes")


# The detector itself


@pytest.mark.parametrize("part", [canary.KEY, *canary.KEY.split(":")])
def test_the_key_and_each_half_of_it_are_found_in_what_was_written(
    tmp_path: Path, part: str
) -> None:
    leak = tmp_path / "deep" / "tweenbatch.db-journal"
    leak.parent.mkdir()
    leak.write_bytes(b"\0" * 5_000 + part.encode() + b"\0")
    with pytest.raises(AssertionError, match=r"tweenbatch\.db-journal shows the key"):
        canary.refuse_below(tmp_path)
    leak.unlink()
    canary.refuse_below(tmp_path)
    named = tmp_path / part
    named.touch()
    with pytest.raises(AssertionError, match="a name in"):
        canary.refuse_below(tmp_path)
    named.unlink()


def test_the_key_is_found_in_what_a_command_says(tweenbatch: Command) -> None:
    said = ("plan", "canary-key-secret")
    with pytest.raises(AssertionError, match="the output of"):
        tweenbatch(*said)
    with pytest.raises(AssertionError, match="the output of"), tweenbatch.started(*said) as plan:
        plan.communicate()
    with (
        pytest.raises(AssertionError, match="the terminal of"),
        terminal(tweenbatch, *said) as seen,
    ):
        seen.end()


# The key


@pytest.mark.parametrize(
    "fault",
    [
        {"on": "submit", "do": "reply", "status": 401, "body": {"detail": canary.KEY}},
        {"on": "submit", "do": "reply", "status": 200, "body": canary.KEY},
        {"on": "submit", "do": "reset", "at": "reply"},
        {"on": "status", "do": "reply", "status": 403, "body": {"detail": canary.KEY}},
        {"on": "upload", "do": "reply", "status": 422, "body": {"detail": canary.KEY}},
        {"on": "generation", "do": "fail", "status": 422, "type": "a", "message": canary.KEY},
    ],
)
def test_trouble_at_full_loudness_shows_no_key(
    tweenbatch: Command, fal: Server, fault: dict[str, object]
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(fault)
    loud = replace(tweenbatch, environment={"TWEENBATCH_LOG": "debug"})
    short = ("--settle", "0s") if fault["on"] == "submit" else ()
    assert loud(*RUN, "--logs", *short).returncode in (1, 4, 5)


# Who may read what


@pytest.fixture
def open_handed() -> Iterator[None]:
    """A umask that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_handed")
def test_prompts_and_addresses_are_for_their_owner_and_what_is_handed_on_for_all(
    tmp_path: Path,
) -> None:
    manifests.project(tmp_path, 1)
    ours = set(tmp_path.iterdir())
    with emulator(state=tmp_path / "state", options=("--no-render", "--seconds", "0")) as url:
        assert Command(folder=tmp_path, connect_to=url)(*RUN).returncode == 0
        modes = {
            str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
            for path in tmp_path.rglob("*")
            if path not in ours and "state/files" not in str(path)
        }
    handed_on = {"videos": 0o777, "videos/clip-1.mp4": 0o666, "videos/results.csv": 0o666}
    assert handed_on.items() <= modes.items()
    rest = {name: mode for name, mode in modes.items() if name not in handed_on}
    assert {"tweenbatch.db", "tweenbatch.db.lock", "state", "state/journal.jsonl"} <= rest.keys()
    assert {name: oct(mode) for name, mode in rest.items() if mode & 0o077} == {}


def test_a_redacted_export_tells_neither_what_was_asked_for_nor_where_it_lies(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    refused = {"status": 422, "type": "not_so", "message": "so it was not"}
    fal.script({"on": "generation", "do": "fail", "nth": 1, **refused})
    tweenbatch(*RUN)
    assert tweenbatch.jobs() == {"failed": 1, "succeeded": 1}
    whole = list(csv.DictReader(tweenbatch("export").stdout.splitlines()))
    hidden = ("prompt", "start_image", "end_image", "video_url", "request_id", "error_message")
    secrets = {row[name] for row in whole for name in hidden if row[name]}
    assert {row["request_id"] for row in fal.ledger()["accepted"]} < secrets
    assert len(secrets) == 8, "two prompts, requests and frames, one address and one message"
    tweenbatch("export", "--redact", "-o", "shared.csv")
    tweenbatch("export", "--redact", "-o", "shared.jsonl")
    for said in (
        (tweenbatch.folder / "shared.csv").read_text(),
        (tweenbatch.folder / "shared.jsonl").read_text(),
        tweenbatch("export", "--redact").stdout,
        tweenbatch("export", "--redact", "--json").stdout,
    ):
        assert not [secret for secret in secrets if secret in said]
        assert ".mp4" in said
        assert "0.56" in said
