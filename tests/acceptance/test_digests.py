"""The digest of each run is sent once, however the run ended."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.listener import SECRET, Listener, listening

JOB = Path("jobs", "night.toml")
RUN = ("run", str(JOB))
ZONE = "Pacific/Kiritimati"


@pytest.fixture
def ear() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


@pytest.fixture(autouse=True)
def told_by_a_hook(tweenbatch: Command, ear: Listener) -> None:
    (tweenbatch.folder / "jobs").mkdir()
    manifests.project(tweenbatch.folder / "jobs", 3)
    job_file(tweenbatch, ear.url)


def job_file(tweenbatch: Command, notify: str, more: str = "") -> None:
    (tweenbatch.folder / JOB).write_text(
        'manifests = ["manifest.csv"]\noutput = "../videos"\ndb = "sqlite:///../tweenbatch.db"\n'
        f'yes = true\ndigests = "runs"\nnotify = ["{notify}"]\n{more}'
        f'[window]\ntimezone = "{ZONE}"\n'
    )


def written(tweenbatch: Command) -> list[dict[str, Any]]:
    (path,) = (tweenbatch.folder / "jobs" / "runs").glob("*.json")
    found = json.loads(path.read_text())
    assert path.stem == found["night"]
    return list(found["runs"])


def killed(tweenbatch: Command, fal: Server) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as night:
        fal.wait_for("accepted", count=3)
        night.send_signal(signal.SIGKILL)
        night.wait()
    fal.script()
    fal.release()


def test_what_was_made_is_reported_and_written_down(tweenbatch: Command, ear: Listener) -> None:
    assert tweenbatch(*RUN).returncode == 0
    (message,) = ear.posted
    night = message["digest"]["night"]
    assert message["title"] == f"tweenbatch night {night}: 3 clips made; everything succeeded"
    assert "asked     jobs/manifest.csv" in message["text"]
    assert "spent     $1.68; in progress at fal $0.00" in message["text"]
    assert "slowest   clip-" in message["text"]
    assert message["digest"]["money"]["spent"] == 1.68
    assert message["digest"]["made"] == message["digest"]["submitted"] == 3
    assert written(tweenbatch) == [message["digest"]]


def test_a_night_with_nothing_to_do_says_so(tweenbatch: Command, ear: Listener) -> None:
    for _ in range(2):
        assert tweenbatch(*RUN).returncode == 0
    assert ear.titles()[1].endswith(": 0 clips made; everything succeeded")
    assert len(written(tweenbatch)) == 2


def test_a_locked_account_is_reported_in_its_words(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    fal.script({"on": "submit", "do": "lock"})
    assert tweenbatch(*RUN).returncode == 4
    (message,) = ear.posted
    assert message["title"].endswith("0 clips made; account or service trouble, work remains")
    assert "locked" in message["digest"]["why"]
    assert "left      3 pending" in message["text"]
    assert "next      fix this" in message["text"]


def test_failures_are_reported_by_cause_with_their_words(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    words = {"on": "generation", "do": "fail", "status": 422}
    fal.script(
        {**words, "type": "content_policy_violation", "prompt_contains": "number 1"},
        {**words, "type": "image_load_error"},
    )
    assert tweenbatch(*RUN).returncode == 1
    (message,) = ear.posted
    assert "0 clips made, 3 failed; some jobs failed" in message["title"]
    causes = {each["error_type"]: each["jobs"] for each in message["digest"]["failed"]}
    assert causes == {"content_policy_violation": 1, "image_load_error": 2}
    assert "failed    2 × image_load_error: " in message["text"]


def test_a_night_that_could_not_begin_is_reported(tweenbatch: Command, ear: Listener) -> None:
    (tweenbatch.folder / "jobs" / "manifest.csv").write_text("prompt,start_image\nx,nowhere.png\n")
    failed = tweenbatch(*RUN)
    assert failed.returncode == 2
    (message,) = ear.posted
    assert "nothing ran, wrong usage, manifest or configuration" in message["title"]
    assert "end_image" in message["digest"]["why"]
    assert message["digest"]["run"] is None
    assert written(tweenbatch) == [message["digest"]]


def test_a_log_that_can_not_be_written_is_reported(tweenbatch: Command, ear: Listener) -> None:
    job_file(tweenbatch, ear.url, 'log_file = "manifest.csv/night.log"\n')
    assert tweenbatch(*RUN).returncode == 2
    assert "can't be written" in ear.posted[0]["digest"]["why"]


def test_a_night_that_would_overlap_another_is_reported(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as first:
        fal.wait_for("accepted", count=3)
        assert tweenbatch(*RUN).returncode == 75
        (message,) = ear.posted
        assert "nothing ran, another run uses the table" in message["title"]
        assert f"pid {first.pid}" in message["digest"]["why"]
        fal.script()
        fal.release()
        assert first.wait() == 0
    assert len(ear.posted) == 2


def test_a_night_that_died_is_reported_by_the_next_start(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    killed(tweenbatch, fal)
    assert not ear.posted
    assert tweenbatch(*RUN).returncode == 0
    first, second = ear.titles()
    assert "0 clips made; died" in first
    assert "3 clips made; everything succeeded" in second
    assert len(written(tweenbatch)) == 2


def test_a_night_that_died_is_reported_by_the_hook_of_its_unit_and_once(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    killed(tweenbatch, fal)
    for _ in range(2):
        hook = tweenbatch("digest", "--last", str(JOB))
        assert hook.returncode == 0
        assert "0 clips made; died" in hook.stdout
    assert len(ear.posted) == 1
    assert tweenbatch(*RUN).returncode == 0
    assert len(ear.posted) == 2


def test_the_hook_says_nothing_of_a_night_that_was_told(tweenbatch: Command, ear: Listener) -> None:
    assert tweenbatch(*RUN).returncode == 0
    assert "3 clips made" in tweenbatch("digest", "--last", str(JOB)).stdout
    assert len(ear.posted) == 1


def test_the_hook_tells_that_nothing_began(tweenbatch: Command, ear: Listener) -> None:
    assert "nothing ran" in tweenbatch("digest", str(JOB)).stdout
    assert not ear.posted
    assert "nothing ran" in tweenbatch("digest", "--last", str(JOB)).stdout
    assert "no run of this job file started on that day" in ear.posted[0]["text"]


def test_a_run_in_progress_is_not_reported_as_dead(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN):
        fal.wait_for("accepted", count=3)
        assert "running" in tweenbatch("digest", "--last", str(JOB)).stdout
    assert not ear.posted


def test_a_receiver_that_fails_for_a_moment_is_notified_again(
    tweenbatch: Command, ear: Listener
) -> None:
    ear.answers = [503, 429]
    assert tweenbatch(*RUN).returncode == 0
    assert len(ear.posted) == 1


def test_a_digest_that_could_not_be_sent_is_sent_by_the_next_run(
    tweenbatch: Command, ear: Listener
) -> None:
    ear.answers = [410]
    ran = tweenbatch(*RUN)
    assert ran.returncode == 0
    assert "could not be notified (HTTP 410); the next run tries again" in ran.stderr
    assert tweenbatch(*RUN).returncode == 0
    assert [title.partition(": ")[2] for title in ear.titles()] == [
        "3 clips made; everything succeeded",
        "0 clips made; everything succeeded",
    ]


def test_the_address_is_never_shown(tweenbatch: Command, ear: Listener) -> None:
    ear.answers = [410]
    outputs = [tweenbatch(*RUN), tweenbatch("config", "show", str(JOB)), tweenbatch("runs")]
    outputs.append(tweenbatch("config", "show", str(JOB), "--json"))
    assert "http://127.0.0.1/…" in outputs[1].stdout
    for each in outputs:
        assert SECRET not in each.stdout + each.stderr
    table = tweenbatch.folder / "tweenbatch.db"
    for file in (table, *table.parent.glob("tweenbatch.db-*"), *tweenbatch.folder.rglob("*.json")):
        assert SECRET.encode() not in file.read_bytes()


def test_an_address_may_come_from_the_environment(tweenbatch: Command, ear: Listener) -> None:
    job_file(tweenbatch, "$HOOK")
    missing = tweenbatch(*RUN)
    assert missing.returncode == 2
    assert "--notify $HOOK: the environment variable HOOK is not set" in missing.stderr
    there = Command(
        folder=tweenbatch.folder,
        connect_to=tweenbatch.connect_to,
        environment={"HOOK": ear.url},
    )
    assert there(*RUN).returncode == 0
    assert len(ear.posted) == 1


def test_other_addresses_go_through_apprise(tweenbatch: Command, ear: Listener) -> None:
    job_file(tweenbatch, f"json://127.0.0.1:{ear.port}/{SECRET}")
    assert tweenbatch(*RUN).returncode == 0
    (message,) = ear.posted
    assert message["title"].endswith("3 clips made; everything succeeded")
    assert "spent     $1.68" in message["message"]


def test_an_address_that_apprise_does_not_know_is_never_shown_either(tweenbatch: Command) -> None:
    job_file(tweenbatch, f"nosuch://{SECRET}/x")
    # A process of its own has the log as a person has it.
    ran = Command(folder=tweenbatch.folder, connect_to=tweenbatch.connect_to)(*RUN)
    assert ran.returncode == 0
    assert "nosuch://… could not be notified (apprise can't parse the address)" in ran.stderr
    # Some of them it shortens itself, others not.
    assert "ERROR:apprise" not in ran.stderr


def test_whoever_wants_to_hear_is_not_told_of_all_nights_before(
    tweenbatch: Command, ear: Listener
) -> None:
    job_file(tweenbatch, ear.url)
    path = tweenbatch.folder / JOB
    wanted = path.read_text()
    path.write_text(re.sub("(digests|notify) = .*", "", wanted))
    for _ in range(2):
        assert tweenbatch(*RUN).returncode == 0
    path.write_text(wanted)
    assert tweenbatch(*RUN).returncode == 0
    assert len(ear.posted) == 1


def test_a_night_that_died_after_midnight_is_reported_by_the_hook(
    tweenbatch: Command, fal: Server, ear: Listener
) -> None:
    killed(tweenbatch, fal)
    path = tweenbatch.folder / JOB
    path.write_text(path.read_text().replace(ZONE, "Pacific/Pago_Pago"))
    assert "0 clips made; died" in tweenbatch("digest", "--last", str(JOB)).stdout
    assert len(ear.posted) == 1


def test_what_is_no_address_is_refused(tweenbatch: Command, fal: Server) -> None:
    job_file(tweenbatch, "nowhere")
    refused = tweenbatch(*RUN)
    assert refused.returncode == 2
    assert "--notify nowhere: expected an https address" in refused.stderr
    assert fal.totals()["posts"] == 0


def test_a_rehearsal_says_that_it_is_one(tweenbatch: Command, ear: Listener) -> None:
    assert tweenbatch(*RUN, "--rehearse").returncode == 0
    assert "(rehearsal): 3 clips made" in ear.titles()[0]
    assert not (tweenbatch.folder / "jobs" / "runs").exists()


def test_past_runs_are_listed_and_told(tweenbatch: Command, fal: Server) -> None:
    killed(tweenbatch, fal)
    assert tweenbatch(*RUN).returncode == 0
    lines = tweenbatch("runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert "night" in lines[0]
    assert "everything succeeded" in lines[0]
    assert "died" in lines[1]
    assert [each["id"] for each in json.loads(tweenbatch("runs", "--json").stdout)] == [2, 1]
    assert "3 clips made" in tweenbatch("runs", "show", "2").stdout
    assert json.loads(tweenbatch("runs", "show", "1", "--json").stdout)["submitted"] == 3
    unknown = tweenbatch("runs", "show", "9")
    assert unknown.returncode == 2
    assert "there is no run 9" in unknown.stderr


def test_what_is_next_depends_on_who_started_the_run_and_whether_it_works(
    tweenbatch: Command, fal: Server
) -> None:
    killed(tweenbatch, fal)
    shown = tweenbatch("runs", "show", "1").stdout
    assert "nothing while it runs; if it was killed, the next night, or running" in shown
    more = ("run", "jobs/manifest.csv", "--takes", "2", "--limit", "1", "--yes")
    assert tweenbatch(*more).returncode == 3
    assert "next      tweenbatch run continues from here" in tweenbatch("runs", "show", "2").stdout
