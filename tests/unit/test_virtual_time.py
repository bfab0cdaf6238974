"""The tests' own time: made, in order, and the same for the same seed."""

import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.virtual import ONE_SEED, SEEDS, VirtualClock, seeds, virtually
from support.world import NOON, world

HOUR = 3600.0


def now() -> float:
    return asyncio.get_running_loop().time()


def test_an_hour_passes_at_once_and_to_the_second() -> None:
    async def body() -> float:
        await asyncio.sleep(HOUR)
        return now()

    assert virtually(body) == HOUR


def test_timers_go_off_in_the_order_of_their_time() -> None:
    async def body() -> list[float]:
        seen: list[float] = []

        async def wait(seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(seconds)

        await asyncio.gather(wait(30.0), wait(HOUR), wait(0.5))
        return seen

    assert virtually(body) == [0.5, 30.0, HOUR]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


def test_no_time_passes_while_bytes_are_on_their_way() -> None:
    async def body() -> float:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for _ in range(500):
                writer.write(b"here\n")
                async with asyncio.timeout(HOUR):
                    assert await reader.readline() == b"here\n"
            writer.close()
            await writer.wait_closed()
            return now()

    assert virtually(body) == 0.0


def test_a_peer_that_is_silent_runs_into_the_deadline() -> None:
    async def body() -> float:
        silent, other = socket.socketpair()
        with silent, other:
            silent.setblocking(False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(60.0):
                    await asyncio.get_running_loop().sock_recv(silent, 1)
        return now()

    assert virtually(body) == 60.0


def test_work_in_a_thread_is_waited_for_however_long_it_takes() -> None:
    async def body() -> float:
        async with asyncio.timeout(1.0):
            assert await asyncio.to_thread(sum, range(3_000_000)) == 4_499_998_500_000
        return now()

    assert 0.0 < virtually(body) < 0.1


def test_an_error_in_a_thread_comes_to_whoever_waits() -> None:
    async def body() -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.to_thread(int, "no number")

    virtually(body)


def test_calls_to_one_thread_end_in_their_order_and_not_at_once() -> None:
    async def body() -> tuple[list[int], float]:
        ended: list[int] = []
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            calls = [loop.run_in_executor(thread, abs, number) for number in range(50)]
            for call in calls:
                call.add_done_callback(lambda done: ended.append(done.result()))
            await asyncio.gather(*calls)
        return ended, now()

    ended, seconds = virtually(body)
    assert ended == list(range(50))
    assert seconds > 50 * 0.0002


def test_a_call_to_a_thread_is_carried_out_whoever_is_cancelled() -> None:
    async def body() -> list[int]:
        written: list[int] = []
        call = asyncio.create_task(asyncio.to_thread(written.append, 1))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        await asyncio.to_thread(int)
        return written

    assert virtually(body) == [1]


def test_a_jump_moves_the_wall_time_alone() -> None:
    async def body() -> None:
        clock, ahead = VirtualClock(NOON), VirtualClock(NOON, skew=300.0)
        await clock.sleep(60.0)
        clock.jump(-HOUR)
        assert clock.now() == NOON + timedelta(seconds=60.0 - HOUR)
        assert ahead.now() == NOON + timedelta(seconds=360.0)
        assert clock.monotonic() == ahead.monotonic() == 60.0

    virtually(body)


def test_a_failure_names_its_seed() -> None:
    async def body() -> None:
        raise LookupError

    with pytest.raises(LookupError) as failure:
        virtually(body, seed=7)
    assert failure.value.__notes__ == ["replay it with TWEENBATCH_TEST_SEED=7"]


def test_a_body_that_comes_to_no_end_is_a_failure() -> None:
    async def body() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as failure:
        virtually(body, within_seconds=7 * 24 * HOUR)
    assert failure.value.__notes__


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, [0, 1, 2]),
        ({SEEDS: "5"}, [0, 1, 2, 3, 4]),
        ({ONE_SEED: "41"}, [41]),
        ({ONE_SEED: "0", SEEDS: "5"}, [0]),
    ],
)
def test_the_environment_chooses_the_seeds(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: list[int]
) -> None:
    for name in (ONE_SEED, SEEDS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert seeds(3) == expected


def _played(folder: Path, seed: int) -> list[dict[str, Any]]:
    folder.mkdir()

    async def body() -> list[dict[str, Any]]:
        async with world(folder, rows=4, seed=seed) as played:
            await played.run()
            assert played.fal is not None
            return played.fal.events()

    return virtually(body, seed=seed)


def test_one_seed_plays_the_same_events_and_another_one_others(tmp_path: Path) -> None:
    first = _played(tmp_path / "first", 1)
    assert _played(tmp_path / "again", 1) == first
    assert _played(tmp_path / "other", 2) != first


def test_runs_follow_each_other_in_one_world_whose_fal_may_go_and_come(tmp_path: Path) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=3, fal_skew=300.0) as played:
            assert (await played.run(limit=2)).exit_code == 3
            await played.close_fal()
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", played.port))
            await asyncio.sleep(HOUR)
            played.script({"on": "status", "do": "reply", "status": 500, "times": 1})
            await played.open_fal()
            assert (await played.run()).exit_code == 0
            assert played.states() == {"succeeded": 3}
            ledger = played.ledger()
            assert (ledger["accepted_count"], ledger["faults"][0]["fired"]) == (3, 1)
            first, *_, last = (post["at"] for post in ledger["post_list"])
            assert first.startswith("2026-03-01T12:05")
            assert last.startswith("2026-03-01T13:05")

    virtually(body)


def test_the_loop_leaves_no_thread_behind() -> None:
    virtually(lambda: asyncio.to_thread(int))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("virtual")]
