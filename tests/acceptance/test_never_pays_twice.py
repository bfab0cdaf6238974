"""Killed, cut off, refused and started twice: fal's ledger says that all was paid for once.

``killed_at_length.py`` beside this file kills for as long as one likes.
"""

import random
import select
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.command import TIMEOUT, Command
from support.fal import Server
from support.forked import Forked, Zygote
from support.judging import bring_to_an_end, judge
from support.killing import Batch, batches, write_wave
from support.points import TABLE, comes, look, states

WAVE = ("run", "wave-1.csv", "--yes")

AT_LENGTH = Path(__file__).with_name("killed_at_length.py")

RUNS = 10

ATTEMPTS = """
    SELECT jobs.prompt, COUNT(*) FROM attempts JOIN jobs ON jobs.id = attempts.job_id
    GROUP BY jobs.prompt
"""

HTML = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>hello</html>"}
SUBMIT_FAULTS: tuple[dict[str, Any], ...] = (
    *({"do": do, "at": at} for do in ("reset", "close") for at in ("arrival", "reply")),
    {"do": "half"},
    *({"do": "reply", "at": "reply", "status": status} for status in (408, 500, 502, 504)),
    {"do": "reply", "at": "arrival", "status": 503},
    {"do": "reply", "at": "reply", **HTML},
    *({"do": "reply", "status": 429, "headers": {"Retry-After": wait}} for wait in ("0", "1")),
)
"""Each with a thirteenth of 30 %. To hang is left out: it takes a minute."""


@pytest.fixture
def forked(tweenbatch: Forked) -> Forked:
    return tweenbatch


def test_a_forked_run_is_the_installed_command(forked: Forked, fal: Server) -> None:
    folder = forked.folder / "installed"
    folder.mkdir()
    installed = Command(folder=folder, connect_to=fal.url)
    assert forked("--version").stdout == installed("--version").stdout
    said = []
    for command in (installed, forked):
        write_wave(command.folder, 1, rows=2)
        run = command(*WAVE, "--pay-again")
        assert run.returncode == 0
        said.append((run.stdout, run.stderr))
    assert said[0] == said[1]
    wrong = [command("run", "nowhere.csv") for command in (installed, forked)]
    assert [run.returncode for run in wrong] == [2, 2]
    assert wrong[0].stderr == wrong[1].stderr
    assert fal.ledger()["posts"] == 4


@pytest.mark.parametrize(("seed", "kills"), batches())
def test_killed_again_and_again_everything_is_paid_once_and_comes_home(
    tmp_path: Path, zygote: Zygote, seed: int, kills: int
) -> None:
    with Batch(tmp_path, zygote=zygote, seed=seed) as batch:
        batch.kill(kills)
        bring_to_an_end(batch.command, batch.fal)
        found = judge(batch.command, batch.fal, rows=batch.rows)
    print(f"replay with TWEENBATCH_TEST_SEED={seed}: {batch.tally}")
    assert found.wrong == []
    assert batch.tally.live_share >= 0.9


def test_the_long_run_counts_its_kills_and_what_it_found() -> None:
    ran = subprocess.run(
        [sys.executable, str(AT_LENGTH), "--kills", "3", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "| **all** | **3** |" in ran.stdout
    assert "40 accepted, 0 duplicates, 0 lost, 0 broken files, 0 stuck" in ran.stdout


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_faults_on_three_submissions_of_ten_each_clip_is_accepted_once(
    forked: Forked, fal: Server, seed: int
) -> None:
    rows = 100
    write_wave(forked.folder, 1, rows=rows)
    probability = 0.3 / len(SUBMIT_FAULTS)
    fal.script(
        *(
            {"on": "submit", "probability": probability, "seed": seed, **fault}
            for fault in SUBMIT_FAULTS
        )
    )
    run = forked(*WAVE, "--concurrency", "20", "--settle", "0")
    assert fal.totals()["duplicate_count"] == 0
    assert run.returncode == 5, run.stderr
    struck = sum(fault["fired"] for fault in fal.totals()["faults"])
    assert 0.15 * rows < struck < 0.6 * rows
    bring_to_an_end(forked, fal)
    assert judge(forked, fal, rows=rows).wrong == []
    posts = Counter(post["input"]["prompt"] for post in fal.ledger()["post_list"])
    attempts = Counter(dict(look(forked.folder / TABLE, ATTEMPTS)))
    assert posts <= attempts, "an attempt is one POST"


def test_of_two_runs_started_at_one_moment_one_works_and_one_is_turned_away(
    forked: Forked, fal: Server
) -> None:
    for wave in range(1, RUNS + 1):
        write_wave(forked.folder, wave, rows=4)
        fal.script({"on": "generation", "do": "hold"})
        run = ("run", f"wave-{wave}.csv", "--yes")
        with forked.running(*run) as one, forked.running(*run) as other:
            first, *_ = select.select([one, other], [], [], TIMEOUT)[0]
            assert first.wait().returncode == 75
            assert "is using" in first.wait().stderr
            fal.script()
            assert (other if first is one else one).wait().returncode == 0
    assert judge(forked, fal, rows=4 * RUNS).wrong == []
    assert fal.totals()["posts"] == 4 * RUNS


def test_a_run_that_comes_later_is_told_which_run_has_the_table(
    forked: Forked, fal: Server
) -> None:
    for wave in range(1, RUNS + 1):
        write_wave(forked.folder, wave, rows=4)
        fal.script({"on": "generation", "do": "hold"})
        before = fal.totals()["last_event"]
        run = ("run", f"wave-{wave}.csv", "--yes")
        with forked.running(*run) as first:
            assert comes(fal, first, "accepted", since=before)
            second = forked(*run)
            assert second.returncode == 75
            assert f"pid {first.pid} " in second.stderr
            fal.script()
            assert first.wait().returncode == 0
    assert judge(forked, fal, rows=4 * RUNS).wrong == []
    assert fal.totals()["posts"] == 4 * RUNS


@pytest.mark.parametrize("seed", range(RUNS))
def test_an_account_that_refuses_costs_no_row_a_try_and_what_is_paid_comes_home(
    forked: Forked, fal: Server, seed: int
) -> None:
    rows, dice = 16, random.Random(seed)
    concurrency = dice.choice([2, 5, 8])
    write_wave(forked.folder, 1, rows=rows)
    nth = dice.randint(1, rows)
    locked = {"on": "submit", "do": "lock", "nth": nth}
    revoked = {"on": "submit", "do": "reply", "status": 401, "from_nth": nth}
    fal.script(locked if seed % 2 else revoked)
    run = forked(*WAVE, "--concurrency", str(concurrency))
    assert run.returncode == 4, run.stderr
    ledger = fal.ledger()
    refusals = [post["n"] for post in ledger["post_list"] if not post["accepted"]]
    assert ledger["posts"] - refusals[0] < concurrency, "only what was in the air then"
    bought = {"succeeded": ledger["accepted_count"]} if ledger["accepted_count"] else {}
    left = rows - ledger["accepted_count"]
    assert states(forked.folder / TABLE) == {"pending": left, **bought}
    assert look(forked.folder / TABLE, "SELECT SUM(tries) FROM jobs") == [(0,)]
    fal.script()
    assert forked("run", "--yes").returncode == 0
    assert judge(forked, fal, rows=rows).wrong == []
