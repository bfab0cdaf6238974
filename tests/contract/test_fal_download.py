"""Downloads: raw bytes, no key, few redirects, resumed only where that is safe."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.virtual import virtually
from support.wire import Seen, answer, drips, says, sends, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import DownloadFailed, UrlExpired
from tweenbatch.fal import Deadlines, Fal

KEY = "canary-key-id:canary-key-secret"
URL = "https://v3.fal.media/files/clip.mp4"
CLIP = bytes(range(256)) * 1000


def fal_at(url: str) -> Fal:
    return Fal.connect(connect_to=url, key=KEY)


async def whole(fal: Fal, url: str, *, offset: int = 0, etag: str | None = None) -> bytes:
    async with fal.download(url, offset=offset, etag=etag) as download:
        return b"".join([chunk async for chunk in download.chunks()])


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings()) as running:
        yield running


@pytest.fixture
async def fal(emulator: Emulator) -> AsyncIterator[Fal]:
    async with fal_at(emulator.url) as connected:
        yield connected


@pytest.fixture
async def url(fal: Fal) -> str:
    return await fal.upload(CLIP, content_type="video/mp4", file_name="clip.mp4")


async def test_the_bytes_come_as_they_are_and_without_the_key(
    fal: Fal, emulator: Emulator, url: str
) -> None:
    async with fal.download(url) as download:
        assert (download.status, download.offset) == (200, 0)
        assert download.content_length == len(CLIP)
        assert b"".join([chunk async for chunk in download.chunks()]) == CLIP
    assert emulator.ledger(totals_only=True)["downloads"]["with_credentials"] == 0


async def test_a_download_asks_for_no_compression_and_no_range() -> None:
    async with wire(says(200, CLIP)) as server, fal_at(server.url) as fal:
        await whole(fal, URL)
    [seen] = server.requests
    assert seen.target == "/v3.fal.media/files/clip.mp4"
    assert seen.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "range"} & set(seen.headers)


async def test_a_transfer_goes_on_where_it_broke_off(fal: Fal, url: str) -> None:
    async with fal.download(url) as first:
        etag = first.etag
    async with fal.download(url, offset=1000, etag=etag) as download:
        assert (download.status, download.offset) == (206, 1000)
        assert download.content_length == len(CLIP) - 1000
        assert b"".join([chunk async for chunk in download.chunks()]) == CLIP[1000:]


async def test_a_file_that_has_changed_is_sent_from_its_start(fal: Fal, url: str) -> None:
    async with fal.download(url, offset=1000, etag='"another"') as download:
        assert (download.status, download.offset) == (200, 0)


@pytest.mark.parametrize("answer_to_range", ["ignored", "wrong"])
async def test_a_server_that_is_bad_at_ranges_sends_the_whole_file(
    fal: Fal, emulator: Emulator, url: str, answer_to_range: str
) -> None:
    emulator.add_fault(on="download", do="range", answer=answer_to_range)
    async with fal.download(url, offset=1000) as download:
        assert download.offset == 0
        assert b"".join([chunk async for chunk in download.chunks()]) == CLIP


def rest(place: str, **headers: str) -> bytes:
    return answer(206, CLIP[1000:], content_range=place, **headers)


SIZE = len(CLIP)


@pytest.mark.parametrize(
    ("part", "proven"),
    [
        (rest(f"bytes 1000-{SIZE - 1}/{SIZE}"), True),
        (rest(f"bytes 1000-{SIZE - 1}/{SIZE}", etag='"one"'), True),
        (rest(f"bytes 1000-{SIZE - 1}/{SIZE}", etag='"two"'), False),
        (rest(f"bytes 1000-{SIZE}/{SIZE + 1}"), False),
        (rest(f"bytes 1000-{SIZE - 2}/{SIZE}"), False),
        (rest(f"bytes 999-{SIZE - 1}/{SIZE}"), False),
        (rest(f"bytes 10000-{SIZE - 1}/{SIZE}"), False),
        (rest(f"bytes 1000-{SIZE - 1}/*"), False),
        (rest("bytes 1000-"), False),
        (answer(206, CLIP[1000:]), False),
    ],
)
async def test_a_part_is_taken_only_if_it_is_the_rest_of_the_same_file(
    part: bytes, proven: bool
) -> None:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(part if "range" in seen.headers else answer(200, CLIP))

    async with (
        wire(behave) as server,
        fal_at(server.url) as fal,
        fal.download(URL, offset=1000, etag='"one"', total=SIZE) as download,
    ):
        assert download.offset == (1000 if proven else 0)
        came = b"".join([chunk async for chunk in download.chunks()])
    assert came == CLIP[download.offset :]
    assert download.total == SIZE


async def test_a_part_where_the_whole_was_asked_for_is_refused_after_a_range_too() -> None:
    part = rest(f"bytes 500-{SIZE - 1}/{SIZE}")
    async with wire(sends(part)) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed, match="206"):
            await whole(fal, URL, offset=1000)
    assert len(server.requests) == 2


async def test_an_offset_past_the_end_starts_again(fal: Fal, url: str) -> None:
    assert await whole(fal, url, offset=len(CLIP)) == CLIP


async def test_a_part_that_was_not_asked_for_is_refused() -> None:
    part = says(206, CLIP, content_range="bytes 0-9/10")
    async with wire(part) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed):
            await whole(fal, URL)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_address_that_is_gone_is_reported_to_have_expired(status: int) -> None:
    async with wire(says(status, b"gone")) as server, fal_at(server.url) as fal:
        with pytest.raises(UrlExpired, match=str(status)):
            await whole(fal, URL)


@pytest.mark.parametrize("status", [204, 304, 400, 401, 429, 500, 503])
async def test_any_other_error_is_a_transfer_that_failed(status: int) -> None:
    async with wire(says(status, b"")) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed):
            await whole(fal, URL)


@pytest.mark.parametrize(
    "behave",
    [
        sends(b"", then="reset"),
        sends(b"", then="hang"),
        sends(answer(200, CLIP)[:-1]),
        sends(answer(200, CLIP)[:-1], then="reset"),
        sends(answer(200, CLIP)[:-1], then="hang"),
        drips(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", seconds=1.0),
        says(200, CLIP, content_encoding="gzip"),
    ],
    ids=["reset", "hang", "short", "cut", "silent", "drip", "compressed"],
)
def test_an_incomplete_transfer_is_reported(behave: Any) -> None:
    async def body() -> None:
        async with wire(behave) as server, fal_at(server.url) as fal:
            with pytest.raises(DownloadFailed):
                await whole(fal, URL)

    virtually(body, within_seconds=Deadlines().download_seconds + 60)


@pytest.mark.parametrize("sent", [b"", answer(200, CLIP)[:-1]], ids=["at once", "in the middle"])
def test_silence_ends_a_transfer_long_before_its_deadline(sent: bytes) -> None:
    deadlines = Deadlines()
    assert deadlines.download_silence_seconds * 10 < deadlines.download_seconds

    async def body() -> None:
        async with wire(sends(sent, then="hang")) as server, fal_at(server.url) as fal:
            with pytest.raises(DownloadFailed):
                await whole(fal, URL)

    virtually(body, within_seconds=deadlines.download_silence_seconds * 2)


async def test_nobody_listening_is_a_transfer_that_failed() -> None:
    async with fal_at("http://127.0.0.1:9") as fal:
        with pytest.raises(DownloadFailed):
            await whole(fal, URL)


def hops(targets: list[str]) -> Any:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        number = int(seen.target.rpartition("-")[2] or 0) if "-" in seen.target else 0
        if number < len(targets):
            writer.write(answer(302, b"", location=targets[number]))
        else:
            writer.write(answer(200, CLIP))

    return behave


async def test_three_redirects_within_fal_are_followed() -> None:
    path = hops(["https://v3b.fal.media/f-1", "/f-2", "https://v3.fal.media/f-3"])
    async with wire(path) as server, fal_at(server.url) as fal:
        assert await whole(fal, URL) == CLIP
    assert [seen.target for seen in server.requests] == [
        "/v3.fal.media/files/clip.mp4",
        "/v3b.fal.media/f-1",
        "/v3b.fal.media/f-2",
        "/v3.fal.media/f-3",
    ]


async def test_a_fourth_redirect_is_not_followed() -> None:
    async with wire(hops(["/f-1", "/f-2", "/f-3", "/f-4"])) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed, match="redirects"):
            await whole(fal, URL)
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/clip.mp4",
        "http://v3.fal.media/clip.mp4",
        "https://169.254.169.254/latest/meta-data",
        "https://queue.fal.run/fal-ai/x",
        "file:///etc/passwd",
        "https://v3.fal.media.evil.example/x",
        "https://user@v3.fal.media/x",
        "http://[bad",
    ],
)
async def test_a_redirect_out_of_fals_file_hosts_is_not_followed(location: str) -> None:
    async with wire(says(302, b"", location=location)) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed):
            await whole(fal, URL)
    assert len(server.requests) == 1


async def test_a_redirect_to_another_server_on_loopback_is_not_followed() -> None:
    async with wire(says(200, CLIP)) as other:
        moved = says(302, b"", location=f"{other.url}/clip.mp4")
        async with wire(moved) as server, fal_at(server.url) as fal:
            with pytest.raises(DownloadFailed):
                await whole(fal, URL)
        assert other.requests == []


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/a", "http://v3.fal.media/a", "file:///a", "", "https://fal.media/a"],
)
async def test_an_address_outside_fals_file_hosts_is_not_asked(url: str) -> None:
    async with wire(says(200, CLIP)) as server, fal_at(server.url) as fal:
        with pytest.raises(DownloadFailed):
            await whole(fal, url)
    assert server.requests == []


async def test_trouble_of_the_reader_stays_the_readers(fal: Fal, url: str) -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with fal.download(url):
            raise TimeoutError("mine")
