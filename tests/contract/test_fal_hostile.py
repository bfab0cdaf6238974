"""Answers made to break their reader end in a record or in an error of ours, soon."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.canary import KEY
from support.wire import says, wire
from tweenbatch.errors import Answered, OutcomeUnknown, TweenbatchError, Unintelligible, Unreachable
from tweenbatch.fal import Deadlines, Fal, request_of, video_of
from tweenbatch.fal.errors import failure_of, failure_of_status, shown
from tweenbatch.models import KLING_O1
from tweenbatch.records import PastRequest, RemoteStatus, Request

O1 = KLING_O1.id
REQUEST = request_of(O1, "r-1")
LARGEST = 2**63 - 1
SECONDS = 10.0

depths = st.sampled_from([3, 90, 101, 300, 480, 900, 990, 1100, 5_000, 100_000])
hostile = st.one_of(
    depths.map(lambda n: "[" * n + "]" * n),
    depths.map(lambda n: '{"a":' * n + "1" + "}" * n),
    st.sampled_from([19, 30, 308, 310, 4299, 4301, 100_000]).map("9".__mul__),
    st.sampled_from(["1e999", "-1e999", "NaN", "-Infinity", "-1", "1.5", "null", "true", "[]"]),
    st.sampled_from(['"\\ud800"', '"\\u001b[2J"', '"../../etc"', '"\\u0000"', '"file:///a"', '""']),
)

ANSWERS = {
    "submit": '{"request_id": "r-1", "status_url": %s, "response_url": %s, "cancel_url": %s}',
    "status": '{"status": "COMPLETED", "logs": %s, "metrics": {"inference_time": %s}, "error": %s}',
    "queue": '{"status": "IN_QUEUE", "queue_position": %s, "logs": [%s], "more": %s}',
    "phase": '{"status": %s, "logs": [{"message": %s}], "error_type": %s}',
    "result": '{"video": {"url": "https://v3.fal.media/a", "file_size": %s}, "a": %s, "b": %s}',
    "video": '{"video": %s, "videos": [%s, %s]}',
    "id": '{"request_id": %s, "status_url": %s, "more": %s}',
    "token": '{"token": %s, "token_type": %s, "base_url": "", "expires_at": %s}',
    "history": '{"items": [{"request_id": "r", "sent_at": "2026-01-01", "status_code": %s,'
    ' "json_input": %s, "json_output": %s}], "has_more": false}',
    "page": '{"items": %s, "next_cursor": %s, "has_more": %s}',
}
CALLS: dict[str, Callable[[Fal], Awaitable[Any]]] = {
    "submit": lambda fal: fal.submit(O1, {"prompt": "x"}),
    "status": lambda fal: fal.status(REQUEST, logs=True),
    "result": lambda fal: fal.result(REQUEST),
    "cancel": lambda fal: fal.cancel(REQUEST),
    "token": lambda fal: fal.upload(b"png", content_type="image/png", file_name="a.png"),
    "history": lambda fal: fal.history(O1, since=datetime(2026, 1, 1, tzinfo=UTC)),
}
CALL_OF = {"queue": "status", "phase": "status", "video": "result", "id": "submit"}
CALL_OF |= {"page": "history"}


async def ask(call: str, body: bytes, status: int = 200) -> Any:
    """Return what a call makes of the answer: a value, or an error of ours."""
    async with wire(says(status, body)) as server:
        fal = Fal.connect(connect_to=server.url, key=KEY, deadlines=Deadlines(read_seconds=5))
        async with fal, asyncio.timeout(SECONDS):
            try:
                return await CALLS[call](fal)
            except TweenbatchError as error:
                return error


def use(found: Any) -> None:
    """Do what the program does with it."""
    match found:
        case Answered():
            failure_of(found)
        case TweenbatchError():
            str(found).encode()
        case RemoteStatus():
            failure_of_status(found)
            assert found.inference_seconds is None or found.inference_seconds < 1e999
        case Request():
            assert found.request_id == "r-1"
        case [[*items], _]:
            for item in items:
                assert isinstance(item, PastRequest)
                assert item.http_status is None or item.http_status < 1000
        case {}:
            shown(found).encode()
            try:
                video = video_of(found)
            except Unintelligible:
                return
            assert video.bytes is None or video.bytes <= LARGEST
        case bool():
            pass  # whether fal took the cancellation
        case _:
            pytest.fail(f"an unexpected {type(found)}")


@pytest.mark.parametrize("kind", ANSWERS)
def test_deep_and_huge_json_is_a_record_or_an_error_of_ours(kind: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.tuples(hostile, hostile, hostile))
    def check(values: tuple[str, str, str]) -> None:
        body = ANSWERS[kind] % values
        use(asyncio.run(ask(CALL_OF.get(kind, kind), body.encode())))

    check()


@pytest.mark.parametrize("call", CALLS)
@settings(max_examples=25, deadline=None)
@given(value=hostile, status=st.sampled_from([400, 403, 422, 429, 500]))
def test_a_deep_or_huge_error_is_an_error_of_ours(call: str, value: str, status: int) -> None:
    for body in (value, f'{{"detail": {value}}}', f'{{"detail": [{{"msg": {value}}}]}}'):
        use(asyncio.run(ask(call, body.encode(), status)))


@pytest.mark.parametrize("call", CALLS)
async def test_an_answer_of_more_than_ten_megabytes_is_not_taken_in(call: str) -> None:
    found = await ask(call, b" " * 10_000_001)
    assert isinstance(found, OutcomeUnknown if call == "submit" else Unreachable)
    assert "longer than 10,000,000 bytes" in str(found)


def test_pythons_own_limit_on_long_numbers_is_in_force() -> None:
    assert 0 < sys.get_int_max_str_digits() <= 4300
