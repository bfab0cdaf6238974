"""Downloading a clip: a broken transfer resumes only where that is proven to be safe."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.command import KEY
from support.jobs import job
from support.jumping import Jumping
from support.planted import KINDS, Outside
from support.wire import Behaviour, Seen, answer, says, wire
from support.world import checker
from tweenbatch.emulator.model.clip import tiny_clip
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import DiskTrouble, DownloadFailed
from tweenbatch.fal import Fal
from tweenbatch.records import Artifact, Job, Outcome, RemoteVideo
from tweenbatch.stages.fetch import Fetcher
from tweenbatch.states import State

CLIP = tiny_clip()
URL = "https://v3.fal.media/files/clip.mp4"
CUT = 100
"""In the middle of the index, so that another rest makes a broken file."""


def ready(url: str = URL, *, size: int | None = None) -> Job:
    video = RemoteVideo(url=url, bytes=size, content_type="video/mp4")
    return job(state=State.READY, video=video)


async def fetched(fal: Fal, folder: Path, clip: Job, **settings: Any) -> Outcome:
    fetcher = Fetcher(
        fal=fal,
        clock=Jumping(),
        rng=random.Random(7),
        output=folder,
        checker=checker(),
        **settings,
    )
    return await fetcher.fetch(clip)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def came_whole(outcome: Outcome, folder: Path) -> bool:
    artifact = outcome.artifact
    assert isinstance(artifact, Artifact)
    assert artifact.sha256 == hashlib.sha256(CLIP).hexdigest()
    assert artifact.bytes == len(CLIP)
    return artifact.path.read_bytes() == CLIP and files(folder) == [artifact.path]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings()) as running:
        yield running


@pytest.fixture
async def fal(emulator: Emulator) -> AsyncIterator[Fal]:
    async with Fal.connect(connect_to=emulator.url, key=KEY) as connected:
        yield connected


@pytest.fixture
async def url(fal: Fal) -> str:
    return await fal.upload(CLIP, content_type="video/mp4", file_name="clip.mp4")


def downloads(emulator: Emulator) -> tuple[int, int]:
    """How many transfers there were, and the bytes of all of them."""
    counted: dict[str, int] = emulator.ledger(totals_only=True)["downloads"]
    return counted["started"], counted["bytes"]


@pytest.mark.parametrize("k", [1, 2, 7, 100, 1000, len(CLIP) // 2, len(CLIP) - 1])
async def test_a_transfer_that_broke_off_after_k_bytes_goes_on_there(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str, k: int
) -> None:
    emulator.add_fault(on="download", do="truncate", after_bytes=k, nth=1)
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)
    assert downloads(emulator) == (2, len(CLIP))


async def test_a_transfer_that_breaks_off_again_and_again_sends_no_byte_twice(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str
) -> None:
    emulator.add_fault(on="download", do="truncate", after_bytes=len(CLIP) // 5, times=4)
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)
    assert downloads(emulator) == (5, len(CLIP))


async def test_after_a_reset_only_what_did_not_arrive_is_sent_again(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str
) -> None:
    k = len(CLIP) // 2
    emulator.add_fault(on="download", do="truncate", after_bytes=k, framing="reset", nth=1)
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)
    transfers, size = downloads(emulator)
    assert transfers == 2
    assert size <= k + len(CLIP)


@pytest.mark.parametrize("answer_to_range", ["ignored", "wrong"])
async def test_where_the_server_is_bad_at_ranges_the_transfer_starts_again(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str, answer_to_range: str
) -> None:
    emulator.add_fault(on="download", do="range", answer=answer_to_range)
    emulator.add_fault(on="download", do="truncate", after_bytes=1000, nth=1)
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)


@pytest.mark.parametrize("framing", ["short_length", "chunked", "close"])
async def test_a_clip_that_ends_too_early_without_a_word_is_fetched_from_its_start(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str, framing: str
) -> None:
    emulator.add_fault(on="download", do="truncate", after_bytes=1000, framing=framing, nth=1)
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)
    assert downloads(emulator) == (2, 1000 + len(CLIP))


def cut_then(rest: bytes, **headers: str) -> Behaviour:
    """Break off the first transfer; answer so to a range, and with the whole clip to others."""

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if "range" in seen.headers:
            writer.write(rest)
        elif seen.connection == 1:
            writer.write(answer(200, CLIP, **headers)[: CUT - len(CLIP)])
            writer.close()
        else:
            writer.write(answer(200, CLIP, **headers))

    return behave


def rest_of(clip: bytes, *, total: int | str = len(CLIP), **headers: str) -> bytes:
    place = f"bytes {CUT}-{len(clip) - 1}/{total}"
    return answer(206, clip[CUT:], content_range=place, **headers)


SPOILT = CLIP[:CUT] + bytes(len(CLIP) - CUT)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"etag": '"one"'}, rest_of(SPOILT, etag='"two"')),
        ({"etag": '"one"'}, rest_of(SPOILT[:-1], total=len(CLIP) - 1)),
        ({}, rest_of(SPOILT[:-1], total=len(CLIP) - 1)),
        ({}, rest_of(SPOILT, total="*")),
        ({}, answer(206, SPOILT[CUT:])),
        ({}, answer(206, SPOILT[CUT:-1], content_range=f"bytes {CUT}-{len(CLIP) - 2}/{len(CLIP)}")),
        ({"etag": '"one"'}, answer(416)),
    ],
    ids=[
        *("another etag", "another size", "no etag, another size", "size unknown", "no range"),
        *("not to the end", "no such range"),
    ],
)
async def test_a_rest_that_is_not_proven_to_be_of_the_same_file_is_not_taken(
    tmp_path: Path, first: dict[str, str], second: bytes
) -> None:
    async with (
        wire(cut_then(second, **first)) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert came_whole(await fetched(fal, tmp_path, ready()), tmp_path)
    assert len(server.requests) == 3


async def test_the_rest_is_asked_for_under_the_etag_of_what_came(tmp_path: Path) -> None:
    async with (
        wire(cut_then(rest_of(CLIP), etag='"one"')) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert came_whole(await fetched(fal, tmp_path, ready()), tmp_path)
    asked = server.requests[1].headers
    assert (asked["range"], asked["if-range"]) == (f"bytes={CUT}-", '"one"')


async def test_a_weak_etag_is_not_asked_with_for_it_does_not_speak_of_bytes(
    tmp_path: Path,
) -> None:
    async with (
        wire(cut_then(rest_of(CLIP), etag='W/"one"')) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert came_whole(await fetched(fal, tmp_path, ready()), tmp_path)
    assert "if-range" not in server.requests[1].headers


async def test_a_clip_that_is_broken_after_it_was_put_together_is_fetched_from_its_start(
    tmp_path: Path,
) -> None:
    async with (
        wire(cut_then(rest_of(SPOILT), etag='"one"')) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert came_whole(await fetched(fal, tmp_path, ready()), tmp_path)
    assert ["range" in seen.headers for seen in server.requests] == [False, True, False]


@pytest.mark.parametrize("off", [-len(CLIP) + 1, -100, -1, 1, 8, 10**9])
async def test_a_whole_clip_of_another_size_than_fal_says_is_kept(tmp_path: Path, off: int) -> None:
    """What proves a clip is Content-Length, its boxes and its pictures; fal's number is a hint."""
    async with (
        wire(says(200, CLIP, etag='"one"')) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert came_whole(await fetched(fal, tmp_path, ready(size=len(CLIP) + off)), tmp_path)
    assert [seen.headers.get("range") for seen in server.requests] == [None]


@pytest.mark.parametrize("most", [1, CUT, len(CLIP) - 1])
async def test_a_file_that_is_larger_than_any_clip_is_not_taken(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str, most: int
) -> None:
    emulator.add_fault(on="download", do="endless", extra_bytes=5_000_000)
    with pytest.raises(DownloadFailed, match=f"more than {most:,} bytes arrived"):
        await fetched(fal, tmp_path, ready(url), max_bytes=most)
    assert files(tmp_path) == []


async def test_a_clip_of_exactly_the_largest_size_is_taken(
    tmp_path: Path, fal: Fal, url: str
) -> None:
    assert came_whole(await fetched(fal, tmp_path, ready(url), max_bytes=len(CLIP)), tmp_path)


async def test_what_two_transfers_made_is_never_the_reason_to_give_a_clip_up(
    tmp_path: Path,
) -> None:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.connection == 1:
            writer.close()  # so that the last of all transfers is one that was put together
        elif "range" in seen.headers:
            writer.write(rest_of(SPOILT))
        else:
            writer.write(answer(200, CLIP)[: CUT - len(CLIP)])
            writer.close()

    overdue = replace(ready(), unfetched_since=datetime(2020, 1, 1, tzinfo=UTC))
    async with wire(behave) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        with pytest.raises(DownloadFailed):
            await fetched(fal, tmp_path, overdue)
    assert files(tmp_path) == []


async def test_without_an_etag_and_a_size_nothing_is_asked_for_from_the_middle(
    tmp_path: Path,
) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n" + CLIP[:CUT]

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if seen.connection == 1:
            writer.write(chunked)
            writer.close()
        else:
            writer.write(answer(200, CLIP))

    async with wire(behave) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        assert came_whole(await fetched(fal, tmp_path, ready()), tmp_path)
    assert [seen.headers.get("range") for seen in server.requests] == [None, None]


async def test_a_part_that_an_earlier_process_left_is_not_gone_on_with(
    tmp_path: Path, emulator: Emulator, fal: Fal, url: str
) -> None:
    (tmp_path / "clip-1.mp4.part").write_bytes(SPOILT[:CUT])
    assert came_whole(await fetched(fal, tmp_path, ready(url)), tmp_path)
    assert downloads(emulator) == (1, len(CLIP))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_somebody_put_under_the_name_of_a_part_is_not_written_to(
    tmp_path: Path, fal: Fal, url: str, kind: str
) -> None:
    output, outside = tmp_path / "videos", Outside(tmp_path / "outside")
    outside.plant(output / "clip-1.mp4.part", kind)
    if kind == "folder":
        with pytest.raises(DiskTrouble, match=r"clip-1\.mp4\.part is a folder.* run again"):
            await fetched(fal, output, ready(url))
    else:
        assert came_whole(await fetched(fal, output, ready(url)), output)
    assert outside.is_untouched


@pytest.mark.parametrize("kind", KINDS)
async def test_where_something_else_has_the_name_of_a_clip_it_takes_another(
    tmp_path: Path, fal: Fal, url: str, kind: str
) -> None:
    output, outside = tmp_path / "videos", Outside(tmp_path / "outside")
    outside.plant(output / "clip-1.mp4", kind)
    outcome = await fetched(fal, output, ready(url))
    assert outcome.artifact is not None
    assert outcome.artifact.path.name.startswith("clip-1-")
    assert outcome.artifact.path.read_bytes() == CLIP
    assert outside.is_untouched


async def test_a_fetch_that_fails_leaves_no_part(tmp_path: Path, emulator: Emulator) -> None:
    emulator.add_fault(on="download", do="reset")
    async with Fal.connect(connect_to=emulator.url, key=KEY) as fal:
        url = await fal.upload(CLIP, content_type="video/mp4", file_name="clip.mp4")
        with pytest.raises(DownloadFailed):
            await fetched(fal, tmp_path, ready(url))
    assert files(tmp_path) == []


async def test_a_folder_that_is_not_there_is_trouble_of_the_disk(
    tmp_path: Path, fal: Fal, url: str
) -> None:
    with pytest.raises(DiskTrouble, match=r"gone \(No such file or directory\).* --output"):
        await fetched(fal, tmp_path / "gone", ready(url))


async def test_a_clip_with_a_folder_in_its_name_lies_in_that_folder(
    tmp_path: Path, fal: Fal, url: str
) -> None:
    outcome = await fetched(fal, tmp_path, replace(ready(url), output_name="spring/rain/clip"))
    assert outcome.artifact is not None
    assert outcome.artifact.path == tmp_path / "spring" / "rain" / "clip.mp4"
    assert files(tmp_path / "spring" / "rain") == [outcome.artifact.path]


async def test_a_folder_that_leads_out_of_the_output_is_trouble_and_nothing_is_written_there(
    tmp_path: Path, fal: Fal, url: str
) -> None:
    output, outside = tmp_path / "videos", tmp_path / "outside"
    output.mkdir()
    outside.mkdir()
    (output / "spring").symlink_to(outside)
    with pytest.raises(DiskTrouble, match=r"leads out of .* --output"):
        await fetched(fal, output, replace(ready(url), output_name="spring/rain/clip"))
    assert files(outside) == []
