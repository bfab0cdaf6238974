"""What an account may be set to: closed files, short lives, keys that may do less."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from support.wire import Seen, answer, says, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.errors import Answered, DownloadFailed, KeyRefused, UrlExpired
from tweenbatch.fal import Fal, request_of, video_of
from tweenbatch.fal.client import LIFE_SECONDS
from tweenbatch.planning.key_check import check

KEY = "canary-key-id:canary-key-secret"
O1 = "fal-ai/kling-video/o1/image-to-video"
ARGUMENTS = {"prompt": "Snow melts.", "start_image_url": "https://example.com/a.png"}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLIP = "https://v3.fal.media/files/a.mp4"
TOKEN = {
    "token": "file-token",
    "token_type": "Bearer",
    "base_url": "https://v3.fal.media",
    "expires_at": "2999-01-01T00:00:00+00:00",
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as running:
        yield running


def fal_at(url: str, key: str = KEY) -> Fal:
    return Fal.connect(connect_to=url, key=key)


async def clip_of(emulator: Emulator, fal: Fal) -> str:
    request = await fal.submit(O1, ARGUMENTS)
    await emulator.wait_for("completed")
    return video_of(await fal.result(request)).url


async def fetched(fal: Fal, url: str) -> bytes:
    async with fal.download(url) as download:
        return b"".join([chunk async for chunk in download.chunks()])


# Closed files


@pytest.mark.parametrize("status", [403, 404])
async def test_a_file_closed_to_others_is_read_as_its_owner(
    emulator: Emulator, status: int
) -> None:
    async with fal_at(emulator.url) as fal:
        url = await clip_of(emulator, fal)
        emulator.add_fault(on="download", do="restrict", status=status)
        clip = await fetched(fal, url)
        assert clip
        assert await fetched(fal, url) == clip
    totals = emulator.ledger(totals_only=True)
    assert totals["requests"]["download"] == 4, "each is asked for as a stranger first"
    assert totals["downloads"]["with_credentials"] == 2
    assert totals["requests"]["token"] == 1


@pytest.mark.parametrize("status", [403, 404])
async def test_a_file_of_another_account_stays_closed(emulator: Emulator, status: int) -> None:
    async with fal_at(emulator.url) as fal, fal_at(emulator.url, "another:account-key") as other:
        url = await clip_of(emulator, fal)
        emulator.add_fault(on="download", do="restrict", status=status)
        with pytest.raises(UrlExpired, match=f"HTTP {status}"):
            await fetched(other, url)


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ({"do": "deny"}, UrlExpired),
        ({"do": "reply", "status": 401}, UrlExpired),
        ({"do": "reply", "status": 503}, DownloadFailed),
        ({"do": "reply", "status": 429}, DownloadFailed),
        ({"do": "reset"}, DownloadFailed),
    ],
)
async def test_gone_is_only_what_the_owner_can_not_have_either(
    emulator: Emulator, token: dict[str, Any], error: type[Exception]
) -> None:
    async with fal_at(emulator.url) as fal:
        url = await clip_of(emulator, fal)
        emulator.script([{"on": "download", "do": "restrict"}, {"on": "token", **token}])
        with pytest.raises(error, match="token"):
            await fetched(fal, url)


async def test_a_token_that_has_run_out_is_replaced_once() -> None:
    given: list[str] = []

    async def serve(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.method == "POST":
            given.append(f"file-token-{len(given) + 1}")
            writer.write(answer(200, json.dumps({**TOKEN, "token": given[-1]}).encode()))
            return
        good = seen.headers.get("authorization") == "Bearer file-token-2"
        writer.write(answer(200, b"clip") if good else answer(401, b"{}"))

    async with wire(serve) as server, fal_at(server.url) as fal:
        assert await fetched(fal, CLIP) == b"clip"
    assert len(given) == 2


async def test_the_key_never_goes_to_the_file_hosts_and_the_token_nowhere_else() -> None:
    async def serve(seen: Seen, writer: asyncio.StreamWriter) -> None:
        host = seen.target.split("/")[1]
        if host == "rest.fal.ai":
            writer.write(answer(200, json.dumps(TOKEN).encode()))
        elif "authorization" not in seen.headers:
            writer.write(answer(403, b"{}"))
        elif seen.target.endswith("a.mp4"):
            writer.write(answer(302, location="https://v3b.fal.media/files/b.mp4"))
        else:
            writer.write(answer(302, location="https://files.example.com/c.mp4"))

    async with wire(serve) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed, match=r"not a URL of fal: .*files\.example\.com"):
            await fetched(fal, CLIP)
    for seen in server.requests:
        host, carried = seen.target.split("/")[1], seen.headers.get("authorization", "")
        expected = {f"Key {KEY}"} if host == "rest.fal.ai" else {"", "Bearer file-token"}
        assert carried in expected, seen.target
    assert not [seen for seen in server.requests if "example" in seen.target]


async def test_an_open_file_is_asked_for_once_and_without_a_credential() -> None:
    async with wire(says(200, b"clip")) as server, fal_at(server.url) as fal:
        await fetched(fal, CLIP)
    [seen] = server.requests
    assert "authorization" not in seen.headers


# What goes along with a submission and an upload


async def test_a_submission_names_the_life_of_its_files_and_lets_no_other_model_answer() -> None:
    accepted = {"request_id": "r-1"}
    async with wire(says(200, accepted)) as server, fal_at(server.url) as fal:
        await fal.submit(O1, ARGUMENTS)
    [seen] = server.requests
    life = json.loads(seen.headers["x-fal-object-lifecycle-preference"])
    assert life == {"expiration_duration_seconds": LIFE_SECONDS}
    assert seen.headers["x-app-fal-disable-fallback"] == "true"
    assert "x-fal-store-io" not in seen.headers


async def test_an_upload_names_its_life() -> None:
    async def serve(seen: Seen, writer: asyncio.StreamWriter) -> None:
        told = TOKEN if "token" in seen.target else {"access_url": CLIP}
        writer.write(answer(200, json.dumps(told).encode()))

    async with wire(serve) as server, fal_at(server.url) as fal:
        await fal.upload(b"x", content_type="image/png", file_name="a.png")
    life = json.loads(server.requests[-1].headers["x-fal-object-lifecycle"])
    assert life == {"expiration_duration_seconds": LIFE_SECONDS}


async def test_who_served_a_request_is_kept_where_fal_says_it() -> None:
    elsewhere = says(200, {}, x_fal_served_from="fal-ai/other\x1b")
    async with wire(elsewhere) as server, fal_at(server.url) as fal:
        await fal.result(request_of(O1, "r-1"))
        assert fal.served_by == {"r-1": "fal-ai/other"}


@pytest.mark.parametrize(
    ("header", "units"),
    [
        ("5", "5"),
        (" 10.5 ", "10.5"),
        ("", None),
        ("0", None),
        ("0.00", None),
        ("-5", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e9", None),
        ("12345678", None),
        ("five", None),
        ("5 seconds", None),
    ],
)
@pytest.mark.parametrize("status", [200, 422])
async def test_billed_units_are_kept_where_they_can_be_a_number_of_units(
    header: str, units: str | None, status: int
) -> None:
    told = says(status, {}, x_fal_billable_units=header)
    async with wire(told) as server, fal_at(server.url) as fal:
        with suppress(Answered):
            await fal.result(request_of(O1, "r-1"))
        assert fal.billed_units == ({} if units is None else {"r-1": Decimal(units)})


# Keys with permissions


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"do": "deny"}, "may not read requests .*do not have permission.* Nothing was submitted"),
        ({"do": "reply", "status": 403, "body": "<html>"}, r"may not read requests \(HTTP 403\)"),
        ({"do": "reply", "status": 401}, "does not know this key .* Nothing was submitted"),
    ],
)
async def test_a_key_that_may_not_read_is_refused_for_nothing(
    emulator: Emulator, status: dict[str, Any], words: str
) -> None:
    emulator.add_fault(on="status", **status)
    with pytest.raises(KeyRefused, match=words):
        await check(lambda: fal_at(emulator.url), O1, now=NOW)
    assert emulator.ledger()["posts"] == 0


@pytest.mark.parametrize("do", [{"do": "deny"}, {"do": "reply", "status": 401}])
async def test_a_key_that_may_not_list_is_warned_of_with_the_permission(
    emulator: Emulator, do: dict[str, Any]
) -> None:
    emulator.add_fault(on="history", **do)
    warning = await check(lambda: fal_at(emulator.url), O1, now=NOW)
    assert warning is not None
    assert "models:requests:read" in warning


@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"on": "status", "do": "reply", "status": 404},
        {"on": "status", "do": "reply", "status": 500},
        {"on": "status", "do": "reply", "status": 429},
        {"on": "status", "do": "reset"},
        {"on": "history", "do": "reply", "status": 404},
        {"on": "history", "do": "reply", "status": 503},
    ],
)
async def test_what_says_nothing_of_the_key_is_no_reason_to_stop(
    emulator: Emulator, fault: dict[str, Any] | None
) -> None:
    if fault is not None:
        emulator.add_fault(**fault)
    assert await check(lambda: fal_at(emulator.url), O1, now=NOW) is None
    assert emulator.ledger()["requests"]["history"] == 1
