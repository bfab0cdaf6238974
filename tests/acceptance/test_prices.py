"""fal's current prices are known before anything is spent; nobody pays more unasked."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from support.terminal import terminal
from support.virtual import virtually
from support.world import world
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode
from tweenbatch.models import find
from tweenbatch.runner.price_watch import PriceAgreement

O1 = "fal-ai/kling-video/o1/image-to-video"
RUN = ("run", "manifest.csv", "--yes")


def dearer(unit_price: object = 0.2, **changes: object) -> dict[str, Any]:
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
    assert "fal now charges $0.20 a second" in stopped.stderr
    assert "2 clips would cost $2.00 instead of $1.12" in stopped.stderr
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
    assert "1 clip would cost $1.00 instead of $0.56" in resumed.stderr
    assert fal.ledger()["posts"] == 2


def test_whoever_is_asked_is_asked_about_the_price_of_today(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(dearer())
    with terminal(tweenbatch, "run", "manifest.csv") as screen:
        screen.read_until("To confirm, type the amount ($2.00)")
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
        dearer(unit="Minutes"),
        dearer(0.05),
        {"on": "pricing", "do": "reply", "status": 200, "body": {"prices": []}},
    ],
    ids=lambda fault: f"{fault['do']} {fault.get('status', '')} {fault.get('body', '')}"[-90:],
)
def test_a_price_list_that_says_nothing_or_no_more_than_was_known_stops_no_run(
    tweenbatch: Command, fal: Server, fault: dict[str, Any]
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(fault)
    assert tweenbatch(*RUN).returncode == 0
    money = json.loads(tweenbatch("status", "--json").stdout)["money"]
    assert money["spent"] == 0.56


IN_OTHER_WORDS = [
    pytest.param(dearer(currency="EUR"), id="euros"),
    pytest.param(dearer(unit="1m tokens"), id="tokens"),
    pytest.param(dearer(0), id="nothing"),
    pytest.param(dearer(-0.112), id="negative"),
    pytest.param(dearer(unit_price="NaN"), id="no number"),
]


@pytest.mark.parametrize("fault", IN_OTHER_WORDS)
def test_a_price_that_cannot_be_compared_is_bought_at_by_nobody_unasked(
    tweenbatch: Command, fal: Server, fault: dict[str, Any]
) -> None:
    manifests.project(tweenbatch.folder, 2)
    fal.script(fault)
    stopped = tweenbatch(*RUN)
    assert stopped.returncode == 2
    entry = fault["body"]["prices"][0]
    words = f"{entry['unit_price']} {entry['currency']} per {entry['unit']}"
    assert f'"{words}" for {O1}, which can\'t be compared with the known price' in stopped.stderr
    assert "--accept-price" in stopped.stderr
    assert (fal.ledger()["posts"], fal.ledger()["uploads"]) == (0, [])
    assert tweenbatch(*RUN, "--accept-price").returncode == 0
    assert fal.ledger()["posts"] == 2


def test_a_price_that_cannot_be_compared_is_shown_before_the_question(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    fal.script(dearer(currency="EUR"))
    with terminal(tweenbatch, "run", "manifest.csv") as screen:
        screen.read_until("can't be compared")
        screen.read_until("To confirm, type the amount ($0.56)")
        screen.type("$0.56\n")
        assert screen.end() == 0
    assert fal.ledger()["posts"] == 1


def test_a_price_in_other_units_counts_by_what_a_clip_comes_to(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 2)
    for fault, usd in (
        (dearer(5, unit="videos"), "2 clips would cost $10.00 instead of $1.12"),
        (dearer(60, unit="minutes"), "2 clips would cost $10.00 instead of $1.12"),
        (dearer(1, unit="Seconds"), "2 clips would cost $10.00 instead of $1.12"),
    ):
        fal.script(fault)
        stopped = tweenbatch(*RUN)
        assert stopped.returncode == 2
        assert usd in stopped.stderr
    assert fal.ledger()["posts"] == 0


def test_a_price_that_a_person_named_holds_until_fals_words_change(
    tweenbatch: Command, fal: Server
) -> None:
    manifests.project(tweenbatch.folder, 1)
    models = {"TWEENBATCH_MODELS": str(tweenbatch.folder / "models")}
    project = replace(tweenbatch, environment={**tweenbatch.environment, **models})
    named = project("models", "update", "seedance", "--price-per-clip", "0.62")
    assert named.returncode == 0, named.stderr
    run = (*RUN, "--model", "seedance")
    assert project(*run).returncode == 0
    fal.script(dearer(0.5, unit="1m tokens", endpoint_id=find("seedance").id))
    manifests.project(tweenbatch.folder, 2)
    stopped = project(*run)
    assert stopped.returncode == 2
    assert '"0.5 USD per 1m tokens"' in stopped.stderr
    assert fal.ledger()["posts"] == 1


def test_a_price_that_rises_in_the_middle_of_a_run_is_paid_by_nobody_unasked(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        settings = Settings(seconds=600.0, slots=2)
        async with world(tmp_path, rows=12, fal_settings=settings) as played:
            running = asyncio.create_task(played.run(concurrency=2))
            await played.until("accepted", count=2)
            played.script(dearer())
            result = await running
            assert result.exit_code is ExitCode.TROUBLE
            bought = played.ledger()["accepted_count"]
            assert bought <= 4, "those of the first quarter of an hour"
            assert played.states() == {"succeeded": bought, "pending": 12 - bought}
            assert any("run again to see the price" in line for line in played.diary.notices)

    virtually(body)


def test_a_rise_that_was_agreed_to_counts_from_the_next_reading_on(tmp_path: Path) -> None:
    async def body() -> None:
        settings = Settings(seconds=600.0, slots=1)
        async with world(tmp_path, rows=6, fal_settings=settings) as played:
            agreement = PriceAgreement(rises=True)
            running = asyncio.create_task(played.run(concurrency=1, agreement=agreement))
            await played.until("accepted")
            played.script(dearer())
            assert (await running).exit_code is ExitCode.SUCCEEDED
            spent = played.store.views.money().spent
            assert 4 * Decimal("1.00") <= spent - 2 * Decimal("0.56") <= 5 * Decimal("1.00")

    virtually(body)


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
