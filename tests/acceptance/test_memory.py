"""The table remembers frames; nothing is bought on the word of a memory."""

import time
from dataclasses import replace
from pathlib import Path

from support import manifests
from support.command import Command
from support.fal import Server
from tweenbatch import manifest
from tweenbatch.frames.cache import FrameCache
from tweenbatch.manifest import Reading
from tweenbatch.store import Store

SEASONS = Path(__file__).parents[2] / "jobs" / "seasons" / "manifest.csv"


def test_a_run_remembers_the_frames_that_it_has_looked_at(tweenbatch: Command, fal: Server) -> None:
    assert tweenbatch("run", str(SEASONS), "--yes", "--limit", "1").returncode == 3
    assert fal.ledger()["posts"] == 1
    store = Store.open(f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}")
    paths = [str(path) for path in SEASONS.parent.rglob("*.jpg")]
    assert paths
    assert set(store.cache.remembered_frames(paths)) == set(paths)
    store.close()


def test_a_wrong_memory_is_found_out_before_anything_is_paid(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    later = FrameCache(now_ns=lambda: time.time_ns() + 10_000_000_000)
    manifest.read(tweenbatch.folder / "manifest.csv", Reading(memory=later))
    store = Store.open(f"sqlite:///{tweenbatch.folder / 'tweenbatch.db'}")
    store.cache.remember_frames(replace(frame, sha256="f" * 64) for frame in later.new())
    store.close()
    run = tweenbatch("run", "manifest.csv", "--yes")
    assert run.returncode == 1
    assert "has changed since the manifest was read" in run.stdout
    assert (fal.ledger()["posts"], fal.ledger()["uploads"]) == (0, [])
