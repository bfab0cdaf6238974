"""The inbox: manifests that are dropped into a folder, good, bad and half written."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import bombs, damaged, limits, manifests
from support.command import Command
from support.fal import Server

JOB = Path("jobs", "night.toml")
RUN = ("run", str(JOB))
NOT_UTF8 = "\udcff.csv"
SMALL_BOMBS = (
    *("keys.jsonl", "depth.json", "one long word.parquet", "laughs.xlsx", "a lie.xlsx"),
    *("cells.xlsx", "columns.csv"),
)


@pytest.fixture(autouse=True)
def inbox(tweenbatch: Command) -> Path:
    folder = tweenbatch.folder / "jobs" / "inbox"
    folder.mkdir(parents=True)
    manifests.project(folder, 1)
    (folder / "manifest.csv").unlink()
    (tweenbatch.folder / JOB).write_text(
        'inbox = "inbox"\noutput = "../videos"\ndb = "sqlite:///../tweenbatch.db"\nyes = true\n'
    )
    return folder


def dropped(folder: Path, name: str, *prompts: str) -> Path:
    """Drop a manifest that has been there for a while."""
    rows = manifests.rows(len(prompts))
    for row, prompt in zip(rows, prompts, strict=True):
        row |= {"prompt": prompt, "name": prompt}
    path = folder / name
    manifests.write(path, rows)
    return rested(path)


def rested(path: Path) -> Path:
    os.utime(path, (path.stat().st_mtime - 60,) * 2)
    return path


def lying(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".png"
    }


@contextmanager
def growing(path: Path) -> Iterator[None]:
    """Somebody copies a file all the while."""
    over = threading.Event()

    def grow() -> None:
        while not over.wait(0.2):
            with path.open("a") as file:
                file.write("x")

    path.write_text("prompt,start_image,end_image\n")
    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def test_good_bad_and_half_written_ones(tweenbatch: Command, fal: Server, inbox: Path) -> None:
    dropped(inbox, "good.csv", "one", "two")
    rested(dropped(inbox, "bad.csv", "three")).write_text("prompt\nthree\n")
    rested(inbox / "bad.csv")
    dropped(inbox, "fresh.csv", "four").touch()
    with growing(inbox / "half.csv"):
        ran = tweenbatch(*RUN)
    assert ran.returncode == 1, ran.stderr
    assert "rejected: bad.csv" in ran.stdout
    assert "next     fix the rejected manifests" in ran.stdout
    assert "bad.csv: 2 problems" in ran.stderr
    assert "moved to jobs/inbox/rejected/bad.csv" in ran.stderr
    assert "half.csv: still being written; the next run reads it" in ran.stderr
    assert lying(inbox) == {
        "done/good.csv",
        "done/fresh.csv",
        "half.csv",
        "rejected/bad.csv",
        "rejected/bad.csv.problems.csv",
    }
    assert sorted(fal.prompts()) == ["four", "one", "two"]


def test_an_empty_inbox_is_no_mistake(tweenbatch: Command, fal: Server) -> None:
    for _ in range(2):
        ran = tweenbatch(*RUN)
        assert ran.returncode == 0
        assert "Nothing to do" in ran.stdout
    assert fal.totals()["posts"] == 0


def test_what_is_not_done_stays_and_goes_on(tweenbatch: Command, fal: Server, inbox: Path) -> None:
    dropped(inbox, "three.csv", "one", "two", "three")
    assert tweenbatch(*RUN, "--limit", "1").returncode == 3
    assert lying(inbox) == {"three.csv"}
    assert tweenbatch(*RUN).returncode == 0
    assert lying(inbox) == {"done/three.csv"}
    assert fal.totals()["posts"] == 3


def test_another_one_of_the_same_name_takes_nothing_from_the_first(
    tweenbatch: Command, fal: Server, inbox: Path
) -> None:
    for prompts in (("one",), ("two", "three"), ("one",)):
        dropped(inbox, "orders.csv", *prompts)
        assert tweenbatch(*RUN).returncode == 0
    assert fal.totals()["posts"] == 3
    assert lying(inbox) == {"done/orders.csv", "done/orders-2.csv", "done/orders-3.csv"}
    tweenbatch("export", "-o", "all.jsonl")
    rows = [json.loads(line) for line in (tweenbatch.folder / "all.jsonl").read_text().splitlines()]
    assert sorted((Path(row["manifest"]).name, row["prompt"]) for row in rows) == [
        ("orders-2.csv", "three"),
        ("orders-2.csv", "two"),
        ("orders-3.csv", "one"),
        ("orders.csv", "one"),
    ]


def test_a_rejected_one_is_taken_once_it_is_fixed(
    tweenbatch: Command, fal: Server, inbox: Path
) -> None:
    for _ in range(2):
        (inbox / "bad.csv").write_text("prompt\nthree\n")
        rested(inbox / "bad.csv")
        assert tweenbatch(*RUN).returncode == 1
    assert len(lying(inbox)) == 4
    # Of one that was taken back out, the list may be there still.
    (inbox / "rejected" / "bad.csv").unlink()
    (inbox / "bad.csv").write_text("prompt\nfour\n")
    rested(inbox / "bad.csv")
    assert "can't be put away" not in tweenbatch(*RUN).stderr
    assert len(lying(inbox)) == 4
    dropped(inbox, "bad.csv", "three")
    assert tweenbatch(*RUN).returncode == 0
    assert "done/bad.csv" in lying(inbox)
    assert fal.totals()["posts"] == 1


def test_a_bad_manifest_that_was_named_still_stops_the_run(
    tweenbatch: Command, fal: Server, inbox: Path
) -> None:
    dropped(inbox, "good.csv", "one")
    (tweenbatch.folder / "named.csv").write_text("prompt\nthree\n")
    ran = tweenbatch("run", "named.csv", "--inbox", "jobs/inbox", "--yes")
    assert ran.returncode == 2
    assert "named.csv: 2 problems" in ran.stderr
    assert lying(inbox) == {"good.csv"}
    assert fal.totals()["posts"] == 0


def test_plan_looks_and_moves_nothing(tweenbatch: Command, inbox: Path) -> None:
    dropped(inbox, "good.csv", "one", "two")
    planned = tweenbatch("plan", str(JOB))
    assert "A run would submit 2 clips for $1.12" in planned.stdout
    assert lying(inbox) == {"good.csv"}


def test_a_rehearsal_leaves_all_where_it_lies(
    tweenbatch: Command, fal: Server, inbox: Path
) -> None:
    dropped(inbox, "good.csv", "one")
    (inbox / "bad.csv").write_text("prompt\nthree\n")
    rested(inbox / "bad.csv")
    rehearsed = tweenbatch(*RUN, "--rehearse")
    assert rehearsed.returncode == 1
    assert "bad.csv: 2 problems" in rehearsed.stderr
    assert lying(inbox) == {"good.csv", "bad.csv", "bad.csv.problems.csv"}
    assert tweenbatch(*RUN).returncode == 1
    assert "rejected: bad.csv" in tweenbatch("runs").stdout
    assert fal.totals()["posts"] == 1


def test_a_missing_inbox_is_reported(tweenbatch: Command) -> None:
    (tweenbatch.folder / JOB).write_text('inbox = "nowhere"\nyes = true\n')
    ran = tweenbatch(*RUN)
    assert ran.returncode == 2
    assert "the inbox jobs/nowhere can't be read (No such file or directory)" in ran.stderr


def test_whatever_lies_beside_it_a_good_one_runs(
    tweenbatch: Command, fal: Server, inbox: Path
) -> None:
    damages = {
        f"damaged-{seed}.{suffix}": damaged.damaged(suffix, seed)
        for suffix in damaged.WHOLE
        for seed in range(6)
    }
    for name in SMALL_BOMBS:
        data = bombs.BOMBS[name]()
        damages[name] = data.encode() if isinstance(data, str) else data
    for name, data in damages.items():
        (inbox / name).write_bytes(data)
        rested(inbox / name)
    bad = {name for name in damages if limits.outcome(inbox / name) == "one line"}
    assert bad >= {*SMALL_BOMBS}
    for name in damages.keys() - bad:
        (inbox / name).unlink()
    (inbox / "circle.csv").symlink_to("circle.csv")
    shutil.copy(inbox / "keys.jsonl", inbox / NOT_UTF8)
    rested(inbox / NOT_UTF8)
    dropped(inbox, "good.csv", "one", "two")
    ran = tweenbatch(*RUN)
    assert ran.returncode == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    assert sorted(fal.prompts()) == ["one", "two"]
    bad.add(NOT_UTF8)
    lists = {f"rejected/{name}.problems.csv" for name in bad}
    assert lying(inbox) == {"done/good.csv", *(f"rejected/{name}" for name in bad), *lists}
