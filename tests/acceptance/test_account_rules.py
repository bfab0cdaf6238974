"""What an account is set to costs no clip and no second payment: files, keys, models, uploads."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from support import jobtable, manifests
from support.command import Command
from support.fal import Server
from support.virtual import virtually
from support.world import NOON, world
from tweenbatch.exit_codes import ExitCode
from tweenbatch.models import KLING_O1
from tweenbatch.records import Frame
from tweenbatch.records.manifest import Manifest

RUN = ("run", "manifest.csv", "--yes")
STANDARD = "fal-ai/kling-video/o1/standard/image-to-video"


def test_clips_of_an_account_with_closed_files_come_home(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "download", "do": "restrict", "status": 404})
    assert tweenbatch(*RUN).returncode == 0
    assert tweenbatch.jobs() == {"succeeded": 3}
    assert fal.ledger()["accepted_count"] == 3


def test_a_key_that_may_pay_and_not_read_pays_nothing(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script(*({"on": call, "do": "deny"} for call in ("status", "result")))
    refused = tweenbatch(*RUN)
    assert refused.returncode == 4
    assert "this key may not read requests (HTTP 403: You do not have permission" in refused.stderr
    ledger = fal.totals()
    assert (ledger["posts"], ledger["requests"]["upload"]) == (0, 0)
    assert not (tweenbatch.folder / "tweenbatch.db").exists()


def test_a_key_that_may_not_list_runs_with_a_warning(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script({"on": "history", "do": "deny"})
    ran = tweenbatch(*RUN)
    assert ran.returncode == 0
    assert "models:requests:read" in ran.stdout


@pytest.mark.parametrize("call", ["token", "upload"])
@pytest.mark.parametrize("status", [401, 402, 403])
def test_why_frames_are_refused_is_reported_in_fals_words(
    tweenbatch: Command, fal: Server, call: str, status: int
) -> None:
    manifests.project(tweenbatch.folder, 2)
    words = "User is locked. Reason: Exhausted balance."
    fal.script({"on": call, "do": "reply", "status": status, "body": {"detail": words}})
    stopped = tweenbatch(*RUN, "--digests", "digests")
    assert stopped.returncode == 4
    assert f"(HTTP {status}: {words})" in stopped.stdout + stopped.stderr
    (digest,) = (tweenbatch.folder / "digests").glob("*.json")
    assert words in json.loads(digest.read_text())["runs"][0]["why"]
    assert tweenbatch.jobs() == {"pending": 2}


@pytest.mark.parametrize("status", [413, 422])
def test_why_a_frame_is_refused_is_reported_in_fals_words(
    tweenbatch: Command, fal: Server, status: int
) -> None:
    manifests.project(tweenbatch.folder, 1)
    words = "Files of this kind are not taken."
    fal.script({"on": "upload", "do": "reply", "status": status, "body": {"detail": words}})
    assert tweenbatch(*RUN).returncode == 1
    assert words in tweenbatch("show", "1").stdout


def test_an_upload_that_died_is_made_afresh_for_all_rows_that_share_it(tmp_path: Path) -> None:
    frame = manifests.frame(tmp_path / "a.png")
    local = Frame(source=str(frame), sha256=hashlib.sha256(frame.read_bytes()).hexdigest())

    async def body() -> None:
        async with world(tmp_path, rows=0) as played:
            played.load(6, start=local, end=None)
            played.script({"on": "upload", "do": "vanish", "times": 1})
            # So close to its end a run has read each result before it submits again.
            result = await played.run(concurrency=1, same_failures=1)
            assert result.exit_code is ExitCode.SUCCEEDED
            ledger = played.ledger()
            assert ledger["requests"]["upload"] == 2, "once more, for all rows"
            dead = ledger["uploads"][0]["path"]
            inputs = [json.dumps(each["input"]) for each in ledger["accepted"]]
            assert len([each for each in inputs if dead in each]) == 1

    virtually(body)


def test_a_model_that_is_closed_to_the_account_is_blamed_and_not_the_key(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 0)
    (row,) = manifests.rows(1)
    other = {**row, "name": "other", "model": STANDARD}
    manifests.write(tweenbatch.folder / "manifest.csv", [{**row, "model": ""}, other])
    fal.script({"on": "submit", "do": "deny", "endpoint_id": STANDARD})
    stopped = tweenbatch(*RUN, "--concurrency", "1")
    assert stopped.returncode == 4
    said = " ".join((stopped.stdout + stopped.stderr).split())
    assert f"only {STANDARD} seems to be closed to the account" in said
    assert tweenbatch.jobs() == {"succeeded": 1, "pending": 1}


def of_two_models(order: str) -> Manifest:
    """Rows of Kling O1 (o) and of its standard model (s) in this order."""
    models = {"o": KLING_O1.id, "s": STANDARD}
    return jobtable.manifest(
        *(
            jobtable.changed(
                jobtable.row(number),
                endpoint=models[letter],
                start=Frame(source=f"https://example.com/{number}.png"),
            )
            for number, letter in enumerate(order, start=2)
        )
    )


@pytest.mark.parametrize(
    "refusal",
    [
        {"do": "deny"},
        {"do": "reply", "status": 403, "body": {"detail": "Not for this account."}},
        {"do": "reply", "status": 404, "body": {"detail": "Application not found"}},
    ],
    ids=["403", "403 in other words", "404"],
)
def test_only_the_rows_of_a_model_that_is_closed_wait_while_others_go_on(
    tmp_path: Path, refusal: dict[str, Any]
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=0) as played:
            played.store.manifests.put(of_two_models(5 * "o" + 15 * "s" + 20 * "o"), now=NOON)
            played.script({"on": "submit", "endpoint_id": STANDARD, **refusal})
            result = await played.run(concurrency=4)
            assert result.exit_code is ExitCode.TROUBLE
            assert f"only {STANDARD} seems to be closed" in result.note
            assert played.states() == {"succeeded": 25, "pending": 15}
            assert played.ledger()["posts"] <= 25 + 4, "those on their way when it was refused"
            played.script()
            assert (await played.run()).exit_code is ExitCode.SUCCEEDED
            assert played.ledger()["accepted_count"] == 40

    virtually(body)


def test_an_account_that_is_locked_is_taken_for_a_closed_model_once_at_most(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=0) as played:
            played.store.manifests.put(of_two_models("s" + 19 * "o" + 20 * "s"), now=NOON)
            played.script({"on": "submit", "do": "lock", "from_nth": 9})
            result = await played.run(concurrency=16)
            assert result.exit_code is ExitCode.TROUBLE
            ledger = played.ledger()
            assert ledger["accepted_count"] == 8
            assert ledger["posts"] <= 16 + 1, "those in flight, and one that tells"
            assert played.states() == {"succeeded": 8, "pending": 32}

    virtually(body)


def test_a_request_that_the_list_has_under_an_alias_is_adopted(tmp_path: Path) -> None:
    lost: dict[str, Any] = {"on": "submit", "do": "reset", "at": "reply", "times": 1}

    async def body() -> None:
        async with world(tmp_path, rows=3) as played:
            alias = {"on": "history", "do": "alias", "name": "fal-ai/kling-video/o1"}
            played.script(lost, alias)
            result = await played.run()
            assert result.exit_code is ExitCode.SUCCEEDED
            ledger = played.ledger()
            assert (ledger["accepted_count"], ledger["duplicate_count"]) == (3, 0)

    virtually(body)


def test_who_made_the_clips_is_told_once_where_it_was_another_model(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script({"on": "result", "do": "change", "headers": {"X-Fal-Served-From": STANDARD}})
    ran = tweenbatch(*RUN)
    assert ran.returncode == 0
    assert (
        " ".join(ran.stderr.split()).count(f"fal reports that {STANDARD} made it, not fal-ai") == 1
    )
    assert tweenbatch.jobs() == {"succeeded": 3}
