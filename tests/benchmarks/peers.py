"""What people write without tweenbatch: fal's own client, unmodified, and a loop around it.

Started by ``throughput.py``, one process for each measurement. fal's client builds its own
httpx client, with its backup domain and its retry loop; only the innermost transport is ours,
and it does one thing: ``https://HOST/path`` goes to ``{connect_to}/HOST/path``.
"""

import argparse
import asyncio
import csv
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import patch

import fal_client
import httpx
from fal_client import client as patched

ENDPOINT = "fal-ai/kling-video/o1/image-to-video"

Row = dict[str, str]


class ToEmulator(httpx.BaseTransport):
    """Plain HTTP, with fal's hosts found at a server on loopback."""

    def __init__(self, connect_to: str) -> None:
        self._base = httpx.URL(connect_to)
        self._wire = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._wire.handle_request(rewritten(request, self._base))

    def close(self) -> None:
        self._wire.close()


class AsyncToEmulator(httpx.AsyncBaseTransport):
    """The same for asyncio."""

    def __init__(self, connect_to: str) -> None:
        self._base = httpx.URL(connect_to)
        self._wire = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._wire.handle_async_request(rewritten(request, self._base))

    async def aclose(self) -> None:
        await self._wire.aclose()


def rewritten(request: httpx.Request, base: httpx.URL) -> httpx.Request:
    """The URLs that the emulator hands out lead to it already; they stay as they are."""
    if request.url.scheme != "https":
        return request
    headers = request.headers.copy()
    headers["Host"] = base.netloc.decode("ascii")
    return httpx.Request(
        request.method,
        base.copy_with(raw_path=b"/" + request.url.raw_host + request.url.raw_path),
        headers=headers,
        stream=request.stream,
        extensions=request.extensions,
    )


def arguments(row: Row) -> dict[str, str]:
    return {
        "prompt": row["prompt"],
        "start_image_url": row["start_image"],
        "end_image_url": row["end_image"],
        "duration": row["duration"],
    }


def save(answer: httpx.Response, target: Path) -> None:
    answer.raise_for_status()
    target.write_bytes(answer.content)


def with_asyncio(
    rows: Sequence[Row], *, output: Path, connect_to: str, in_flight: int
) -> list[BaseException]:
    """A semaphore around ``subscribe``; a clip that comes home holds no place in it."""

    async def run() -> list[BaseException | None]:
        fal = fal_client.AsyncClient()
        places = asyncio.Semaphore(in_flight)
        async with httpx.AsyncClient(transport=AsyncToEmulator(connect_to)) as files:

            async def one(row: Row) -> None:
                async with places:
                    result = await fal.subscribe(ENDPOINT, arguments(row))
                save(await files.get(result["video"]["url"]), output / f"{row['name']}.mp4")

            return await asyncio.gather(*map(one, rows), return_exceptions=True)

    transport = partial(patched.AsyncBackupDomainTransport, transport=AsyncToEmulator(connect_to))
    with patch.object(patched, "AsyncBackupDomainTransport", transport):
        return [error for error in asyncio.run(run()) if error is not None]


def with_threads(
    rows: Sequence[Row], *, output: Path, connect_to: str, in_flight: int
) -> list[BaseException]:
    """A pool of threads, each of which takes one clip at a time all the way."""
    fal = fal_client.SyncClient()

    def one(row: Row) -> None:
        result = fal.subscribe(ENDPOINT, arguments(row))
        save(files.get(result["video"]["url"]), output / f"{row['name']}.mp4")

    transport = partial(patched.BackupDomainTransport, transport=ToEmulator(connect_to))
    with (
        patch.object(patched, "BackupDomainTransport", transport),
        httpx.Client(transport=ToEmulator(connect_to)) as files,
        ThreadPoolExecutor(max_workers=in_flight) as pool,
    ):
        done = [pool.submit(one, row) for row in rows]
        errors = [future.exception() for future in done]
    return [error for error in errors if error is not None]


WAYS = {"asyncio": with_asyncio, "threads": with_threads}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--connect-to", required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    options = parser.parse_args()
    with options.manifest.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    options.output.mkdir(parents=True)
    errors = WAYS[options.way](
        rows,
        output=options.output,
        connect_to=options.connect_to,
        in_flight=options.in_flight,
    )
    for error in errors:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
