"""fal's own client works against the emulator, hidden retries included."""

import asyncio
import io
from collections.abc import AsyncIterator

import fal_client
import httpx
import pytest
from PIL import Image

from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

O1 = "fal-ai/kling-video/o1/image-to-video"


class ToEmulator(httpx.AsyncBaseTransport):
    """Connects fal's hosts to the emulator and leaves its own URLs alone."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            request.url = self._url.copy_with(
                raw_path=f"/{request.url.host}".encode() + request.url.raw_path
            )
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings(slots=4)) as running:
        yield running


@pytest.fixture
async def fal(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[fal_client.AsyncClient]:
    transport = ToEmulator(emulator.url)
    client = fal_client.AsyncClient(key="one")
    headers = {"Authorization": "Key one"}
    async with httpx.AsyncClient(transport=transport, headers=headers) as http:
        ready: asyncio.Future[httpx.AsyncClient] = asyncio.get_running_loop().create_future()
        ready.set_result(http)
        client.__dict__["_client"] = ready
        # Uploads make their own clients: give those the same way out.
        make = httpx.AsyncClient.__init__

        def through(self: httpx.AsyncClient, **options: object) -> None:
            make(self, **{"transport": ToEmulator(emulator.url), **options})  # type: ignore[arg-type]

        monkeypatch.setattr(httpx.AsyncClient, "__init__", through)
        yield client


async def test_the_client_submits_follows_and_reads(
    emulator: Emulator, fal: fal_client.AsyncClient
) -> None:
    """Submit, every kind of status, result and cancel, through the URLs that came back."""
    emulator.script([{"on": "generation", "do": "hold"}])
    arguments = {"prompt": "x", "start_image_url": "https://example.com/a.png"}
    handles = [await fal.submit(O1, arguments) for _ in range(5)]
    await emulator.wait_for("held", count=4)
    assert await handles[4].status() == fal_client.Queued(position=0)
    await handles[4].cancel()
    with pytest.raises(fal_client.client.FalClientHTTPError):
        await handles[4].get()
    running = await handles[0].status(with_logs=True)
    assert isinstance(running, fal_client.InProgress)
    emulator.release()
    result = await handles[0].get()
    assert result["video"]["content_type"] == "video/mp4"
    done = await handles[0].status(with_logs=True)
    assert isinstance(done, fal_client.Completed)
    assert done.metrics["inference_time"] >= 0
    assert done.logs is not None


async def test_the_client_uploads_a_frame_that_the_model_then_finds(
    emulator: Emulator, fal: fal_client.AsyncClient
) -> None:
    """Token, upload and use of the URL."""
    buffer = io.BytesIO()
    Image.new("RGB", (400, 300), "teal").save(buffer, format="PNG")
    url = await fal.upload(buffer.getvalue(), "image/png", file_name="frame.png")
    assert url.startswith(f"{emulator.url}/v3.fal.media/files/b/")
    result = await fal.subscribe(O1, {"prompt": "x", "start_image_url": url})
    assert result["video"]["file_size"] > 0
    assert emulator.ledger()["uploads"][0]["bytes"] == len(buffer.getvalue())


async def test_a_refused_input_is_the_client_s_http_error_with_the_model_s_type(
    emulator: Emulator, fal: fal_client.AsyncClient
) -> None:
    """The client finds the error type where fal puts it."""
    handle = await fal.submit(O1, {"prompt": "x"})
    await emulator.wait_for("completed")
    with pytest.raises(fal_client.client.FalClientHTTPError) as caught:
        await handle.get()
    assert caught.value.status_code == 422
    assert caught.value.error_type == "missing"


async def test_the_client_on_its_own_pays_again_for_each_lost_reply(
    emulator: Emulator, fal: fal_client.AsyncClient
) -> None:
    """Three lost replies are four paid requests and one handle: the ledger sees it all."""
    emulator.script([{"on": "submit", "do": "reset", "at": "reply", "times": 3}])
    await fal.submit(O1, {"prompt": "x", "start_image_url": "https://example.com/a.png"})
    await emulator.wait_for("completed", count=4)
    ledger = emulator.ledger()
    assert ledger["accepted_count"] == 4
    assert ledger["duplicate_count"] == 3
    assert ledger["billed_usd"] == "2.24"
