"""Work that breaks off on this machine on clip after clip stops the buying; nothing is lost."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import httpx
import PIL.Image
import pytest

from support import manifests
from support.virtual import virtually
from support.world import world
from tweenbatch.clips.checker import Checker
from tweenbatch.emulator.settings import Settings
from tweenbatch.exit_codes import ExitCode
from tweenbatch.records import Frame

AT_ONCE, ROWS = 5, 60
NO_DECODER = (sys.executable, "-c", 'print(\'{"unavailable": "ImportError: no av"}\')')

Library = tuple[Any, str, Callable[..., bool]]


def of_all(*_args: Any, **_options: Any) -> bool:
    return True


def of_results(_client: object, url: object, **_options: Any) -> bool:
    path = str(url).partition("?")[0]
    return "/requests/" in path and not path.endswith(("/status", "/by-endpoint"))


def of_clips(response: httpx.Response, *_args: Any, **_options: Any) -> bool:
    return response.request.url.path.endswith(".mp4")


STAGES: dict[str, tuple[Library | None, int]] = {
    "look at a frame": ((PIL.Image, "open", of_all), 0),
    "upload": ((fal_client.AsyncClient, "upload", of_all), 0),
    "submit": ((fal_client.AsyncClient, "submit", of_all), 0),
    "wait": ((fal_client.AsyncRequestHandle, "status", of_all), 2 * AT_ONCE),
    "result": ((httpx.AsyncClient, "get", of_results), 2 * AT_ONCE),
    "fetch": ((httpx.Response, "aiter_raw", of_clips), 2 * AT_ONCE),
    "decode": (None, 2 * AT_ONCE),
}
"""What breaks at each stage, and how many clips may be bought by then."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_library_that_breaks_on_every_clip_stops_the_buying_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    library, most = STAGES[stage]

    async def body() -> None:
        settings = Settings(seconds=60.0, slots=AT_ONCE)
        async with world(tmp_path, rows=0, fal_settings=settings) as played:
            frame = manifests.frame(tmp_path / "start.png")
            digest = hashlib.sha256(frame.read_bytes()).hexdigest()
            played.load(ROWS, start=Frame(source=str(frame), sha256=digest))
            with monkeypatch.context() as patch, Checker(command=NO_DECODER) as decodes_nothing:
                if library is not None:
                    patch.setattr(library[0], library[1], breaking(*library))
                checks = decodes_nothing if library is None else None
                result = await played.run(concurrency=AT_ONCE, checks=checks)
            posts = played.ledger()["posts"]
            assert result.exit_code is ExitCode.TROUBLE
            assert posts <= most
            assert result.note.count("stay at fal") == 1
            assert library is None or "RuntimeError: no such symbol" in result.note
            if stage == "submit":
                assert set(played.states()) == {"uncertain", "pending"}, "nobody knows what left"
                return
            mended = await played.run(concurrency=AT_ONCE, limit=1)
            assert played.states()["succeeded"] == posts + 1 == played.ledger()["posts"]
            assert mended.exit_code is ExitCode.LIMIT

    virtually(body)


def breaking(owner: Any, name: str, concerns: Callable[..., bool]) -> Callable[..., Any]:
    """Return a function of a library that raises where it is about these calls."""
    true = getattr(owner, name)

    def broken(*args: Any, **options: Any) -> Any:
        if concerns(*args, **options):
            raise RuntimeError("no such symbol")
        return true(*args, **options)

    return broken
