"""A new table never pays unasked for what another table has paid for; the ledger is the judge."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal

RUN = ("run", "manifest.csv", "--yes")
WAYS = ("--db sqlite:///", "--new-table")

Start = Callable[[Command], tuple[Command, tuple[str, ...]]]


def elsewhere(tweenbatch: Command, *more: str) -> tuple[Command, tuple[str, ...]]:
    """Start from another folder."""
    other = tweenbatch.folder / "other"
    other.mkdir(exist_ok=True)
    home = {"HOME": str(tweenbatch.folder), **tweenbatch.environment}
    moved = replace(tweenbatch, folder=other, environment=home)
    return moved, ("run", str(tweenbatch.folder / "manifest.csv"), "--yes", *more)


def copied(tweenbatch: Command) -> tuple[Command, tuple[str, ...]]:
    """Start with a copy of the manifest, which nothing but the memory knows."""
    moved, _ = elsewhere(tweenbatch)
    for name in ("manifest.csv", "a.png", "b.png"):
        shutil.copy(tweenbatch.folder / name, moved.folder)
    return moved, RUN


STARTS: dict[str, Start] = {
    "from another folder": elsewhere,
    "with a mistyped --db": lambda here: (here, (*RUN, "--db", "sqlite:///tweenbach.db")),
    "with another extension": lambda here: (here, (*RUN, "--db", "sqlite:///tweenbatch.sqlite")),
    "with a --db of another name": lambda here: (here, (*RUN, "--db", "sqlite:///night.db")),
    "with a --db in another folder": lambda here: (here, (*RUN, "--db", "sqlite:///x/night.db")),
    "with a copy of the manifest": copied,
    "with a job file": lambda here: (here, ("run", "job.toml")),
}


@pytest.fixture(autouse=True)
def paid(tweenbatch: Command, fal: Server) -> None:
    """A table that has paid for three rows, and a job file that names another one."""
    manifests.project(tweenbatch.folder, 3)
    assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3
    (tweenbatch.folder / "job.toml").write_text(
        'manifests = ["manifest.csv"]\ndb = "sqlite:///nightly.db"\nyes = true\n'
    )


@pytest.mark.parametrize("start", STARTS)
def test_what_another_table_has_paid_for_is_refused_with_the_ways_on(
    tweenbatch: Command, fal: Server, start: str
) -> None:
    command, arguments = STARTS[start](tweenbatch)
    before = set(command.folder.iterdir())
    for _ in range(2):
        refused = command(*arguments)
        assert refused.returncode == 2, refused.stderr
        assert all(way in refused.stderr for way in WAYS)
        assert "tweenbatch.db" in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert fal.totals()["posts"] == 3
    assert set(command.folder.iterdir()) == before, "nothing is left behind"
    assert command(*arguments, "--new-table", "--pay-again").returncode == 0
    assert fal.totals()["posts"] == 6
    assert command(*arguments).returncode == 0
    assert fal.totals()["posts"] == 6


def test_the_way_on_with_the_table_pays_for_nothing_and_keeps_the_folder(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.write(tweenbatch.folder / "manifest.csv", manifests.rows(4))
    moved, arguments = elsewhere(tweenbatch)
    said = moved(*arguments).stderr
    assert "has paid for 3 clips of these rows ($1.68)" in said
    run = moved(*arguments, "--db", f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}")
    assert run.returncode == 0, run.stderr
    assert fal.totals()["posts"] == 4
    assert "as in the last run" in run.stdout
    clips = {path.name for path in (tweenbatch.folder / "videos").glob("*.mp4")}
    assert clips == {f"clip-{n}.mp4" for n in range(1, 5)}
    assert list(moved.folder.iterdir()) == []


def test_the_plan_says_the_same_and_prices_the_table_that_was_named(
    tweenbatch: Command,
) -> None:
    moved, _ = elsewhere(tweenbatch)
    manifest = str(tweenbatch.folder / "manifest.csv")
    said = moved("plan", manifest).stdout
    assert "A run would refuse to start" in said
    assert "A run would submit 3 clips for $1.68." in said
    (other,) = json.loads(moved("plan", manifest, "--json").stdout)["other_tables"]
    assert (other["clips"], other["usd"], other["unknown"]) == (3, 1.68, None)
    assert json.loads(tweenbatch("plan", "manifest.csv", "--json").stdout)["other_tables"] == []
    said = tweenbatch("plan", "manifest.csv", "--db", "sqlite:///tweenbach.db").stdout
    assert "there is no table " in said
    assert "tweenbach.db, but there is " in said


def test_other_rows_begin_a_new_table_without_a_word(tweenbatch: Command, fal: Server) -> None:
    moved, _ = elsewhere(tweenbatch)
    manifests.project(moved.folder, 1, prompt="another")
    run = moved(*RUN)
    assert run.returncode == 0, run.stderr
    assert "tweenbatch.db" not in run.stdout + run.stderr
    assert fal.totals()["posts"] == 4


def test_a_rehearsal_is_no_concern(tweenbatch: Command, fal: Server) -> None:
    moved, arguments = elsewhere(tweenbatch)
    assert moved(*arguments, "--rehearse", "--limit", "0").returncode == 3
    shutil.rmtree(moved.folder / "rehearsal")
    shutil.rmtree(tweenbatch.folder / ".local")
    assert moved(*arguments, "--rehearse", "--limit", "0").returncode == 3
    assert fal.totals()["posts"] == 3


@pytest.mark.parametrize("lock", ["with its lock", "without its lock"])
def test_a_table_that_is_gone_pays_for_the_same_manifest_only_if_asked_to(
    tweenbatch: Command, fal: Server, lock: str
) -> None:
    for path in tweenbatch.folder.glob("tweenbatch.db*"):
        if lock == "without its lock" or path.suffix != ".lock":
            path.unlink()
    refused = tweenbatch(*RUN)
    assert refused.returncode == (2 if lock == "without its lock" else 5)
    assert "--trust-table" in refused.stderr
    assert fal.totals()["posts"] == 3
    assert tweenbatch(*RUN, "--trust-table").returncode == 0
    assert fal.totals()["posts"] == 3


def test_what_a_run_without_manifests_has_paid_for_is_remembered_too(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1, prompt="another")
    table = ("--db", "sqlite:///other/films.db")
    assert tweenbatch(*RUN, "--limit", "0", *table).returncode == 3
    assert tweenbatch("run", "--yes", *table).returncode == 0
    shutil.rmtree(tweenbatch.folder / "other")
    refused = tweenbatch(*RUN, *table)
    assert refused.returncode == 2
    assert "after $0.56 was paid and no longer exists" in refused.stderr
    assert fal.totals()["posts"] == 4


def test_a_table_that_was_made_by_an_empty_inbox_is_as_new(
    tweenbatch: Command, fal: Server
) -> None:
    (tweenbatch.folder / "inbox").mkdir()
    run = ("run", "--inbox", "inbox", "--yes", "--db", "sqlite:///night.db")
    assert tweenbatch(*run).returncode == 0
    assert (tweenbatch.folder / "night.db").exists()
    assert tweenbatch(*RUN, "--db", "sqlite:///night.db").returncode == 2
    assert fal.totals()["posts"] == 3


def test_a_table_that_can_t_be_read_may_have_paid(tweenbatch: Command, fal: Server) -> None:
    with (tweenbatch.folder / "tweenbatch.db").open("r+b") as table:
        table.seek(4096)
        table.write(b"\xff" * 40_000)
    shutil.rmtree(tweenbatch.folder / ".local")
    moved, arguments = elsewhere(tweenbatch)
    refused = moved(*arguments)
    assert refused.returncode == 2
    assert "can't be read" in refused.stderr
    assert "--new-table" in refused.stderr
    assert fal.totals()["posts"] == 3


@pytest.mark.parametrize("home", ["none", "not to be written to", "a note that is no note"])
def test_without_a_memory_the_table_beside_the_manifest_is_found(
    tweenbatch: Command, fal: Server, home: str
) -> None:
    moved, arguments = elsewhere(tweenbatch)
    state = tweenbatch.folder / "state"
    if home == "not to be written to":
        state.write_text("a file stands here")
    elif home == "a note that is no note":
        (state / "tweenbatch").mkdir(parents=True)
        (state / "tweenbatch" / "tables.jsonl").write_text('{"manifest": 7}\n[]\nno\n\x00\n')
    environment = {"HOME": "/nowhere", "XDG_STATE_HOME": "" if home == "none" else str(state)}
    lonely = replace(moved, environment=environment)
    refused = lonely(*arguments)
    assert refused.returncode == 2
    assert "has paid for 3 clips" in refused.stderr
    assert lonely(*arguments, "--new-table", "--pay-again").returncode == 0
    assert fal.totals()["posts"] == 6


def test_what_a_killed_run_may_have_paid_for_is_known_too(tweenbatch: Command, fal: Server) -> None:
    """Nothing but the note that was made before anything was sent leads to its table."""
    for path in (*tweenbatch.folder.glob("tweenbatch.db*"), tweenbatch.folder / "videos"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(tweenbatch.folder / ".local")
    manifests.project(tweenbatch.folder, 1, prompt="held")
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("accepted", count=4)
        run.kill()
        run.wait()
    moved, arguments = copied(tweenbatch)
    refused = moved(*arguments)
    assert refused.returncode == 2
    assert "has paid for 1 clip of these rows ($0.56)" in refused.stderr
    assert fal.totals()["posts"] == 4


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_slip_is_asked_about_on_a_terminal(tweenbatch: Command, fal: Server, answer: str) -> None:
    with terminal(tweenbatch, "run", "manifest.csv", "--db", "sqlite:///tweenbach.db") as shown:
        shown.read_until("Use that one?")
        shown.type(answer)
        code = shown.end()
    assert code == (0 if answer == "y" else 2), str(shown)
    assert fal.totals()["posts"] == 3
    assert not (tweenbatch.folder / "tweenbach.db").exists()


@pytest.mark.parametrize("name", ["tweenbatch2.db", "other.db", "tween.db"])
def test_a_name_of_its_own_is_no_slip(tweenbatch: Command, fal: Server, name: str) -> None:
    manifests.project(tweenbatch.folder, 1, prompt="another")
    run = tweenbatch(*RUN, "--db", f"sqlite:///{name}")
    assert run.returncode == 0, run.stderr
    assert fal.totals()["posts"] == 4


def test_the_memory_names_no_password(tweenbatch: Command) -> None:
    notes = tweenbatch.folder / ".local" / "state" / "tweenbatch" / "tables.jsonl"
    (note,) = map(json.loads, notes.read_text().splitlines())
    assert note["manifest"] == str(tweenbatch.folder / "manifest.csv")
    assert note["table"] == f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}"
    assert note["paid_usd"] == "1.68"
    assert notes.stat().st_mode & 0o777 == 0o600
    assert Path(notes.parent).stat().st_mode & 0o777 == 0o700
