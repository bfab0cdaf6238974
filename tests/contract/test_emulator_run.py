"""``fal.run``: the output in the same call, paid like a submission, lost with the connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

O1 = "fal-ai/kling-video/o1/image-to-video"
RUN = f"/fal.run/{O1}"
INPUT = {"prompt": "Snow melts.", "start_image_url": "https://example.com/winter.png"}
KEY = {"Authorization": "Key one"}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=1)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=emulator.url, headers=KEY) as http:
        yield http


async def test_the_answer_is_the_output_and_is_what_the_queue_would_have_given(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Accepted, billed and in the ledger like a submission."""
    answer = await client.post(RUN, json={**INPUT, "duration": "10"})
    assert answer.status_code == 200
    request_id = answer.headers["x-fal-request-id"]
    again = await client.get(f"/queue.fal.run/fal-ai/kling-video/requests/{request_id}")
    assert again.json() == answer.json()
    assert len((await client.get(answer.json()["video"]["url"])).content) > 0
    ledger = emulator.ledger()
    assert (ledger["accepted_count"], ledger["billed_usd"]) == (1, "1.12")
    assert ledger["requests"]["run"] == 1
    [post] = ledger["post_list"]
    assert (post["request_id"], post["reply"]) == (request_id, "sent")


async def test_a_failure_is_the_answer_with_its_own_status(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """What the model says, and what the service says before it accepts anything."""
    failed = await client.post(RUN, json={"prompt": "x"})
    assert (failed.status_code, failed.json()["detail"][0]["type"]) == (422, "missing")
    assert failed.headers["X-Fal-Error-Type"] == "missing"
    assert (await client.post("/fal.run/fal-ai/nothing", json=INPUT)).status_code == 404
    stranger = await client.post(RUN, json=INPUT, headers={"Authorization": ""})
    assert stranger.status_code == 401
    ledger = emulator.ledger()
    assert (ledger["posts"], ledger["accepted_count"], ledger["billed_usd"]) == (3, 1, "0.00")


async def test_whoever_goes_before_the_end_pays_and_has_no_handle(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Only the history knows the request then."""
    emulator.script([{"on": "generation", "do": "hold"}])
    asking = asyncio.create_task(client.post(RUN, json=INPUT))
    await emulator.wait_for("held")
    asking.cancel()
    await asyncio.wait([asking])
    await client.get("/ledger")
    emulator.release()
    [lost] = await emulator.wait_for("reply_lost", call="run")
    ledger = emulator.ledger()
    assert (ledger["billed_usd"], ledger["post_list"][0]["reply"]) == ("0.56", "lost")
    history = await client.get(
        "/api.fal.ai/v1/models/requests/by-endpoint", params={"endpoint_id": O1}
    )
    assert [item["request_id"] for item in history.json()["items"]] == [lost["request_id"]]


@pytest.mark.parametrize(("at", "billed"), [("arrival", "0.00"), ("reply", "0.56")])
async def test_the_faults_of_a_submission_strike_it_on_both_sides_of_the_work(
    emulator: Emulator, client: httpx.AsyncClient, at: str, billed: str
) -> None:
    """The answer is lost before anything was accepted, or after all was paid."""
    emulator.script([{"on": "submit", "do": "reset", "at": at}])
    with pytest.raises(httpx.TransportError):
        await client.post(RUN, json=INPUT)
    await emulator.wait_for("reply_lost")
    assert emulator.ledger()["billed_usd"] == billed


async def test_it_waits_for_a_slot_like_every_other_request(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """First in, first out, through whichever host they came."""
    emulator.script([{"on": "generation", "do": "hold", "times": 1}])
    first = await client.post(f"/queue.fal.run/{O1}", json=INPUT)
    asking = asyncio.create_task(client.post(RUN, json=INPUT))
    await emulator.wait_for("accepted", count=2)
    states = [entry["state"] for entry in emulator.ledger()["accepted"]]
    assert states == ["IN_PROGRESS", "IN_QUEUE"]
    emulator.release()
    answer = await asking
    order = [event["request_id"] for event in await emulator.wait_for("completed", count=2)]
    assert order == [first.json()["request_id"], answer.headers["x-fal-request-id"]]


async def test_what_was_asked_for_before_a_restart_is_finished_and_billed_after_it(
    tmp_path: Path,
) -> None:
    """The caller got nothing."""
    async with (
        Emulator(Settings(), state=tmp_path) as first,
        httpx.AsyncClient(base_url=first.url, headers=KEY) as http,
    ):
        first.script([{"on": "generation", "do": "hold"}])
        asking = asyncio.create_task(http.post(RUN, json=INPUT))
        await first.wait_for("held")
        await first.stop()
        with pytest.raises(httpx.TransportError):
            await asking
    async with Emulator(Settings(), state=tmp_path) as second:
        await second.wait_for("completed")
        assert second.ledger()["billed_usd"] == "0.56"
