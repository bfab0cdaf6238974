"""The emulator's storage and CDN: uploads, ranges, and downloads that go wrong."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

SUBMIT = "/queue.fal.run/fal-ai/kling-video/o1/image-to-video"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=40)) as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=emulator.url) as http:
        yield http


KEY = {"Authorization": "Key one"}


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, format=kind)
    return buffer.getvalue()


async def upload(client: httpx.AsyncClient, data: bytes, name: str = "frame.png") -> str:
    token = (await client.post("/rest.fal.ai/storage/auth/token", json={}, headers=KEY)).json()
    answer = await client.post(
        "/v3.fal.media/files/upload",
        content=data,
        headers={
            "Authorization": f"{token['token_type']} {token['token']}",
            "X-Fal-File-Name": name,
            "Content-Type": "image/png",
        },
    )
    url: str = answer.json()["access_url"]
    return url


async def generate(emulator: Emulator, client: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    payload = {"prompt": "x", "start_image_url": "https://example.com/a.png", **changed}
    handle = (await client.post(SUBMIT, json=payload, headers=KEY)).json()
    await emulator.wait_for("completed", request_id=handle["request_id"])
    return await client.get(handle["response_url"], headers=KEY)


async def finished_clip(emulator: Emulator, client: httpx.AsyncClient) -> tuple[str, bytes]:
    url = (await generate(emulator, client)).json()["video"]["url"]
    return url, (await client.get(url)).content


async def test_an_upload_comes_back_byte_for_byte_under_a_new_url_each_time(
    client: httpx.AsyncClient,
) -> None:
    """Files are public to whoever has the URL."""
    data = picture(400, 300)
    first, second = await upload(client, data), await upload(client, data)
    assert first != second
    answer = await client.get(first)
    assert answer.content == data
    assert answer.headers["Content-Type"] == "image/png"


async def test_an_upload_needs_a_token_that_is_still_good(client: httpx.AsyncClient) -> None:
    """The API key is no token."""
    for value in ("Bearer nonsense", "Key one", "Bearer emulated.one.1"):
        answer = await client.post(
            "/v3.fal.media/files/upload", content=b"x", headers={"Authorization": value}
        )
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (picture(299, 400), "image_too_small"),
        (picture(300, 800), "value_error"),
        (picture(400, 300, "TIFF"), "unsupported_image_format"),
        (b"no picture", "image_load_error"),
        (picture(400, 300) + bytes(10_000_000), "file_too_large"),
    ],
)
async def test_a_frame_that_the_model_refuses_fails_at_the_result(
    emulator: Emulator, client: httpx.AsyncClient, data: bytes, kind: str
) -> None:
    """Each with its type, at the field of the frame."""
    good = await upload(client, picture(400, 300))
    bad = await upload(client, data)
    answer = await generate(emulator, client, start_image_url=good, end_image_url=bad)
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["body", "end_image_url"], kind)


async def test_a_frame_that_is_not_there_is_a_download_error(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Also for a plain http URL of somebody else."""
    for url in (
        "https://v3.fal.media/files/b/koala/gone.png",
        f"{emulator.url}/v3.fal.media/files/b/koala/gone.png",
        "http://example.com/a.png",
    ):
        answer = await generate(emulator, client, start_image_url=url)
        assert answer.json()["detail"][0]["type"] == "file_download_error"


async def test_the_clip_without_rendering_is_a_real_mp4(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """It decodes, and the moov box comes before the pictures."""
    _, data = await finished_clip(emulator, client)
    with av.open(io.BytesIO(data), "r") as container:
        assert len(list(container.decode(video=0))) == 12
    assert data.index(b"moov") < data.index(b"mdat")


async def test_a_range_is_answered_with_206_and_its_place(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """First bytes, the rest, the last bytes, and one beyond the end."""
    url, whole = await finished_clip(emulator, client)
    size = len(whole)
    for asked, start, stop in [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=5-{size * 2}", 5, size),
    ]:
        answer = await client.get(url, headers={"Range": asked})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.content == whole[start:stop]
    beyond = await client.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")


async def test_if_range_gives_the_rest_only_of_the_same_file(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Another ETag gets the whole."""
    url, whole = await finished_clip(emulator, client)
    etag = (await client.head(url)).headers["ETag"]
    rest = {"Range": "bytes=10-"}
    same = await client.get(url, headers={**rest, "If-Range": etag})
    assert (same.status_code, same.content) == (206, whole[10:])
    other = await client.get(url, headers={**rest, "If-Range": '"another"'})
    assert (other.status_code, other.content) == (200, whole)


@pytest.mark.parametrize("framing", ["length", "reset"])
async def test_a_cut_download_with_the_right_length_is_an_error(
    emulator: Emulator, client: httpx.AsyncClient, framing: str
) -> None:
    """The connection ends before the promised bytes."""
    url, _ = await finished_clip(emulator, client)
    emulator.script([{"on": "download", "do": "truncate", "after_bytes": 500, "framing": framing}])
    with pytest.raises(httpx.TransportError):
        await client.get(url)
    await emulator.wait_for("download_broken")


@pytest.mark.parametrize("framing", ["short_length", "chunked", "close"])
async def test_a_cut_download_can_look_whole(
    emulator: Emulator, client: httpx.AsyncClient, framing: str
) -> None:
    """Nothing in HTTP tells; only the file itself does."""
    url, whole = await finished_clip(emulator, client)
    emulator.script([{"on": "download", "do": "truncate", "after_bytes": 500, "framing": framing}])
    answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.content == whole[:500]
    assert answer.headers.get("Content-Length") == ("500" if framing == "short_length" else None)
    assert emulator.ledger()["downloads"]["broken"] == 1


async def test_a_download_can_be_something_else_altogether(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """A page, an error as JSON, nothing at all: each with 200."""
    url, _ = await finished_clip(emulator, client)
    for body, seen in [
        ("<html>Sorry</html>", b"<html>Sorry</html>"),
        ({"detail": "no"}, b'{"detail": "no"}'),
        ("", b""),
    ]:
        emulator.script([{"on": "download", "do": "reply", "status": 200, "body": body}])
        answer = await client.get(url)
        assert (answer.status_code, answer.content) == (200, seen)


@pytest.mark.parametrize("from_share", [0.0, 0.5])
async def test_a_download_can_be_a_clip_of_zeros(
    emulator: Emulator, client: httpx.AsyncClient, from_share: float
) -> None:
    """Size and boxes are right, also of a part of it; its pictures are nothing."""
    url, whole = await finished_clip(emulator, client)
    emulator.script([{"on": "download", "do": "blank", "from_share": from_share}])
    seen = (await client.get(url)).content
    rest = (await client.get(url, headers={"Range": "bytes=100-"})).content
    assert seen[100:] == rest
    begin = whole.index(b"mdat") + 4
    blank = begin + int((len(whole) - begin) * from_share)
    assert seen == whole[:blank] + bytes(len(whole) - blank)
    assert emulator.ledger()["downloads"]["broken"] == 2


async def test_a_download_can_be_endless(emulator: Emulator, client: httpx.AsyncClient) -> None:
    """It has no Content-Length and goes on until the client has enough."""
    url, whole = await finished_clip(emulator, client)
    emulator.script([{"on": "download", "do": "endless"}])
    seen = 0
    async with client.stream("GET", url) as answer:
        assert "Content-Length" not in answer.headers
        async for piece in answer.aiter_bytes():
            seen += len(piece)
            if seen > len(whole) + 1_000_000:
                break
    await emulator.wait_for("download_broken")


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_url_stays_expired_and_the_result_gives_another(
    emulator: Emulator, client: httpx.AsyncClient, status: int
) -> None:
    """Reading the result again is free and helps."""
    result = await generate(emulator, client)
    url = result.json()["video"]["url"]
    emulator.script([{"on": "download", "do": "expire", "times": 1, "status": status}])
    assert [(await client.get(url)).status_code for _ in range(2)] == [status, status]
    fresh = (await client.get(str(result.request.url), headers=KEY)).json()["video"]["url"]
    assert fresh != url
    assert (await client.get(fresh)).status_code == 200
    assert (await client.get(url)).status_code == status


async def test_ranges_can_be_ignored_or_answered_wrongly(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Downloads that ask for no range are not concerned."""
    url, whole = await finished_clip(emulator, client)
    rest = {"Range": "bytes=100-"}
    emulator.script([{"on": "download", "do": "range", "answer": "ignored"}])
    assert (await client.get(url)).headers["Accept-Ranges"] == "bytes"
    ignored = await client.get(url, headers=rest)
    assert (ignored.status_code, ignored.content) == (200, whole)
    emulator.script([{"on": "download", "do": "range", "answer": "wrong"}])
    wrong = await client.get(url, headers=rest)
    assert wrong.status_code == 206
    assert wrong.headers["Content-Range"].startswith("bytes 0-")


async def test_a_download_can_be_held_in_the_middle(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Exactly so many bytes are out when the named point is reached."""
    url, whole = await finished_clip(emulator, client)
    emulator.script([{"on": "download", "do": "hold", "after_bytes": 700}])
    before = emulator.ledger()["downloads"]["bytes"]
    fetching = asyncio.create_task(client.get(url))
    await emulator.wait_for("held", point="download.middle")
    assert emulator.ledger()["downloads"]["bytes"] - before == 700
    emulator.release("download.middle")
    assert (await fetching).content == whole


async def test_a_key_that_is_sent_to_the_cdn_is_counted(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Files need no key; sending one is a leak that tests look for."""
    url, _ = await finished_clip(emulator, client)
    assert emulator.ledger()["downloads"]["with_credentials"] == 0
    await client.get(url, headers=KEY)
    assert emulator.ledger()["downloads"]["with_credentials"] == 1


async def test_a_lost_answer_to_an_upload_leaves_the_file_there(
    emulator: Emulator, client: httpx.AsyncClient
) -> None:
    """Uploading again is free, so the client may."""
    emulator.script([{"on": "upload", "do": "close", "at": "reply", "times": 1}])
    with pytest.raises(httpx.RemoteProtocolError):
        await upload(client, b"bytes")
    await upload(client, b"bytes")
    assert len(emulator.ledger()["uploads"]) == 2
