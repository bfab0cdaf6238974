"""Scripted faults on submissions and reads: what the client sees and what was accepted."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from support.virtual import virtually
from tweenbatch.emulator.faults.parsing import BadFault
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

SUBMIT = "/queue.fal.run/fal-ai/kling-video/o1/image-to-video"
INPUT = {"prompt": "Snow melts.", "start_image_url": "https://example.com/winter.png"}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=40)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(emulator) as http:
        yield http


def client_of(emulator: Emulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=emulator.url, headers={"Authorization": "Key one"})


async def submit(client: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    answer = await client.post(SUBMIT, json={**INPUT, **changed})
    handle: dict[str, Any] = answer.json()
    return handle


@pytest.mark.parametrize(
    ("fault", "status", "starts_with"),
    [
        ({"status": 401}, 401, b'{"detail": "Invalid'),
        ({"status": 403}, 403, b'{"detail": "User is locked. Reason: Exhausted balance.'),
        ({"status": 429, "headers": {"Retry-After": "7"}}, 429, b'{"detail": "Too many'),
        ({"status": 404}, 404, b"{"),
        ({"status": 408}, 408, b"{"),
        ({"status": 500}, 500, b"{"),
        ({"status": 502}, 502, b"<html>"),
        ({"status": 200, "body": "<html>hello</html>"}, 200, b"<html>"),
        ({"status": 200, "body": ""}, 200, b""),
        ({"status": 200, "body": {"detail": "surprise"}}, 200, b'{"detail"'),
        ({"status": 307}, 307, b""),
    ],
)
@pytest.mark.parametrize("at", ["arrival", "reply"])
async def test_a_made_up_answer_refuses_on_arrival_and_hides_an_acceptance_at_the_reply(
    *,
    emulator: Emulator,
    client: httpx.AsyncClient,
    at: str,
    fault: dict[str, Any],
    status: int,
    starts_with: bytes,
) -> None:
    """The same bytes reach the client; only the ledger knows the difference."""
    emulator.script([{"id": "lie", "on": "submit", "do": "reply", "at": at, **fault}])
    answer = await client.post(SUBMIT, json=INPUT)
    assert answer.status_code == status
    assert answer.content.startswith(starts_with)
    for name, value in fault.get("headers", {}).items():
        assert answer.headers[name] == value
    [post] = emulator.ledger()["post_list"]
    assert post["accepted"] == (at == "reply")
    assert post["faults"] == ["lie"]
    assert post["reply"] == "lost"
    assert post["http_status"] == status


@pytest.mark.parametrize("at", ["arrival", "reply"])
@pytest.mark.parametrize(
    ("do", "seen"), [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError)]
)
async def test_a_connection_can_be_cut_before_or_after_the_acceptance(
    emulator: Emulator, client: httpx.AsyncClient, do: str, at: str, seen: type[Exception]
) -> None:
    """A reset is a read error, a close an early end of the connection."""
    emulator.script([{"on": "submit", "do": do, "at": at}])
    with pytest.raises(seen):
        await client.post(SUBMIT, json=INPUT)
    await emulator.wait_for("reply_lost")
    ledger = emulator.ledger()
    assert ledger["posts"] == 1
    assert ledger["accepted_count"] == (1 if at == "reply" else 0)


async def test_half_an_answer_ends_too_early(emulator: Emulator, client: httpx.AsyncClient) -> None:
    """The headers promise the whole body; the request is accepted and will be billed."""
    emulator.script([{"on": "submit", "do": "half"}])
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(SUBMIT, json=INPUT)
    await emulator.wait_for("completed")
    assert emulator.ledger()["billed_usd"] == "0.56"


@pytest.mark.parametrize(("at", "accepted"), [("arrival", 0), ("reply", 1)])
def test_a_call_can_hang(at: str, accepted: int) -> None:
    """It is never answered; the emulator notices when the client goes."""

    async def body() -> None:
        async with Emulator() as emulator, client_of(emulator) as client:
            emulator.script([{"on": "submit", "do": "hang", "at": at}])
            with pytest.raises(httpx.ReadTimeout):
                await client.post(SUBMIT, json=INPUT, timeout=60.0)
            await emulator.wait_for("reply_lost")
            assert emulator.ledger()["accepted_count"] == accepted

    virtually(body)


def test_an_answer_can_drip() -> None:
    """Each piece comes in time for a read timeout, the whole does not."""

    async def body() -> None:
        clock = asyncio.get_running_loop()
        async with Emulator() as emulator, client_of(emulator) as client:
            emulator.script([{"on": "submit", "do": "drip", "bytes": 40, "seconds": 4.0}])
            began = clock.time()
            answer = await client.post(SUBMIT, json=INPUT, timeout=10.0)
            assert answer.json()["status"] == "IN_QUEUE"
            assert clock.time() - began > 20.0

    virtually(body)


async def test_a_held_submission_waits_for_its_release_before_or_after_acceptance(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Tests stop the world at a named point and look at the ledger."""
    emulator.script(
        [
            {"id": "before", "on": "submit", "do": "hold"},
            {"id": "after", "on": "submit", "do": "hold", "at": "reply"},
        ]
    )
    posting = asyncio.create_task(client.post(SUBMIT, json=INPUT))
    await emulator.wait_for("held", point="submit.arrival")
    assert emulator.ledger()["accepted_count"] == 0
    assert emulator.release("before") == 1
    await emulator.wait_for("held", point="submit.reply")
    ledger = emulator.ledger()
    assert ledger["accepted_count"] == 1
    assert ledger["post_list"][0]["reply"] == "pending"
    emulator.release("submit.reply")
    assert (await posting).status_code == 200
    await emulator.wait_for("reply_sent")


async def test_a_client_that_dies_while_its_answer_is_held_has_been_accepted(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The bytes of the submission had arrived: who sent them is no longer asked."""
    emulator.script([{"on": "submit", "do": "hold"}])
    posting = asyncio.create_task(client.post(SUBMIT, json=INPUT))
    await emulator.wait_for("held")
    posting.cancel()
    await asyncio.wait([posting])
    await client.get("/ledger")
    emulator.release()
    await emulator.wait_for("reply_lost")
    [post] = emulator.ledger()["post_list"]
    assert post["accepted"]
    assert post["reply"] == "lost"


def test_a_client_that_leaves_a_dripping_answer_is_noticed() -> None:
    """The rest is not sent to nobody for ever."""

    async def body() -> None:
        async with Emulator() as emulator, client_of(emulator) as client:
            emulator.script([{"on": "submit", "do": "drip", "seconds": 1.0}])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10.0):
                    await client.post(SUBMIT, json=INPUT)
            await emulator.wait_for("reply_lost")

    virtually(body)


async def test_a_submission_that_breaks_off_never_arrived(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body is no submission, and no error of the server's either."""
    host, _, port = emulator.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b'{"prompt":')
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient(base_url=emulator.url) as other:
        await other.get("/ledger")
    assert emulator.ledger()["posts"] == 0
    assert not caplog.records


async def test_a_locked_account_submits_nothing_more_but_still_reads(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The lock begins at the third submission and concerns this account alone."""
    emulator.script([{"id": "lock", "on": "submit", "do": "lock", "nth": 3}])
    handles = [await submit(client) for _ in range(2)]
    for _ in range(3):
        answer = await client.post(SUBMIT, json=INPUT)
        assert answer.status_code == 403
        assert answer.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    await emulator.wait_for("completed", count=2)
    assert (await client.get(handles[0]["status_url"])).status_code == 200
    assert (await client.get(handles[1]["response_url"])).status_code == 200
    other = await client.post(SUBMIT, json=INPUT, headers={"Authorization": "Key two"})
    assert other.status_code == 200
    emulator.clear("lock")
    assert (await client.post(SUBMIT, json=INPUT)).status_code == 200
    assert emulator.ledger()["accepted_count"] == 4


@pytest.mark.parametrize(
    ("fault", "status", "type_", "header"),
    [
        ({"type": "content_policy_violation"}, 422, "content_policy_violation", None),
        (
            {"status": 500, "type": "internal_server_error", "retryable": True},
            500,
            "internal_server_error",
            "true",
        ),
        (
            {"status": 504, "type": "generation_timeout", "retryable": False},
            504,
            "generation_timeout",
            "false",
        ),
        ({"status": 503, "type": "runner_scheduling_failure"}, 503, None, None),
    ],
)
async def test_a_failed_generation_completes_and_its_result_replays_the_error(
    *,
    emulator: Emulator,
    client: httpx.AsyncClient,
    fault: dict[str, Any],
    status: int,
    type_: str | None,
    header: str | None,
) -> None:
    """Both error bodies, the error type and the retryable header are as fal sends them."""
    emulator.script([{"on": "generation", "do": "fail", **fault}])
    handle = await submit(client)
    await emulator.wait_for("completed")
    seen = (await client.get(handle["status_url"])).json()
    assert (seen["status"], seen["error_type"]) == ("COMPLETED", fault["type"])
    result = await client.get(handle["response_url"])
    assert result.status_code == status
    assert result.headers["X-Fal-Error-Type"] == fault["type"]
    assert result.headers.get("X-Fal-Retryable") == header
    if type_ is None:
        assert result.json()["error_type"] == fault["type"]
    else:
        assert result.json()["detail"][0]["type"] == type_
    assert emulator.ledger()["billed_usd"] == "0.00"


async def test_a_failure_can_be_billed_and_can_hide_from_the_status(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Only reading the result tells."""
    emulator.script([{"on": "generation", "do": "fail", "billed": True, "announced": False}])
    handle = await submit(client)
    await emulator.wait_for("completed")
    assert "error" not in (await client.get(handle["status_url"])).json()
    assert (await client.get(handle["response_url"])).status_code == 422
    assert emulator.ledger()["billed_usd"] == "0.56"


async def test_a_status_can_lie_flap_and_lack_fields(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Edits of the true answer: fields set and dropped, another HTTP code."""
    handle = await submit(client)
    await emulator.wait_for("completed")
    emulator.script(
        [
            {"on": "status", "do": "change", "nth": 1, "set": {"status": "PAUSED"}},
            {"on": "status", "do": "change", "nth": 2, "drop": ["logs", "metrics.inference_time"]},
            {
                "on": "status",
                "do": "change",
                "nth": 3,
                "set": {"status": "IN_PROGRESS"},
                "status": 202,
            },
            {"on": "result", "do": "change", "set": {"video.url": None}},
        ]
    )
    answers = [await client.get(handle["status_url"]) for _ in range(4)]
    assert answers[0].json()["status"] == "PAUSED"
    assert "logs" not in answers[1].json()
    assert answers[1].json()["metrics"] == {}
    assert (answers[2].status_code, answers[2].json()["status"]) == (202, "IN_PROGRESS")
    assert answers[3].json()["status"] == "COMPLETED"
    assert (await client.get(handle["response_url"])).json()["video"]["url"] is None


async def test_counts_can_be_kept_for_each_request(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The first two reads of every request find nothing, as behind a lagging replica."""
    emulator.script(
        [{"on": "status", "do": "reply", "status": 404, "times": 2, "per_request": True}]
    )
    for number in range(2):
        handle = await submit(client, prompt=f"clip {number}")
        codes = [(await client.get(handle["status_url"])).status_code for _ in range(3)]
        assert codes[:2] == [404, 404]
        assert codes[2] in {200, 202}


async def test_a_fault_can_choose_by_prompt_and_by_chance_and_repeats_itself(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The same seed strikes the same prompts, in whatever order they come."""

    async def refused(order: list[int]) -> set[int]:
        emulator.script(
            [
                {
                    "id": "dice",
                    "on": "submit",
                    "do": "reply",
                    "status": 429,
                    "prompt_contains": "clip",
                    "probability": 0.3,
                    "seed": 5,
                }
            ]
        )
        struck = set()
        for number in order:
            answer = await client.post(SUBMIT, json={**INPUT, "prompt": f"clip {number}"})
            if answer.status_code == 429:
                struck.add(number)
        return struck

    forwards = await refused(list(range(60)))
    backwards = await refused(list(reversed(range(60))))
    assert forwards == backwards
    assert 8 <= len(forwards) <= 28
    emulator.script([{"on": "submit", "do": "reply", "status": 429, "prompt_contains": "clip"}])
    assert (await client.post(SUBMIT, json=INPUT)).status_code == 200


@pytest.mark.parametrize(
    ("fault", "field", "message"),
    [
        ({"on": "submit"}, "do", "discriminator"),
        ({"on": "submit", "do": "explode"}, "do", "'explode'"),
        ({"on": "lunch", "do": "reset"}, "on", "'submit'"),
        ({"on": "submit", "do": "reply"}, "status", "required"),
        ({"on": "submit", "do": "reset", "tmes": 3}, "tmes", "not permitted"),
        ({"on": "submit", "do": "truncate", "after_bytes": 3}, "do", "can't happen on 'submit'"),
        ({"on": "history", "do": "omit", "times": 1}, "do", "'times' has no meaning"),
        ({"on": "submit", "do": "reset", "probability": 30}, "probability", "less than"),
    ],
)
async def test_a_bad_fault_is_400_and_names_the_field(
    emulator: Emulator,
    client: httpx.AsyncClient,
    fault: dict[str, Any],
    field: str,
    message: str,
) -> None:
    """The script in force stays as it was."""
    emulator.script([{"id": "kept", "on": "status", "do": "delay", "seconds": 0}])
    answer = await client.post("/faults", json=[{"on": "submit", "do": "reset"}, fault])
    assert answer.status_code == 400
    [problem] = answer.json()["detail"]
    assert (problem["fault"], problem["field"]) == (1, field)
    assert message in problem["message"]
    with pytest.raises(BadFault, match=field):
        emulator.script([fault])
    assert [shown["id"] for shown in emulator.faults()] == ["kept"]


async def test_faults_are_set_shown_extended_released_and_cleared_over_http(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Whoever is in another process has the same controls."""
    first = await client.post("/faults", json={"id": "stop", "on": "submit", "do": "hold"})
    assert first.json() == {"ids": ["stop"]}
    more = {"on": "submit", "do": "delay", "seconds": 0}
    added = await client.post("/faults", params={"add": "1"}, json=more)
    assert len(added.json()["ids"]) == 1
    posting = asyncio.create_task(client.post(SUBMIT, json=INPUT))
    events = await client.get("/events", params={"event": "held", "fault": "stop", "timeout": 5})
    assert events.json()["events"][0]["point"] == "submit.arrival"
    shown = (await client.get("/faults")).json()["faults"]
    assert [(fault["fired"], fault["held"]) for fault in shown] == [(1, 1), (1, 0)]
    assert (await client.post("/release", json={"name": "stop"})).json() == {"released": 1}
    assert (await posting).status_code == 200
    assert (await client.delete("/faults")).json() == {"cleared": 2}
    assert (await client.get("/faults")).json() == {"faults": []}
    ledger = (await client.get("/ledger")).json()
    assert ledger == emulator.ledger()


async def test_events_can_be_waited_for_over_http(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """A long poll ends with the event, or with 408 when it did not come."""
    waiting = asyncio.create_task(
        client.get("/events", params={"event": "completed", "count": 2, "timeout": 10})
    )
    await submit(client)
    await submit(client)
    events = (await waiting).json()
    assert [event["event"] for event in events["events"]] == ["completed", "completed"]
    missing = await client.get("/events", params={"event": "cancelled", "timeout": 0.01})
    assert missing.status_code == 408
    since = emulator.last_event - 1
    [last] = (await client.get("/events", params={"since": since})).json()["events"]
    assert last["n"] == emulator.last_event


async def test_trouble_passes_after_its_seconds(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    emulator.add_fault(on="history", do="reply", status=500, for_seconds=0)
    page = "/api.fal.ai/v1/models/requests/by-endpoint?endpoint_id=fal-ai/kling-video/o1"
    assert [(await client.get(page)).status_code for _ in range(2)] == [500, 200]
    emulator.script([{"on": "history", "do": "reply", "status": 500, "for_seconds": 3600}])
    assert [(await client.get(page)).status_code for _ in range(2)] == [500, 500]


@pytest.mark.parametrize("named", ["other", "asked"])
async def test_results_are_mixed_up_under_either_id(
    emulator: Emulator, client: httpx.AsyncClient, named: str
) -> None:
    first, second = [await submit(client, prompt=prompt) for prompt in ("one", "two")]
    await emulator.wait_for("completed", count=2)
    true = (await client.get(first["response_url"])).json()
    emulator.add_fault(on="result", do="mix_up", named=named, request_id=second["request_id"])
    mixed = await client.get(second["response_url"])
    assert mixed.json() == true
    whose = first if named == "other" else second
    assert mixed.headers["x-fal-request-id"] == whose["request_id"]
    assert (await client.get(first["response_url"])).json() == true


async def test_a_change_reaches_into_lists(emulator: Emulator, client: httpx.AsyncClient) -> None:
    handle = await submit(client)
    await emulator.wait_for("completed", request_id=handle["request_id"])
    emulator.add_fault(
        on="history",
        do="change",
        set={"items.0.status_code": 504},
        drop=["items.0.duration", "items.7.duration"],
    )
    page = "/api.fal.ai/v1/models/requests/by-endpoint"
    asked = {"endpoint_id": "fal-ai/kling-video/o1/image-to-video"}
    [item] = (await client.get(page, params=asked)).json()["items"]
    assert item["status_code"] == 504
    assert "duration" not in item
