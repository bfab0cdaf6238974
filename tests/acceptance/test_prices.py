"""What fal asks by now is known before anything is spent, and nobody pays more unasked."""

import json
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal

O1 = "fal-ai/kling-video/o1/image-to-video"
RUN = ("run", "manifest.csv", "--yes")


def dearer(unit_price: float = 0.2, **changes: object) -> dict[str, Any]:
    entry = {"endpoint_id": O1, "unit_price": unit_price, "unit": "second", "currency": "USD"}
    body = {"prices": [{**entry, **changes}]}
    return {"on": "pricing", "do": "reply", "status": 200, "body": body}


def test_a_price_that_has_risen_stops_a_run_that_nobody_watches(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(dearer())
    stopped = tweenbatch(*RUN)
    assert stopped.returncode == 2
    assert "fal asks $0.20 a second" in stopped.stderr
    assert "2 clips would cost $2.00 and not $1.12" in stopped.stderr
    assert "--accept-price" in stopped.stderr
    assert (fal.ledger()["posts"], fal.ledger()["uploads"]) == (0, [])


def test_an_accepted_price_is_the_one_that_is_counted(tweenbatch: Command, fal: Server) -> None:
    manifests.project(tweenbatch.folder, 3)
    fal.script(dearer())
    run = tweenbatch(*RUN, "--accept-price", "--max-cost", "2.50")
    assert run.returncode == 3
    assert fal.ledger()["posts"] == 2
    money = json.loads(tweenbatch("status", "--json").stdout)["money"]
    assert money["spent"] == 2.0
    resumed = tweenbatch("run", "--yes")
    assert resumed.returncode == 2, "what waits was agreed to at the old price"
    assert "1 clip would cost $1.00 and not $0.56" in resumed.stderr
    assert fal.ledger()["posts"] == 2


def test_whoever_is_asked_is_asked_about_the_price_of_today(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(dearer())
    with terminal(tweenbatch, "run", "manifest.csv") as screen:
        screen.read_until("Type $2.00 to spend it")
        screen.type("$1.12\n")
        assert screen.end() == 2
    assert fal.ledger()["posts"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"on": "pricing", "do": "reply", "status": 403},
        {"on": "pricing", "do": "reply", "status": 404},
        {"on": "pricing", "do": "reply", "status": 200, "body": "<html>"},
        {"on": "pricing", "do": "reset", "at": "arrival"},
        dearer(unit="video"),
        dearer(currency="EUR"),
        dearer(0.05),
    ],
    ids=lambda fault: f"{fault['do']} {fault.get('status', '')} {fault.get('body', '')}"[-90:],
)
def test_a_price_list_that_says_nothing_of_use_stops_no_run(
    tweenbatch: Command, fal: Server, fault: dict[str, Any]
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(fault)
    assert tweenbatch(*RUN).returncode == 0
    money = json.loads(tweenbatch("status", "--json").stdout)["money"]
    assert money["spent"] == 0.56


def test_a_key_that_fal_does_not_know_is_found_out_before_anything_leaves(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(
        {"on": "pricing", "do": "reply", "status": 401},
        {"on": "status", "do": "reply", "status": 401},
    )
    refused = tweenbatch(*RUN)
    assert refused.returncode == 4
    assert "fal does not know this key" in refused.stderr
    assert (fal.ledger()["posts"], fal.ledger()["uploads"]) == (0, [])
