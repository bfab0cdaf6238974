"""After a kill or a stop at a named point, the next run continues and pays for nothing twice."""

import json
import signal
import sqlite3
import subprocess

from support import manifests
from support.command import Command, until
from support.fal import Server

RUN = ("run", "manifest.csv", "--yes")


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()


def test_killed_before_acceptance_the_job_is_uncertain_and_never_sent_again(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(
        {"on": "submit", "do": "hold", "at": "arrival"},
        {"on": "submit", "do": "reset", "at": "arrival"},
    )
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        kill(run)
    fal.script()
    again = tweenbatch("run", "--yes", "--settle", "0")
    assert again.returncode == 5
    assert "$0.56 is uncertain" in again.stdout
    assert tweenbatch.jobs() == {"uncertain": 1}
    assert fal.ledger()["posts"] == 1


def test_killed_after_acceptance_the_request_is_looked_up_and_collected(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "submit", "do": "hold", "at": "reply", "nth": 1})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        until(lambda: tweenbatch.jobs().get("succeeded") == 2)
        kill(run)
    fal.script({"on": "history", "do": "omit"})
    left = tweenbatch("run", "--settle", "0")
    assert left.returncode == 5
    assert tweenbatch.jobs() == {"succeeded": 2, "uncertain": 1}
    status = json.loads(tweenbatch("status", "--json").stdout)
    assert status["money"]["uncertain"] == 0.56
    assert [a["state"] for a in status["attention"]] == ["uncertain"]
    fal.script()
    # There is nothing to pay for, so nobody has to agree to anything.
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 3}
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (3, 3)


def test_killed_between_the_reply_and_its_record_the_request_is_looked_up(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "submit", "do": "hold", "at": "reply", "id": "late"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        table = sqlite3.connect(tweenbatch.folder / "tweenbatch.db", isolation_level=None)
        table.execute("BEGIN IMMEDIATE")  # the runner can't write the reply down
        fal.release("late")
        fal.wait_for("reply_sent")
        kill(run)
        table.rollback()
        table.close()
    fal.script()
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 1}
    assert fal.ledger()["posts"] == 1


def test_killed_while_clips_are_made_the_next_run_collects_them(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("status_read", count=6)
        kill(run)
    assert tweenbatch.jobs() == {"submitted": 3}
    fal.script()
    fal.release()
    # There is nothing to pay for, so nobody has to agree to anything.
    assert tweenbatch("run").returncode == 0
    ledger = fal.ledger()
    assert (ledger["posts"], ledger["downloads"]["finished"]) == (3, 3)


def test_killed_in_the_middle_of_a_download_only_that_is_fetched_again(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "download", "do": "hold", "after_bytes": 100, "nth": 2})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        until(lambda: tweenbatch.jobs().get("succeeded") == 2)
        kill(run)
    fal.script()
    assert tweenbatch("run").returncode == 0
    ledger = fal.ledger()
    assert ledger["posts"] == 3
    assert ledger["downloads"]["started"] == 4
    assert len(list((tweenbatch.folder / "videos").glob("*.mp4"))) == 3
    assert not list((tweenbatch.folder / "videos").glob("*.part"))


def test_killed_before_all_were_submitted_the_rest_is_submitted_once(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 4)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN, "--concurrency", "2") as run:
        fal.wait_for("status_read", count=2)
        kill(run)
    fal.script()
    fal.release()
    refused = tweenbatch("run")
    assert refused.returncode == 2
    assert "2 clips for $1.12" in refused.stderr
    assert tweenbatch("run", "--yes").returncode == 0
    assert sorted(fal.prompts()) == sorted(row["prompt"] for row in manifests.rows(4))


def test_an_interrupt_stops_submitting_and_leaves_the_rest_at_fal(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 4)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN, "--concurrency", "2") as run:
        fal.wait_for("status_read", count=2)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "stopping" in said
    assert "Traceback" not in said
    assert tweenbatch.jobs() == {"pending": 2, "submitted": 2}
    fal.script()
    fal.release()
    assert tweenbatch("run", "--yes").returncode == 0
    assert fal.ledger()["posts"] == 4


def test_an_interrupt_waits_for_the_reply_to_a_submission(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "submit", "do": "hold", "at": "reply", "id": "late"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        run.send_signal(signal.SIGTERM)
        assert run.stderr is not None
        assert "stopping" in run.stderr.readline()
        fal.release("late")
        assert run.wait(60) == 130
    assert tweenbatch.jobs() == {"submitted": 1}
    fal.script()
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 1


def test_a_second_interrupt_leaves_at_once_and_loses_nothing(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "submit", "do": "hold", "at": "reply", "nth": 1})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("held")
        until(lambda: tweenbatch.jobs().get("succeeded") == 1)
        run.send_signal(signal.SIGINT)
        assert run.stderr is not None
        assert "stopping" in run.stderr.readline()
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 130
    fal.script()
    assert tweenbatch("run").returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 2}
    assert fal.ledger()["posts"] == 2


def test_a_second_runner_is_told_who_has_the_table(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("status_read")
        second = tweenbatch(*RUN)
        assert second.returncode == 75
        assert str(run.pid) in second.stderr
        assert tweenbatch.jobs() == {"submitted": 1}  # looking is always possible
        fal.script()
        fal.release()
        assert run.wait(60) == 0


def test_a_table_that_breaks_in_mid_run_ends_the_run_and_says_so(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script({"on": "generation", "do": "hold"})
    with tweenbatch.started(*RUN) as run:
        fal.wait_for("status_read", count=4)
        table = tweenbatch.folder / "tweenbatch.db"
        whole = table.read_bytes()
        table.write_bytes(b"x" * len(whole))
        fal.script()
        fal.release()
        _, said = run.communicate(timeout=60)
    assert run.returncode == 4
    assert "failed during the run" in said
    assert "tweenbatch.db" in said
    assert "Traceback" not in said
    table.write_bytes(whole)
    assert tweenbatch("run").returncode == 0
    assert fal.ledger()["posts"] == 2
