"""The emulator's history, prices and schemas."""

import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

O1 = "fal-ai/kling-video/o1/image-to-video"
HISTORY = "/api.fal.ai/v1/models/requests/by-endpoint"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=40)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Key one"}
    async with httpx.AsyncClient(base_url=emulator.url, headers=headers) as http:
        yield http


def payload(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "start_image_url": "https://example.com/a.png"}


async def generate(emulator: Emulator, client: httpx.AsyncClient, *prompts: str) -> list[str]:
    since = emulator.last_event
    ids = []
    for prompt in prompts:
        answer = await client.post(f"/queue.fal.run/{O1}", json=payload(prompt))
        ids.append(answer.json()["request_id"])
        await emulator.wait_for("completed", request_id=ids[-1], since=since)
    return ids


async def listed(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(HISTORY, params={"endpoint_id": O1, **query})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_the_history_lists_what_has_ended_the_latest_first_with_payloads_if_asked(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Requests in flight are not listed."""
    first, second = await generate(emulator, client, "one", "two")
    emulator.script([{"on": "generation", "do": "hold"}])
    await client.post(f"/queue.fal.run/{O1}", json=payload("three"))
    await emulator.wait_for("held")
    page = await listed(client, expand="payloads")
    assert [item["request_id"] for item in page["items"]] == [second, first]
    item = page["items"][1]
    assert item["json_input"] == payload("one")
    assert item["json_output"]["video"]["content_type"] == "video/mp4"
    assert item["status_code"] == 200
    assert item["sent_at"] <= item["started_at"] <= item["ended_at"]
    assert "json_input" not in (await listed(client))["items"][0]


async def test_pages_follow_each_other_without_gap_or_repetition(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Also when new requests end between two pages."""
    ids = await generate(emulator, client, *(f"clip {number}" for number in range(7)))
    seen: list[str] = []
    page = await listed(client, limit=3)
    while True:
        seen += [item["request_id"] for item in page["items"]]
        if not page["has_more"]:
            break
        await generate(emulator, client, "later")
        page = await listed(client, limit=3, cursor=page["next_cursor"])
    assert page["next_cursor"] is None
    assert seen == list(reversed(ids))


async def test_a_request_must_lie_in_the_window_from_sending_to_end(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """The stricter reading of a window whose meaning is not documented."""
    await generate(emulator, client, "one")
    [item] = (await listed(client))["items"]
    sent, ended = (datetime.fromisoformat(item[name]) for name in ("sent_at", "ended_at"))
    moment = timedelta(microseconds=1)
    assert (await listed(client, start=sent.isoformat(), end=ended.isoformat()))["items"]
    assert not (await listed(client, start=(sent + moment).isoformat()))["items"]
    assert not (await listed(client, end=(ended - moment).isoformat()))["items"]
    assert not (await listed(client, start=(datetime.now(UTC) + moment).isoformat()))["items"]


async def test_the_history_is_an_account_s_own_and_of_one_endpoint(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Another key sees nothing; no key is 401; no endpoint is 400."""
    await generate(emulator, client, "one")
    other = {"Authorization": "Key two"}
    answer = await client.get(HISTORY, params={"endpoint_id": O1}, headers=other)
    assert answer.json()["items"] == []
    without = await client.get(HISTORY, params={"endpoint_id": O1}, headers={"Authorization": ""})
    assert without.status_code == 401
    endpoint = f"endpoint_id={O1}"
    for query in ("", f"{endpoint}&limit=101", f"{endpoint}&cursor=x", f"{endpoint}&start=now"):
        assert (await client.get(f"{HISTORY}?{query}")).status_code == 400


async def test_the_history_can_lag_omit_be_refused_and_be_edited(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Absence proves nothing."""
    kept, hidden = await generate(emulator, client, "kept", "hidden")
    emulator.script([{"on": "history", "do": "omit", "prompt_contains": "hidden"}])
    assert [item["request_id"] for item in (await listed(client))["items"]] == [kept]
    emulator.script([{"on": "history", "do": "omit", "request_id": kept}])
    assert [item["request_id"] for item in (await listed(client))["items"]] == [hidden]
    emulator.script([{"on": "history", "do": "lag", "seconds": 3600}])
    assert (await listed(client))["items"] == []
    emulator.script([{"on": "history", "do": "reply", "status": 403}])
    refused = await client.get(HISTORY, params={"endpoint_id": O1})
    assert refused.status_code == 403
    emulator.script([{"on": "history", "do": "change", "set": {"items": []}}])
    assert (await listed(client))["items"] == []


async def test_a_request_whose_payload_is_not_stored_is_listed_without_it(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """That is why the header is never sent."""
    await client.post(f"/queue.fal.run/{O1}", json=payload("one"), headers={"X-Fal-Store-IO": "0"})
    await emulator.wait_for("completed")
    [item] = (await listed(client, expand="payloads"))["items"]
    assert item["json_input"] is None


async def test_prices_are_those_of_the_model_pages(client: httpx.AsyncClient) -> None:
    """Per second of video, in dollars."""
    answer = await client.get(
        "/api.fal.ai/v1/models/pricing",
        params={"endpoint_id": [O1, "fal-ai/kling-video/o1/standard/image-to-video"]},
    )
    prices = answer.json()["prices"]
    assert [(price["unit_price"], price["currency"]) for price in prices] == [
        (0.112, "USD"),
        (0.084, "USD"),
    ]
    unknown = await client.get(
        "/api.fal.ai/v1/models/pricing", params={"endpoint_id": "fal-ai/nothing"}
    )
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("unit", "videos"),
        ("unit", "minutes"),
        ("unit", "Seconds"),
        ("currency", "EUR"),
        ("unit_price", 0),
        ("unit_price", -0.112),
        ("unit_price", math.nan),
        ("unit_price", "0.112"),
    ],
)
async def test_a_script_can_put_a_price_into_other_words(
    client: httpx.AsyncClient, field: str, value: Any
) -> None:
    """Over HTTP as well, where NaN is what Python's JSON writes."""
    fault = {"on": "pricing", "do": "change", "set": {f"prices.0.{field}": value}}
    body = json.dumps([fault])
    await client.post("/faults", content=body, headers={"Content-Type": "application/json"})
    answer = await client.get("/api.fal.ai/v1/models/pricing", params={"endpoint_id": O1})
    usual = {"endpoint_id": O1, "unit_price": 0.112, "unit": "second", "currency": "USD"}
    [price] = json.loads(answer.content)["prices"]
    assert str(price) == str({**usual, field: value})


async def test_the_schema_needs_no_key_and_names_fields_and_durations(emulator: Emulator) -> None:
    """An OpenAPI document as fal publishes it."""
    async with httpx.AsyncClient(base_url=emulator.url) as nobody:
        answer = await nobody.get(
            "/fal.ai/api/openapi/queue/openapi.json", params={"endpoint_id": O1}
        )
    schemas = answer.json()["components"]["schemas"]
    [model] = [schema for name, schema in schemas.items() if name.endswith("Input")]
    assert model["required"] == ["prompt", "start_image_url"]
    assert model["properties"]["duration"]["enum"] == ["5", "10"]
