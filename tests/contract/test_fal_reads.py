"""Reads through fal's client: statuses as they come, results, cancellations, uploads."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from support.virtual import virtually
from support.wire import Seen, answer, drips, says, sends, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import AnotherRequest, Answered, Unintelligible, Unreachable
from tweenbatch.fal import Deadlines, Fal, video_of
from tweenbatch.fal.errors import failure_of, failure_of_status
from tweenbatch.records import Billed, Phase, RemoteStatus, Request

KEY = "canary-key-id:canary-key-secret"
O1 = "fal-ai/kling-video/o1/image-to-video"
ARGUMENTS = {"prompt": "Snow melts.", "start_image_url": "https://example.com/a.png"}
BASE = "https://queue.fal.run/fal-ai/kling-video/requests/r-1"
REQUEST = Request(
    request_id="r-1", status_url=f"{BASE}/status", response_url=BASE, cancel_url=f"{BASE}/cancel"
)
PNG = b"\x89PNG\r\n\x1a\n not really"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings()) as running:
        yield running


@pytest.fixture
async def fal(emulator: Emulator) -> AsyncIterator[Fal]:
    async with fal_at(emulator.url) as connected:
        yield connected


def fal_at(url: str) -> Fal:
    return Fal.connect(connect_to=url, key=KEY)


async def completed(fal: Fal, emulator: Emulator) -> Request:
    request = await fal.submit(O1, ARGUMENTS)
    await emulator.wait_for("completed", request_id=request.request_id)
    return request


async def test_a_request_is_followed_from_the_queue_to_its_clip(
    fal: Fal, emulator: Emulator
) -> None:
    emulator.add_fault(on="generation", do="hold", id="work")
    request = await fal.submit(O1, ARGUMENTS)
    await emulator.wait_for("held", fault="work")
    assert (await fal.status(request, logs=True)).phase is Phase.RUNNING
    emulator.release("work")
    await emulator.wait_for("completed")
    status = await fal.status(request, logs=True)
    assert status.phase is Phase.COMPLETED
    assert status.inference_seconds is not None
    assert status.logs
    assert failure_of_status(status) is None
    video = video_of(await fal.result(request))
    assert video.url.startswith("https://v3b.fal.media/files/")
    [accepted] = emulator.ledger()["accepted"]
    assert video.bytes == accepted["video"]["bytes"]
    assert video.content_type == "video/mp4"


async def test_the_result_is_read_once_and_without_a_look_at_the_status(
    fal: Fal, emulator: Emulator
) -> None:
    await fal.result(await completed(fal, emulator))
    calls = emulator.ledger(totals_only=True)["requests"]
    assert (calls["status"], calls["result"]) == (0, 1)


async def test_logs_are_asked_for_only_where_wanted(fal: Fal, emulator: Emulator) -> None:
    assert (await fal.status(await completed(fal, emulator), logs=False)).logs == ()


STATUSES: list[tuple[dict[str, Any], RemoteStatus]] = [
    ({"status": "IN_QUEUE", "queue_position": 3}, RemoteStatus(phase=Phase.QUEUED, position=3)),
    ({"status": "IN_QUEUE"}, RemoteStatus(phase=Phase.QUEUED)),
    ({"status": "IN_QUEUE", "queue_position": "soon"}, RemoteStatus(phase=Phase.QUEUED)),
    ({"status": "IN_PROGRESS"}, RemoteStatus(phase=Phase.RUNNING)),
    ({"status": "IN_PROGRESS", "logs": None}, RemoteStatus(phase=Phase.RUNNING)),
    (
        {"status": "IN_PROGRESS", "logs": [{"message": "one\x1b[2J"}, "two", 3, {}]},
        RemoteStatus(phase=Phase.RUNNING, logs=("one[2J", "two")),
    ),
    ({"status": "COMPLETED"}, RemoteStatus(phase=Phase.COMPLETED)),
    (
        {"status": "COMPLETED", "metrics": None, "error": {"a": 1}, "error_type": "internal_error"},
        RemoteStatus(phase=Phase.COMPLETED, error="{'a': 1}", error_type="internal_error"),
    ),
    (
        {"status": "COMPLETED", "metrics": {"inference_time": 61.5}, "logs": "odd"},
        RemoteStatus(phase=Phase.COMPLETED, inference_seconds=61.5),
    ),
    (
        {"status": "COMPLETED", "metrics": {"inference_time": "NaN"}},
        RemoteStatus(phase=Phase.COMPLETED),
    ),
]


@pytest.mark.parametrize(("body", "expected"), STATUSES, ids=[json.dumps(b) for b, _ in STATUSES])
async def test_a_status_is_taken_as_it_comes(body: dict[str, Any], expected: RemoteStatus) -> None:
    async with wire(says(202, body)) as server, fal_at(server.url) as fal:
        assert await fal.status(REQUEST, logs=True) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"7",
        b"{}",
        b'{"status": "PAUSED"}',
        b'{"status": ["IN_QUEUE"]}',
        b'{"status": null}',
        b"[" * 200_000,
    ],
)
async def test_a_status_that_is_none_is_reported_as_unintelligible(body: bytes) -> None:
    async with wire(says(200, body)) as server, fal_at(server.url) as fal:
        with pytest.raises(Unintelligible, match=r"unknown status|JSON"):
            await fal.status(REQUEST, logs=False)
        assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"null", b"{" * 9000])
async def test_a_result_that_is_no_object_is_reported_as_unintelligible(body: bytes) -> None:
    async with wire(says(200, body)) as server, fal_at(server.url) as fal:
        with pytest.raises(Unintelligible):
            await fal.result(REQUEST)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 408, 409, 410, 422, 429, 500, 502, 503, 504]
)
async def test_an_http_error_on_a_read_is_handed_over_after_one_request(status: int) -> None:
    error = says(status, b"<html>nginx</html>", x_fal_retryable="true")
    async with wire(error) as server, fal_at(server.url) as fal:
        for read in (fal.status(REQUEST, logs=False), fal.result(REQUEST)):
            with pytest.raises(Answered) as caught:
                await read
            assert caught.value.http_status == status
            assert caught.value.body == b"<html>nginx</html>"
            assert caught.value.headers["x-fal-retryable"] == "true"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "behave",
    [
        sends(b""),
        sends(b"", then="reset"),
        sends(b"", then="hang"),
        sends(answer(200, b"{}" * 50)[:-20]),
        drips(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n", seconds=1.0),
        sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_100_000),
        sends(b"SSH-2.0\r\n"),
    ],
    ids=["close", "reset", "hang", "half", "drip", "endless", "no HTTP"],
)
def test_trouble_on_a_read_is_unreachable_after_one_request(behave: Any) -> None:
    async def body() -> None:
        async with wire(behave) as server, fal_at(server.url) as fal:
            with pytest.raises(Unreachable):
                await fal.status(REQUEST, logs=False)
            assert len(server.requests) == 1

    virtually(body, within_seconds=Deadlines().read_seconds + 60)


async def test_a_read_is_not_redirected() -> None:
    async with wire(says(200, {})) as other:
        async with wire(says(302, b"", location=other.url)) as server, fal_at(server.url) as fal:
            with pytest.raises(Unintelligible, match="redirects"):
                await fal.result(REQUEST)
        assert other.requests == []


@pytest.mark.parametrize("status", [200, 404, 422, 500])
async def test_an_answer_about_another_request_is_never_taken(status: int) -> None:
    behave = says(status, {"detail": "No.", "error_type": "bad_request"}, x_fal_request_id="r-2")
    async with wire(behave) as server, fal_at(server.url) as fal:
        with pytest.raises(AnotherRequest, match="r-2"):
            await fal.result(REQUEST)


@pytest.mark.parametrize("named", ["r-1", "R-1", " r-1 ", ""])
async def test_an_answer_about_the_request_or_about_none_is_taken(named: str) -> None:
    behave = says(200, {"video": {}}, x_fal_request_id=named)
    async with wire(behave) as server, fal_at(server.url) as fal:
        assert await fal.result(REQUEST) == {"video": {}}


@pytest.mark.parametrize("named", ["r-2", "another"])
async def test_a_status_of_another_request_is_never_believed(named: str) -> None:
    body = {"status": "COMPLETED", "request_id": named, "error": "No."}
    async with wire(says(200, body)) as server, fal_at(server.url) as fal:
        with pytest.raises(AnotherRequest, match=named):
            await fal.status(REQUEST, logs=False)


@pytest.mark.parametrize("named", ["r-1", "R-1", "", None, 7])
async def test_a_status_of_the_request_or_of_none_is_believed(named: object) -> None:
    body = {"status": "COMPLETED", "request_id": named}
    async with wire(says(200, body)) as server, fal_at(server.url) as fal:
        assert (await fal.status(REQUEST, logs=False)).phase is Phase.COMPLETED


async def test_a_failed_generation_is_reported_by_the_result(fal: Fal, emulator: Emulator) -> None:
    emulator.add_fault(
        on="generation", do="fail", status=422, type="image_too_small", message="Too small."
    )
    request = await completed(fal, emulator)
    with pytest.raises(Answered) as caught:
        await fal.result(request)
    failure = failure_of(caught.value)
    assert failure is not None
    assert (failure.type, failure.http_status) == ("image_too_small", 422)
    assert failure.billed is Billed.UNKNOWN
    assert "Too small." in failure.message


async def test_a_crash_of_the_service_is_reported_by_status_and_result(
    fal: Fal, emulator: Emulator
) -> None:
    emulator.add_fault(
        on="generation", do="fail", status=500, type="internal_server_error", retryable=True
    )
    request = await completed(fal, emulator)
    announced = failure_of_status(await fal.status(request, logs=False))
    with pytest.raises(Answered) as caught:
        await fal.result(request)
    failure = failure_of(caught.value)
    assert announced is not None
    assert failure is not None
    assert failure.type == announced.type == "internal_server_error"
    assert failure.billed is announced.billed is Billed.NO
    assert failure.retryable is True


async def test_a_running_request_has_no_result_and_no_failure(fal: Fal, emulator: Emulator) -> None:
    emulator.add_fault(on="generation", do="hold")
    request = await fal.submit(O1, ARGUMENTS)
    with pytest.raises(Answered) as caught:
        await fal.result(request)
    assert caught.value.http_status == 400
    assert failure_of(caught.value) is None


async def test_a_waiting_request_can_be_cancelled_and_a_finished_one_not(
    fal: Fal, emulator: Emulator
) -> None:
    request = await completed(fal, emulator)
    assert await fal.cancel(request) is False
    emulator.add_fault(on="generation", do="hold")
    assert await fal.cancel(await fal.submit(O1, ARGUMENTS)) is True
    assert await fal.cancel(REQUEST) is False


async def test_trouble_while_cancelling_is_reported() -> None:
    async with wire(says(500, {})) as server, fal_at(server.url) as fal:
        with pytest.raises(Answered):
            await fal.cancel(REQUEST)
    [seen] = server.requests
    assert seen.method == "PUT"


async def test_reads_keep_their_connections_and_are_bounded_in_number() -> None:
    at_once = most = 0

    async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        writer.write(answer(200, b"{}"))

    async with wire(slow) as server, Fal.connect(connect_to=server.url, key=KEY) as fal:
        for _ in range(3):
            await asyncio.gather(*(fal.result(REQUEST) for _ in range(60)))
    assert len(server.requests) == 180
    assert most <= 20
    assert server.connections <= 20


async def test_an_upload_gives_a_canonical_url_and_the_bytes_arrive(
    fal: Fal, emulator: Emulator
) -> None:
    url = await fal.upload(PNG, content_type="image/png", file_name="frame.png")
    assert url.startswith("https://v3.fal.media/files/")
    [stored] = emulator.ledger()["uploads"]
    assert stored["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert stored["content_type"] == "image/png"


async def test_one_token_serves_many_uploads(fal: Fal, emulator: Emulator) -> None:
    for _ in range(3):
        await fal.upload(PNG, content_type="image/png", file_name="frame.png")
    calls = emulator.ledger(totals_only=True)["requests"]
    assert (calls["token"], calls["upload"]) == (1, 3)


TOKEN = {
    "token": "t0k3n",
    "token_type": "Bearer",
    "base_url": "https://v3.fal.media",
    "expires_at": "2999-01-01T00:00:00",
}


async def storage(seen: Seen, writer: asyncio.StreamWriter) -> None:
    told = TOKEN if "/token" in seen.target else {"access_url": "https://v3.fal.media/files/a.png"}
    writer.write(answer(200, json.dumps(told).encode()))


async def test_the_file_host_gets_its_own_token_and_never_the_key() -> None:
    async with wire(storage) as server, fal_at(server.url) as fal:
        await fal.upload(PNG, content_type="image/png", file_name="Straße ❄.png")
    token, upload = server.requests
    assert token.target == "/rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3"
    assert token.headers["authorization"] == f"Key {KEY}"
    assert upload.target == "/v3.fal.media/files/upload"
    assert upload.headers["authorization"] == "Bearer t0k3n"
    assert upload.headers["content-type"] == "image/png"
    assert upload.headers["x-fal-file-name"] == "Stra_e__.png"
    assert upload.body == PNG
    assert not any("canary" in value for value in upload.headers.values())


async def test_a_token_that_ran_out_by_the_servers_clock_is_replaced_once() -> None:
    uploads = 0

    async def strict(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal uploads
        uploads += "/upload" in seen.target
        if "/upload" in seen.target and uploads == 1:
            writer.write(answer(401, b'{"detail": "expired"}'))
        else:
            await storage(seen, writer)

    async with wire(strict) as server, fal_at(server.url) as fal:
        assert await fal.upload(PNG, content_type="image/png", file_name="a.png")
    assert [s.target.rpartition("/")[2][:6] for s in server.requests] == [
        "token?",
        "upload",
        "token?",
        "upload",
    ]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"on": "token", "do": "reply", "status": 401}, Answered),
        ({"on": "token", "do": "reply", "status": 200, "body": {}}, Unintelligible),
        ({"on": "token", "do": "reply", "status": 200, "body": "<html>"}, Unintelligible),
        ({"on": "token", "do": "change", "set": {"expires_at": "soon"}}, Unintelligible),
        ({"on": "token", "do": "reset"}, Unreachable),
        ({"on": "upload", "do": "reset"}, Unreachable),
        ({"on": "upload", "do": "hang"}, Unreachable),
        ({"on": "upload", "do": "half"}, Unreachable),
        ({"on": "upload", "do": "reply", "status": 500}, Answered),
        ({"on": "upload", "do": "reply", "status": 429}, Answered),
        ({"on": "upload", "do": "reply", "status": 200, "body": []}, Unintelligible),
        ({"on": "upload", "do": "reply", "status": 200, "body": {}}, Unintelligible),
        ({"on": "upload", "do": "change", "set": {"access_url": 7}}, Unintelligible),
        (
            {"on": "upload", "do": "change", "set": {"access_url": "https://evil.example/a.png"}},
            Unintelligible,
        ),
        (
            {"on": "upload", "do": "change", "set": {"access_url": "https://queue.fal.run/a"}},
            Unintelligible,
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_trouble_with_an_upload_is_reported_in_our_words_and_stored_nowhere_else(
    fault: dict[str, Any], error: type[Exception]
) -> None:
    async def body() -> None:
        async with Emulator(Settings()) as emulator, fal_at(emulator.url) as fal:
            emulator.add_fault(**fault)
            with pytest.raises(error):
                await fal.upload(PNG, content_type="image/png", file_name="a.png")
            assert emulator.ledger(totals_only=True)["requests"]["upload"] <= 1

    virtually(body)


@pytest.mark.parametrize(
    "result",
    [
        {}, {"video": None}, {"video": []}, {"video": "https://v3.fal.media/a"}, {"video": {}},
        {"video": {"url": None}}, {"video": {"url": 7}}, {"video": {"url": ""}},
        {"video": {"url": "file:///etc/passwd"}}, {"video": {"url": "http://v3.fal.media/a"}},
        {"video": {"url": "https://a:bad/"}}, {"video": {"url": "https:///a"}},
    ],
)  # fmt: skip
def test_a_result_without_a_readable_address_is_reported_as_unintelligible(
    result: dict[str, Any],
) -> None:
    with pytest.raises(Unintelligible):
        video_of(result)


@pytest.mark.parametrize("size", [None, -1, True, "27", 1.5])
def test_a_file_size_that_is_no_count_is_left_out(size: object) -> None:
    video = video_of({"video": {"url": "https://v3.fal.media/a", "file_size": size}})
    assert video.bytes is None
