"""Uploads to an address that was given before, whole and in parts."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from support.virtual import VirtualClock, virtually
from support.world import NOON
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

START = "/rest.fal.ai/storage/upload"
V3 = {"storage_type": "fal-cdn-v3"}
KEY = {"Authorization": "Key one"}
PICTURE = {"content_type": "image/png", "file_name": "frame.png"}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings()) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    """Sends no key: an address for an upload needs none."""
    async with httpx.AsyncClient(base_url=emulator.url) as http:
        yield http


async def addresses(client: httpx.AsyncClient, kind: str = "initiate") -> tuple[str, str]:
    answer = await client.post(f"{START}/{kind}", params=V3, json=PICTURE, headers=KEY)
    assert answer.status_code == 200, answer.text
    return answer.json()["upload_url"], answer.json()["file_url"]


async def send_parts(client: httpx.AsyncClient, address: str, *parts: bytes) -> list[Any]:
    return [
        (await client.put(f"{address}/{number}", content=data)).json()
        for number, data in enumerate(parts, 1)
    ]


async def test_bytes_that_are_sent_to_the_address_are_the_file(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Under the URL that was told before, which ends with the name of the file."""
    upload_url, file_url = await addresses(client)
    assert file_url.endswith("_frame.png")
    assert (await client.get(file_url)).status_code == 404
    sent = await client.put(upload_url, content=b"bytes", headers={"Content-Type": "image/png"})
    assert sent.status_code == 200
    file = await client.get(file_url)
    assert (file.content, file.headers["Content-Type"]) == (b"bytes", "image/png")
    [upload] = emulator.ledger()["uploads"]
    assert upload["bytes"] == 5


async def test_parts_are_put_together_in_their_order_when_the_upload_is_completed(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """A part that is sent again takes the place of the one before."""
    upload_url, file_url = await addresses(client, "initiate-multipart")
    await client.put(f"{upload_url}/2", content=b"wrong")
    parts = await send_parts(client, upload_url, b"first ", b"second")
    assert [part["partNumber"] for part in parts] == [1, 2]
    assert (await client.get(file_url)).status_code == 404
    done = await client.post(f"{upload_url}/complete", json={"parts": parts})
    assert done.status_code == 200
    file = await client.get(file_url)
    assert (file.content, file.headers["Content-Type"]) == (b"first second", "image/png")
    assert len(emulator.ledger()["uploads"]) == 1


@pytest.mark.parametrize("spoil", ["none", "missing", "swapped", "no_json", "no_object"])
async def test_parts_other_than_those_that_were_sent_make_no_file(
    client: httpx.AsyncClient, spoil: str
) -> None:
    """Nor does a completion that names none."""
    upload_url, file_url = await addresses(client, "initiate-multipart")
    one, two = await send_parts(client, upload_url, b"first", b"second")
    swapped = [{**one, "etag": two["etag"]}, {**two, "etag": one["etag"]}]
    body: Any = {"none": {"parts": []}, "missing": {"parts": [one]}, "no_object": [one, two]}.get(
        spoil, {"parts": swapped}
    )
    done = (
        await client.post(f"{upload_url}/complete", content=b"{")
        if spoil == "no_json"
        else await client.post(f"{upload_url}/complete", json=body)
    )
    assert done.status_code == 400
    assert (await client.get(file_url)).status_code == 404


async def test_an_upload_without_a_part_makes_no_file(client: httpx.AsyncClient) -> None:
    """A file of nothing would be taken for a frame."""
    upload_url, file_url = await addresses(client, "initiate-multipart")
    done = await client.post(f"{upload_url}/complete", json={"parts": []})
    assert done.status_code == 400
    assert (await client.get(file_url)).status_code == 404


async def test_an_address_is_given_for_a_key_and_takes_only_what_it_was_given_for(
    client: httpx.AsyncClient,
) -> None:
    """Whole files and parts each have their own, and a made-up one is none."""
    ask = f"{START}/initiate"
    assert (await client.post(ask, params=V3, json=PICTURE)).status_code == 401
    for params, body in [({}, PICTURE), (V3, {"file_name": "a.png"}), (V3, [])]:
        answer = await client.post(ask, params=params, json=body, headers=KEY)
        assert answer.status_code == 422
    whole, _ = await addresses(client)
    in_parts, _ = await addresses(client, "initiate-multipart")
    assert (await client.put(f"{whole}/1", content=b"x")).status_code == 400
    assert (await client.put(in_parts, content=b"x")).status_code == 400
    assert (await client.put(f"{in_parts}/0", content=b"x")).status_code == 400
    assert (await client.put(f"{whole}0", content=b"x", headers=KEY)).status_code == 403


def test_an_address_is_good_for_an_hour() -> None:
    async def body() -> None:
        clock = VirtualClock(NOON)
        async with (
            Emulator(Settings(), clock=clock) as emulator,
            httpx.AsyncClient(base_url=emulator.url) as client,
        ):
            upload_url, file_url = await addresses(client)
            clock.jump(timedelta(hours=1).total_seconds())
            assert (await client.put(upload_url, content=b"late")).status_code == 403
            assert (await client.get(file_url)).status_code == 404

    virtually(body)


async def test_the_faults_of_an_upload_strike_the_address_the_bytes_and_the_end(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """An answer that is lost after the effect leaves the file there; a vanished file is gone."""
    emulator.script([{"on": "initiate", "do": "reply", "status": 503, "times": 1}])
    answer = await client.post(f"{START}/initiate", params=V3, json=PICTURE, headers=KEY)
    assert answer.status_code == 503
    upload_url, file_url = await addresses(client)
    emulator.script([{"on": "upload", "do": "close", "at": "reply"}])
    with pytest.raises(httpx.RemoteProtocolError):
        await client.put(upload_url, content=b"bytes")
    assert (await client.get(file_url)).content == b"bytes"
    emulator.script([{"on": "upload", "do": "vanish"}])
    upload_url, file_url = await addresses(client)
    assert (await client.put(upload_url, content=b"bytes")).status_code == 200
    assert (await client.get(file_url)).status_code == 404
