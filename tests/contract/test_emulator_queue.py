"""The emulator's queue speaks fal's protocol: states, codes, URLs, slots, billing."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.virtual import virtually
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

O1 = "fal-ai/kling-video/o1/image-to-video"
INPUT = {
    "prompt": "Snow melts.",
    "start_image_url": "https://example.com/winter.png",
    "end_image_url": "https://example.com/spring.png",
    "duration": "5",
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=2)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Key one"}
    async with httpx.AsyncClient(base_url=emulator.url, headers=headers) as http:
        yield http


async def submit(client: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    answer = await client.post(f"/queue.fal.run/{O1}", json={**INPUT, **changed})
    assert answer.status_code == 200, answer.text
    handle: dict[str, Any] = answer.json()
    return handle


async def test_submit_answers_with_a_handle_whose_urls_keep_only_owner_and_app(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The follow-up URLs live under the emulator's own address."""
    answer = await client.post(f"/queue.fal.run/{O1}", json=INPUT)
    handle = answer.json()
    base = f"{emulator.url}/queue.fal.run/fal-ai/kling-video/requests/{handle['request_id']}"
    assert handle["response_url"] == base
    assert handle["status_url"] == f"{base}/status"
    assert handle["cancel_url"] == f"{base}/cancel"
    assert handle["status"] == "IN_QUEUE"
    assert handle["queue_position"] == 0
    assert answer.headers["x-fal-request-id"] == handle["request_id"]


async def test_status_is_202_in_the_queue_and_in_progress_and_200_when_completed(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """A held generation keeps its slot; who comes too late waits with a position."""
    emulator.script([{"on": "generation", "do": "hold"}])
    handles = [await submit(client, prompt=f"clip {number}") for number in range(5)]
    await emulator.wait_for("held", count=2)
    answers = [await client.get(handle["status_url"]) for handle in handles]
    assert [answer.status_code for answer in answers] == [202] * 5
    assert [answer.json()["status"] for answer in answers] == ["IN_PROGRESS"] * 2 + ["IN_QUEUE"] * 3
    assert [answer.json().get("queue_position") for answer in answers] == [None, None, 0, 1, 2]
    emulator.release()
    await emulator.wait_for("completed", count=5)
    last = await client.get(handles[-1]["status_url"])
    assert last.status_code == 200
    assert last.json()["status"] == "COMPLETED"
    assert last.json()["metrics"]["inference_time"] >= 0
    assert emulator.ledger()["most_in_progress"] == 2


async def test_logs_come_only_when_asked_for(emulator: Emulator, client: httpx.AsyncClient) -> None:
    """Both spellings of the flag are known; without it the field is there and null."""
    handle = await submit(client)
    await emulator.wait_for("completed")
    assert (await client.get(handle["status_url"])).json()["logs"] is None
    for flag in ("1", "true"):
        status = (await client.get(handle["status_url"], params={"logs": flag})).json()
        messages = [line["message"] for line in status["logs"]]
        assert messages[0] == "Loading frames"
        assert "Generating 47 %" in messages


async def test_result_before_completion_is_400_and_afterwards_the_video(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The result names a file on the CDN, its size and its type; billing is in the header."""
    emulator.script([{"on": "generation", "do": "hold"}])
    handle = await submit(client, duration="10")
    early = await client.get(handle["response_url"])
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
    emulator.release()
    await emulator.wait_for("completed")
    answer = await client.get(handle["response_url"])
    video = answer.json()["video"]
    assert answer.headers["X-Fal-Billable-Units"] == "10"
    assert video["content_type"] == "video/mp4"
    assert video["file_name"] == "output.mp4"
    assert video["url"].startswith(f"{emulator.url}/v3b.fal.media/files/b/")
    assert len((await client.get(video["url"])).content) == video["file_size"]
    assert emulator.ledger()["billed_usd"] == "1.12"


async def test_bad_input_is_accepted_and_fails_at_the_result_with_the_model_s_422(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Every problem is named by field and type, and nothing is billed."""
    answer = await client.post(
        f"/queue.fal.run/{O1}", json={"start_image_url": "http://x.test/a.png", "duration": "7"}
    )
    assert answer.status_code == 200
    await emulator.wait_for("completed")
    status = (await client.get(answer.json()["status_url"])).json()
    assert status["status"] == "COMPLETED"
    assert status["error_type"] == "missing"
    result = await client.get(answer.json()["response_url"])
    assert result.status_code == 422
    assert [(entry["loc"], entry["type"]) for entry in result.json()["detail"]] == [
        (["body", "prompt"], "missing"),
        (["body", "duration"], "literal_error"),
    ]
    assert emulator.ledger()["billed_usd"] == "0.00"
    assert emulator.ledger()["states"] == {"FAILED": 1}


async def test_an_unknown_path_of_a_known_app_fails_late_and_an_unknown_app_at_once(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """A typo in the endpoint costs a round trip, not money."""
    late = await client.post("/queue.fal.run/fal-ai/kling-video/o1/typo", json=INPUT)
    assert late.status_code == 200
    await emulator.wait_for("completed")
    assert (await client.get(late.json()["response_url"])).status_code == 404
    assert (await client.post("/queue.fal.run/fal-ai/nothing", json=INPUT)).status_code == 404
    assert emulator.ledger()["accepted_count"] == 1


async def test_without_a_key_everything_is_401_and_nothing_is_accepted(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Missing keys, empty keys and other schemes alike."""
    for value in ("", "Key", "Basic one"):
        answer = await client.post(
            f"/queue.fal.run/{O1}", json=INPUT, headers={"Authorization": value}
        )
        assert answer.status_code == 401
    ledger = emulator.ledger()
    assert (ledger["posts"], ledger["accepted_count"]) == (3, 0)


async def test_a_request_is_unknown_to_another_account(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Status, result and cancel of somebody else's id answer 404, as for a random id."""
    handle = await submit(client)
    await emulator.wait_for("completed")
    other = {"Authorization": "Key two"}
    assert (await client.get(handle["status_url"], headers=other)).status_code == 404
    assert (await client.get(handle["response_url"], headers=other)).status_code == 404
    cancelled = await client.put(handle["cancel_url"], headers=other)
    assert (cancelled.status_code, cancelled.json()["status"]) == (404, "NOT_FOUND")


async def test_accounts_have_their_own_slots(emulator: Emulator, client: httpx.AsyncClient) -> None:
    """A busy account does not keep another one waiting."""
    emulator.script([{"on": "generation", "do": "hold", "prompt_contains": "held"}])
    for _ in range(3):
        await submit(client, prompt="held")
    await emulator.wait_for("held", count=2)
    other = await client.post(
        f"/queue.fal.run/{O1}", json=INPUT, headers={"Authorization": "Key two"}
    )
    await emulator.wait_for("completed", request_id=other.json()["request_id"])


async def test_a_waiting_request_can_be_cancelled_and_one_in_progress_goes_on(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Cancelled in the queue: 499, not billed. In progress: finished and billed all the same."""
    emulator.script([{"on": "generation", "do": "hold"}])
    running, also_running, waiting = [
        await submit(client, prompt=f"clip {number}") for number in range(3)
    ]
    for handle in (running, waiting):
        answer = await client.put(handle["cancel_url"])
        assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLATION_REQUESTED")
    result = await client.get(waiting["response_url"])
    assert (result.status_code, result.json()["error_type"]) == (499, "client_cancelled")
    emulator.release()
    await emulator.wait_for("completed", count=3)
    assert (await client.get(running["response_url"])).status_code == 200
    late = await client.put(also_running["cancel_url"])
    assert (late.status_code, late.json()["status"]) == (400, "ALREADY_COMPLETED")
    ledger = emulator.ledger()
    assert ledger["billed_usd"] == "1.12"
    assert [entry["state"] for entry in ledger["accepted"]] == [
        "COMPLETED",
        "COMPLETED",
        "CANCELLED",
    ]


async def test_a_start_timeout_ends_a_request_that_never_began(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The result is 504 and says that the user set the limit."""
    emulator.script([{"on": "generation", "do": "hold"}])
    for _ in range(2):
        await submit(client)
    answer = await client.post(
        f"/queue.fal.run/{O1}", json=INPUT, headers={"X-Fal-Request-Timeout": "0.01"}
    )
    await emulator.wait_for("completed", request_id=answer.json()["request_id"])
    result = await client.get(answer.json()["response_url"])
    assert result.status_code == 504
    assert result.json()["error_type"] == "request_timeout"
    assert result.headers["X-Fal-Request-Timeout-Type"] == "user"


async def test_the_stream_sends_each_status_and_closes_after_the_end(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Server-sent events, each a status object."""
    emulator.script([{"on": "generation", "do": "hold"}])
    handle = await submit(client)
    await emulator.wait_for("held")
    seen = []
    async with client.stream("GET", f"{handle['status_url']}/stream") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: "))["status"])
                emulator.release()
    assert seen[0] == "IN_PROGRESS"
    assert seen[-1] == "COMPLETED"


def test_the_stream_says_every_15_seconds_that_it_is_still_there() -> None:
    """A comment line, which is no event."""

    async def body() -> None:
        async with (
            Emulator(Settings()) as emulator,
            httpx.AsyncClient(
                base_url=emulator.url, headers={"Authorization": "Key one"}, timeout=20.0
            ) as client,
        ):
            emulator.script([{"on": "generation", "do": "delay", "seconds": 50.0}])
            handle = await submit(client)
            async with client.stream("GET", f"{handle['status_url']}/stream") as answer:
                lines = [line async for line in answer.aiter_lines() if line]
        assert [line for line in lines if not line.startswith("data: ")] == [": ping"] * 3
        assert json.loads(lines[-1].removeprefix("data: "))["status"] == "COMPLETED"

    virtually(body)


async def test_the_ledger_groups_equal_inputs_even_when_the_frames_were_uploaded_twice(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """What was paid twice shows, however the same picture was named."""
    token = (
        await client.post("/rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3", json={})
    ).json()
    urls = []
    for name in ("first.png", "second.png"):
        answer = await client.post(
            "/v3.fal.media/files/upload",
            content=b"one and the same",
            headers={
                "Authorization": f"{token['token_type']} {token['token']}",
                "X-Fal-File-Name": name,
            },
        )
        urls.append(answer.json()["access_url"])
    assert urls[0] != urls[1]
    first = await submit(client, start_image_url=urls[0])
    second = await submit(client, start_image_url=urls[1])
    canonical = urls[0].replace(f"{emulator.url}/", "https://")
    third = await submit(client, start_image_url=canonical)
    await submit(client, start_image_url=urls[0], prompt="Another.")
    ledger = emulator.ledger()
    assert ledger["duplicates"] == [[handle["request_id"] for handle in (first, second, third)]]
    assert ledger["duplicate_count"] == 2


async def test_unknown_paths_say_which_hosts_there_are(client: httpx.AsyncClient) -> None:
    """A wrong base URL is found out at once."""
    answer = await client.get("/queue.example.com/x")
    assert answer.status_code == 404
    assert "queue.fal.run" in answer.json()["detail"]
