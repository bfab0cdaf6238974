"""A frame that fal could not read is requested once from here before it is paid again."""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import world
from tweenbatch.records import Frame

DEAD = {"on": "generation", "do": "fail", "status": 422, "type": "file_download_error"}
URL = "https://example.com/start.png"


@pytest.mark.parametrize(
    ("wrong", "posts", "said"),
    [
        ("answers with HTTP 404", 1, f"checked from here, {URL} answers with HTTP 404"),
        (None, 2, "the URL works from here"),
    ],
)
def test_only_an_address_that_answers_here_is_paid_for_once_more(
    tmp_path: Path, wrong: str | None, posts: int, said: str
) -> None:
    asked: list[str] = []

    async def ask(urls: Collection[str], _max_bytes: int) -> Mapping[str, str]:
        new = list(urls)
        asked.extend(new)
        await asyncio.sleep(60)
        return {url: wrong for url in new if wrong is not None}

    async def body() -> None:
        async with world(tmp_path, rows=0) as played:
            signed: dict[str, Any] = {"start": Frame(source=f"{URL}?sig=secret"), "end": None}
            played.load(2, **signed)
            played.script({**DEAD, "billed": True})
            await played.run(concurrency=2, ask=ask)
            assert played.ledger()["posts"] == 2 * posts
            assert asked == [f"{URL}?sig=secret"], "once, for all rows"
            words = [str(each) for each in played.store.views.attention()]
            assert len(words) == 2
            assert all(said in each for each in words)

    virtually(body)
