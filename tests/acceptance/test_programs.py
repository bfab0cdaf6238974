"""The functions for Python programs work like the commands of the same names."""

import asyncio
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

import tweenbatch
from support import manifests
from support.command import KEY
from support.fal import Server
from support.forked import Forked
from tweenbatch.api.preparation import Checked
from tweenbatch.errors import ManifestError, TableMissing, UsageError
from tweenbatch.exit_codes import ExitCode
from tweenbatch.states import State


@pytest.fixture
def here(tmp_path: Path, fal: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a key, connected to the stand-in for fal."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "HOME": str(tmp_path),
        "FAL_KEY": KEY,
        "TWEENBATCH_CONNECT_TO": fal.url,
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_a_program_plans_runs_and_reads_the_results(here: Path, fal: Server) -> None:
    manifests.project(here, 3, scene="7")
    preview = tweenbatch.plan("manifest.csv")
    assert (preview.plan.clips_to_pay, preview.plan.usd_to_pay) == (3, Decimal("1.68"))
    assert not (here / "tweenbatch.db").exists()
    assert fal.ledger()["accepted_count"] == 0

    finished = tweenbatch.run("manifest.csv", yes=True)
    assert finished.result.exit_code is ExitCode.SUCCEEDED
    assert finished.result.spent_usd == Decimal("1.68")
    assert fal.ledger()["accepted_count"] == 3

    frame = tweenbatch.results()
    assert list(frame["state"]) == ["succeeded"] * 3
    assert frame["cost_usd"].sum() == pytest.approx(1.68)
    assert list(frame["scene"]) == ["7"] * 3
    assert all(
        Path(path).stat().st_size == size
        for path, size in frame[["video_path", "bytes"]].itertuples(index=False)
    )
    assert frame["finished_at"].dt.tz is not None

    status = tweenbatch.status()
    assert status.counts[State.SUCCEEDED] == 3
    assert status.money.spent == Decimal("1.68")


def test_nothing_is_submitted_until_the_user_agrees(here: Path, fal: Server) -> None:
    manifests.project(here, 2)
    seen: list[Checked] = []

    def refuse(checked: Checked) -> bool:
        seen.append(checked)
        return False

    for agree in (None, refuse):
        with pytest.raises(UsageError, match="Nothing was submitted"):
            tweenbatch.run("manifest.csv", agree=agree)
    assert [each.batch.usd_to_pay for each in seen] == [Decimal("1.12")]
    assert fal.ledger()["accepted_count"] == 0
    assert not (here / "tweenbatch.db").exists()
    finished = tweenbatch.run("manifest.csv", agree=lambda checked: checked.batch.to_pay == 2)
    assert finished.result.counts[State.SUCCEEDED] == 2


def test_a_limit_stops_a_run_and_a_call_without_manifests_resumes(here: Path, fal: Server) -> None:
    manifests.project(here, 3)
    first = tweenbatch.run(["manifest.csv"], yes=True, max_cost="1.20")
    assert first.result.exit_code is ExitCode.LIMIT
    assert fal.ledger()["accepted_count"] == 2
    last = tweenbatch.run(yes=True, max_cost=None)
    assert last.result.exit_code is ExitCode.SUCCEEDED
    assert fal.ledger()["accepted_count"] == 3


def test_the_command_and_a_program_share_one_table(
    here: Path, fal: Server, tweenbatch: Forked
) -> None:
    import tweenbatch as program

    manifests.project(here, 2)
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert program.plan("manifest.csv").plan.clips_to_pay == 0
    again = program.run("manifest.csv", yes=True)
    assert again.result.exit_code is ExitCode.SUCCEEDED
    assert fal.ledger()["accepted_count"] == 2


def test_mistakes_raise_tweenbatch_errors(here: Path) -> None:
    (here / "bad.csv").write_text("prompt,start_image,end_image\n,a.png,b.png\n")
    with pytest.raises(ManifestError, match="prompt"):
        tweenbatch.plan("bad.csv")
    with pytest.raises(UsageError, match="no manifest"):
        tweenbatch.plan()
    with pytest.raises(UsageError, match="max_cost is five: expected an amount in US dollars"):
        tweenbatch.run("bad.csv", max_cost="five")
    for call in (tweenbatch.status, tweenbatch.results, tweenbatch.run):
        with pytest.raises(TableMissing):
            call()
    assert not list(here.glob("*.db*"))


async def test_inside_an_event_loop_the_error_shows_how_to_call_it(here: Path, fal: Server) -> None:
    manifests.project(here, 1)
    with pytest.raises(UsageError, match="to_thread"):
        tweenbatch.run("manifest.csv", yes=True)
    finished = await asyncio.to_thread(tweenbatch.run, "manifest.csv", yes=True)
    assert finished.result.exit_code is ExitCode.SUCCEEDED
    assert fal.ledger()["accepted_count"] == 1


def test_a_rehearsal_costs_nothing(here: Path, fal: Server) -> None:
    manifests.project(here, 1)
    finished = tweenbatch.run("manifest.csv", rehearse=True)
    assert finished.result.exit_code is ExitCode.SUCCEEDED
    assert fal.ledger()["accepted_count"] == 0
    assert list((here / "rehearsal" / "videos").glob("*.mp4"))


def test_the_package_is_light_until_a_function_is_used() -> None:
    script = "import json, sys, tweenbatch; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    heavy = {"pandas", "sqlalchemy", "fal_client", "httpx", "pydantic", "av", "numpy"}
    assert not heavy & set(json.loads(loaded))
