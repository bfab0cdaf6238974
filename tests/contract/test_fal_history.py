"""fal's list of past requests: pages, and what is believed of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from support.command import KEY
from support.wire import Seen, answer, wire
from tweenbatch.clock import SystemClock
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import Answered, Unintelligible
from tweenbatch.fal import Fal
from tweenbatch.models import KLING_O1
from tweenbatch.records import PastRequest
from tweenbatch.stages.history import MAX_PAGES, History

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ITEM = {
    "request_id": "r-1",
    "endpoint_id": KLING_O1.id,
    "sent_at": "2026-03-01T12:00:00.5Z",
    "started_at": "2026-03-01T12:00:01Z",
    "ended_at": "2026-03-01T13:02:00+01:00",
    "status_code": 200,
    "duration": 119.0,
    "json_input": {"prompt": "Snow melts."},
    "json_output": {"video": {"url": "https://v3b.fal.media/files/a.mp4"}},
}
PAST = PastRequest(
    request_id="r-1",
    sent_at=NOON + timedelta(seconds=0.5),
    ended_at=NOON + timedelta(minutes=2),
    http_status=200,
    input={"prompt": "Snow melts."},
    output={"video": {"url": "https://v3b.fal.media/files/a.mp4"}},
)


@asynccontextmanager
async def serving(*pages: Any) -> AsyncIterator[tuple[Fal, list[dict[str, list[str]]]]]:
    """Serve these pages one after the other, the last again and again; collect the queries."""
    asked: list[dict[str, list[str]]] = []

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        asked.append(parse_qs(urlsplit(seen.target).query))
        page = pages[min(len(asked), len(pages)) - 1]
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        writer.write(answer(200, body))

    async with wire(behave) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        yield fal, asked


async def listed(fal: Fal) -> list[PastRequest]:
    return await History(fal=fal, clock=SystemClock()).since(KLING_O1.id, NOON)


async def test_a_page_is_asked_for_as_fal_documents_it() -> None:
    async with serving({"items": [ITEM], "has_more": False, "next_cursor": None}) as (fal, asked):
        assert await fal.history(KLING_O1.id, since=NOON) == ([PAST], None)
    assert asked == [
        {
            "endpoint_id": [KLING_O1.id],
            "start": ["2026-03-01T12:00:00+00:00"],
            "expand": ["payloads"],
            "limit": ["100"],
        }
    ]


async def test_every_page_is_read_and_every_request_counted_once() -> None:
    pages = (
        {"items": [ITEM], "has_more": True, "next_cursor": "two"},
        {"items": [ITEM, {**ITEM, "request_id": "r-2"}], "has_more": True, "next_cursor": "three"},
        {"items": [{**ITEM, "request_id": "r-3"}], "has_more": False, "next_cursor": None},
    )
    async with serving(*pages) as (fal, asked):
        assert [item.request_id for item in await listed(fal)] == ["r-1", "r-2", "r-3"]
    assert [query.get("cursor") for query in asked] == [None, ["two"], ["three"]]


async def test_no_more_pages_are_read_than_are_asked_for() -> None:
    pages = [
        {"items": [{**ITEM, "request_id": f"r-{n}"}], "has_more": n < 5, "next_cursor": f"{n}"}
        for n in range(6)
    ]
    for most, whole in ((2, False), (5, False), (6, True), (7, True)):
        async with serving(*pages) as (fal, asked):
            history = History(fal=fal, clock=SystemClock())
            found, all_of_it = await history.latest(KLING_O1.id, NOON, pages=most)
        assert len(found) == len(asked) == min(most, 6)
        assert all_of_it is whole


async def test_pages_that_lead_in_a_circle_come_to_an_end() -> None:
    async with serving({"items": [], "has_more": True, "next_cursor": "again"}) as (fal, asked):
        with pytest.raises(Unintelligible, match="no end"):
            await listed(fal)
    assert len(asked) < MAX_PAGES


@pytest.mark.parametrize(
    "page",
    [
        b"<html>",
        b"[]",
        b"{}",
        b"null",
        {"items": None},
        {"items": {"r": 1}},
        {"items": [ITEM], "has_more": True},
        b"[" * 100_000,
    ],
    ids=lambda page: str(page)[:20],
)
async def test_what_is_no_list_of_requests_is_refused(page: Any) -> None:
    async with serving(page) as (fal, _):
        with pytest.raises(Unintelligible):
            await listed(fal)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "r-2",
        {},
        {"request_id": "../../etc/passwd"},
        {"request_id": 7},
        {"sent_at": "yesterday"},
        {"sent_at": None},
        {"sent_at": 1772366400},
        {"endpoint_id": None},
    ],
    ids=str,
)
async def test_an_item_that_is_no_request_is_left_out(odd: Any) -> None:
    item = {**ITEM, "request_id": "r-2", **odd} if isinstance(odd, dict) and odd else odd
    async with serving({"items": [item, ITEM]}) as (fal, _):
        assert await listed(fal) == [PAST]


async def test_the_name_that_fal_gives_an_endpoint_may_be_an_alias() -> None:
    async with serving({"items": [{**ITEM, "endpoint_id": "fal-ai/another/name"}]}) as (fal, _):
        assert await listed(fal) == [PAST]


async def test_missing_facts_are_none_and_a_payload_as_text_is_read() -> None:
    item = {
        "request_id": "r-1",
        "sent_at": "2026-03-01T12:00:00",
        "status_code": "200",
        "json_input": '{"prompt": "Snow melts."}',
    }
    async with serving({"items": [item]}) as (fal, _):
        [past] = await listed(fal)
    assert past == PastRequest(
        request_id="r-1",
        sent_at=NOON,
        ended_at=None,
        http_status=None,
        input={"prompt": "Snow melts."},
        output=None,
    )


async def test_the_list_of_the_stand_in_is_read_whole_and_in_canonical_form() -> None:
    async with (
        Emulator(Settings(slots=200)) as emulator,
        Fal.connect(connect_to=emulator.url, key=KEY) as fal,
    ):
        for n in range(130):
            frame = "https://example.com/a.png"
            await fal.submit(KLING_O1.id, {"prompt": str(n), KLING_O1.start_field: frame})
        await emulator.wait_for("completed", count=130)
        since = SystemClock().now()
        found = await History(fal=fal, clock=SystemClock()).since(KLING_O1.id, since)
        assert sorted(item.input["prompt"] for item in found) == sorted(map(str, range(130)))
        assert all(
            item.output["video"]["url"].startswith("https://v3b.fal.media/") for item in found
        )
        emulator.script([{"on": "history", "do": "reply", "status": 403}])
        with pytest.raises(Answered):
            await listed(fal)
