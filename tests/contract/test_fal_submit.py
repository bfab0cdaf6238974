"""One submission is one POST, whatever the server does; and what its answer proves."""

import asyncio
import errno
import json
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpcore
import pytest

from support.virtual import virtually
from support.wire import Behaviour, Seen, answer, drips, says, sends, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import AccountRefused, NotSent, OutcomeUnknown, Refused, UsageError
from tweenbatch.fal import Deadlines, Fal

KEY = "canary-key-id:canary-key-secret"
O1 = "fal-ai/kling-video/o1/image-to-video"
ARGUMENTS = {"prompt": "Snow melts.", "start_image_url": "https://example.com/a.png"}
DEADLINE = Deadlines().submit_seconds
WITHIN = f"within {DEADLINE:g} seconds"
ACCEPTED = {
    "request_id": "r-1",
    "status_url": "https://queue.fal.run/fal-ai/kling-video/requests/r-1/status",
    "response_url": "https://queue.fal.run/fal-ai/kling-video/requests/r-1",
    "cancel_url": "https://queue.fal.run/fal-ai/kling-video/requests/r-1/cancel",
}


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Settings()) as running:
        yield running


def fal_at(url: str) -> Fal:
    return Fal.connect(connect_to=url, key=KEY)


async def test_an_accepted_submission_gives_the_request_with_canonical_urls(
    emulator: Emulator,
) -> None:
    async with fal_at(emulator.url) as fal:
        request = await fal.submit(O1, ARGUMENTS)
    base = f"https://queue.fal.run/fal-ai/kling-video/requests/{request.request_id}"
    assert request.response_url == base
    assert request.status_url == f"{base}/status"
    assert request.cancel_url == f"{base}/cancel"
    [post] = emulator.ledger()["post_list"]
    assert (post["endpoint_id"], post["input"]) == (O1, ARGUMENTS)
    assert post["request_id"] == request.request_id


FAULTS: list[tuple[dict[str, Any], type[Exception], int]] = [
    ({"do": "reset", "at": "arrival"}, OutcomeUnknown, 0),
    ({"do": "reset", "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "close", "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "half"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 500, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 502, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 503, "at": "arrival"}, OutcomeUnknown, 0),
    ({"do": "reply", "status": 504, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 408, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 409, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 200, "at": "reply", "body": "<html>"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 200, "at": "reply", "body": {}}, OutcomeUnknown, 1),
    ({"do": "change", "set": {"request_id": "../../x"}}, OutcomeUnknown, 1),
    ({"do": "change", "set": {"request_id": 7}}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 429}, NotSent, 0),
    ({"do": "reply", "status": 401}, AccountRefused, 0),
    ({"do": "lock"}, AccountRefused, 0),
    ({"do": "reply", "status": 303, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 307, "at": "reply"}, OutcomeUnknown, 1),
    ({"do": "reply", "status": 308}, OutcomeUnknown, 0),
    ({"do": "reply", "status": 400}, Refused, 0),
    ({"do": "reply", "status": 422}, OutcomeUnknown, 0),
]


@pytest.mark.parametrize(
    ("fault", "error", "accepted"), FAULTS, ids=[json.dumps(fault) for fault, *_ in FAULTS]
)
async def test_every_fault_is_one_post_and_one_judgement(
    emulator: Emulator, fault: dict[str, Any], error: type[Exception], accepted: int
) -> None:
    emulator.add_fault(on="submit", **fault)
    async with fal_at(emulator.url) as fal:
        with pytest.raises(error):
            await fal.submit(O1, ARGUMENTS)
    ledger = emulator.ledger(totals_only=True)
    assert (ledger["posts"], ledger["accepted_count"]) == (1, accepted)


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        ({"do": "hang", "at": "reply"}, 1),
        ({"do": "hang", "at": "arrival"}, 0),
        ({"do": "drip", "seconds": 1.0}, 1),
    ],
    ids=["reply", "arrival", "drip"],
)
def test_an_answer_that_never_comes_is_one_post_and_an_open_outcome(
    fault: dict[str, Any], accepted: int
) -> None:
    async def body() -> None:
        async with Emulator(Settings()) as emulator, fal_at(emulator.url) as fal:
            emulator.add_fault(on="submit", **fault)
            with pytest.raises(OutcomeUnknown, match=WITHIN):
                await fal.submit(O1, ARGUMENTS)
            ledger = emulator.ledger(totals_only=True)
            assert (ledger["posts"], ledger["accepted_count"]) == (1, accepted)

    virtually(body)


FALS_OWN: dict[str, Any] = {
    "text": {"detail": "User is locked. Reason: Exhausted balance."},
    "typed": {"detail": "No.", "error_type": "authorization_error"},
    "list": {"detail": [{"loc": ["body"], "msg": "bad", "type": "missing"}]},
}
OF_OTHERS: dict[str, Any] = {
    "page": "<html><body>Access denied by policy</body></html>",
    "nothing": "",
    "other JSON": {"error": {"message": "Forbidden"}},
    "no detail": {"detail": None},
    "a request": {"request_id": "r-1", "detail": "User is locked."},
    "text": "Forbidden",
    "a list": ["detail"],
}
REDIRECTS = (300, 301, 302, 303, 305, 307, 308)
AMBIGUOUS = (408, 409, 425, 499, 500, 501, 502, 503, 504, 507, 520, 522, 524, 530, 599)
OF_A_PROXY = (407,)
REFUSES_ALL = (401, 402, 403)
REFUSES_ONE = (400, 404, 405, 406, 410, 411, 412, 413, 414, 415, 418, 421, 422, 426, 431, 451)


def proven_by(status: int, *, fals_own: bool) -> type[Exception]:
    """What an answer proves, as the paper has it: in doubt nothing."""
    if fals_own and status in REFUSES_ALL:
        return AccountRefused
    return Refused if fals_own and status in REFUSES_ONE else OutcomeUnknown


@pytest.mark.parametrize("at", ["arrival", "reply"])
@pytest.mark.parametrize(
    ("fals_own", "body"),
    [
        *(pytest.param(True, body, id=f"fal's {name}") for name, body in FALS_OWN.items()),
        *(pytest.param(False, body, id=f"others' {name}") for name, body in OF_OTHERS.items()),
    ],
)
async def test_only_fals_own_words_refuse_whatever_the_status(
    emulator: Emulator, at: str, body: Any, *, fals_own: bool
) -> None:
    statuses = (*REDIRECTS, *AMBIGUOUS, *OF_A_PROXY, *REFUSES_ALL, *REFUSES_ONE)
    async with fal_at(emulator.url) as fal:
        for posts, status in enumerate(statuses, start=1):
            emulator.script(
                [{"on": "submit", "do": "reply", "status": status, "at": at, "body": body}]
            )
            with pytest.raises(proven_by(status, fals_own=fals_own)) as caught:
                await fal.submit(O1, {**ARGUMENTS, "prompt": f"prompt {status}"})
            ledger = emulator.ledger(totals_only=True)
            assert ledger["posts"] == posts
            assert ledger["accepted_count"] == (posts if at == "reply" else 0)
            if isinstance(caught.value, OutcomeUnknown):
                names_request = isinstance(body, dict) and "request_id" in body
                persists = status not in AMBIGUOUS and not names_request
                assert caught.value.stops == persists, status


async def test_a_type_in_the_header_makes_an_answer_fals_own(emulator: Emulator) -> None:
    refusal = {"status": 403, "body": "no JSON", "headers": {"X-Fal-Error-Type": "locked"}}
    emulator.add_fault(on="submit", do="reply", **refusal)
    async with fal_at(emulator.url) as fal:
        with pytest.raises(AccountRefused):
            await fal.submit(O1, ARGUMENTS)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.EAGAIN])
async def test_what_fails_before_the_first_byte_is_proof_that_nothing_was_sent(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(httpcore.AsyncConnectionPool, "handle_async_request", fail)
    async with fal_at(emulator.url) as fal:
        with pytest.raises(NotSent) as caught:
            await fal.submit(O1, ARGUMENTS)
    named = "too many open files: raise `ulimit -n`" in str(caught.value)
    assert named == (error != errno.EAGAIN)


async def test_the_same_after_the_first_byte_proves_nothing(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(httpcore.AsyncHTTP11Connection, "_receive_response_headers", fail)
    async with fal_at(emulator.url) as fal:
        with pytest.raises(OutcomeUnknown):
            await fal.submit(O1, ARGUMENTS)
    await emulator.wait_for("accepted")


async def test_too_many_open_files_are_called_so_and_prove_that_nothing_was_sent(
    emulator: Emulator,
) -> None:
    async with fal_at(emulator.url) as fal:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            with pytest.raises(NotSent, match="too many open files: raise `ulimit -n`"):
                await fal.submit(O1, ARGUMENTS)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for each in taken:
                os.close(each)
    assert emulator.ledger()["posts"] == 0


async def test_nothing_listening_is_proof_that_nothing_was_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with fal_at(url) as fal:
            with pytest.raises(NotSent, match=r"no connection to queue\.fal\.run") as caught:
                await fal.submit(O1, ARGUMENTS)
    assert not caught.value.reached
    assert caught.value.retry_after_seconds is None


async def test_a_connection_cut_while_the_request_is_read_leaves_the_outcome_open() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server, fal_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as fal:
        with pytest.raises(OutcomeUnknown):
            await fal.submit(O1, ARGUMENTS)


UNREADABLE: list[tuple[str, Behaviour]] = [
    ("half a status line", sends(b"HTTP/1.1 2")),
    ("no HTTP at all", sends(b"SSH-2.0-OpenSSH\r\n")),
    ("headers only", sends(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n")),
    ("half a body, then a reset", sends(answer(200, b'{"request_id"')[:-3], then="reset")),
    ("an endless body", sends(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_100_000)),
    ("deep JSON", says(200, b"[" * 200_000)),
    ("a huge number", says(200, b'{"request_id": ' + b"9" * 5000 + b"}")),
    ("a list", says(200, [])),
    ("no content", sends(b"HTTP/1.1 204 No Content\r\n\r\n", then="hang")),
    ("a bad gzip", says(200, b"{}", content_encoding="gzip")),
]


@pytest.mark.parametrize("behave", [b for _, b in UNREADABLE], ids=[n for n, _ in UNREADABLE])
async def test_an_answer_that_can_not_be_read_leaves_the_outcome_open(behave: Behaviour) -> None:
    async with wire(behave) as server, fal_at(server.url) as fal:
        with pytest.raises(OutcomeUnknown):
            await fal.submit(O1, ARGUMENTS)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behave",
    [
        sends(b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n", then="hang"),
        drips(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", seconds=1.0),
    ],
    ids=["silence", "drip"],
)
def test_the_deadline_ends_an_answer_that_does_not_end(behave: Behaviour) -> None:
    async def body() -> None:
        async with wire(behave) as server, fal_at(server.url) as fal:
            with pytest.raises(OutcomeUnknown, match=WITHIN):
                await fal.submit(O1, ARGUMENTS)
            assert len(server.requests) == 1

    virtually(body, within_seconds=DEADLINE + 60)


async def test_what_came_of_an_unreadable_answer_is_kept_clean_up_to_four_kilobytes() -> None:
    page = b"\x1b[2J<html>\n" + b"x" * 9000
    async with wire(says(200, page)) as server, fal_at(server.url) as fal:
        with pytest.raises(OutcomeUnknown) as caught:
            await fal.submit(O1, ARGUMENTS)
    assert caught.value.http_status == 200
    assert caught.value.body == ("[2J<html> " + "x" * 9000)[:4095] + "…"


async def test_the_half_of_an_answer_that_came_is_kept() -> None:
    whole = answer(200, json.dumps(ACCEPTED).encode())
    async with wire(sends(whole[:-40])) as server, fal_at(server.url) as fal:
        with pytest.raises(OutcomeUnknown) as caught:
            await fal.submit(O1, ARGUMENTS)
    assert '"request_id": "r-1"' in caught.value.body


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("100000", 600, 600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(header: str, least: float, most: float) -> None:
    limit = says(429, {"detail": "Too many requests"}, retry_after=header)
    async with wire(limit) as server, fal_at(server.url) as fal:
        with pytest.raises(NotSent, match="Too many requests") as caught:
            await fal.submit(O1, ARGUMENTS)
    assert caught.value.reached
    assert caught.value.retry_after_seconds is not None
    assert least <= caught.value.retry_after_seconds <= most


async def test_a_rate_limit_may_name_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    async with wire(says(429, {}, retry_after=until)) as server, fal_at(server.url) as fal:
        with pytest.raises(NotSent) as caught:
            await fal.submit(O1, ARGUMENTS)
    assert caught.value.retry_after_seconds is not None
    assert 30 <= caught.value.retry_after_seconds <= 91


async def test_urls_of_another_form_than_expected_are_kept_as_fal_gave_them() -> None:
    async def tell(seen: Seen, writer: asyncio.StreamWriter) -> None:
        base = f"http://{seen.headers['host']}/queue.fal.run/another/form/r-1"
        told = {"request_id": "r-1", "status_url": f"{base}/s", "response_url": base}
        writer.write(answer(200, json.dumps(told).encode()))

    async with wire(tell) as server, fal_at(server.url) as fal:
        request = await fal.submit(O1, ARGUMENTS)
    assert request.status_url == "https://queue.fal.run/another/form/r-1/s"
    assert request.response_url == "https://queue.fal.run/another/form/r-1"
    assert request.cancel_url == ACCEPTED["cancel_url"]


async def test_a_locked_account_is_reported_in_fals_own_words(emulator: Emulator) -> None:
    emulator.add_fault(on="submit", do="lock")
    async with fal_at(emulator.url) as fal:
        with pytest.raises(AccountRefused, match="Exhausted balance") as caught:
            await fal.submit(O1, ARGUMENTS)
    assert caught.value.http_status == 403


async def test_a_redirect_names_its_target_and_the_body_goes_nowhere() -> None:
    async with wire(says(200, ACCEPTED)) as other:
        moved = says(307, b"", location=f"{other.url}/steal")
        async with wire(moved) as server, fal_at(server.url) as fal:
            with pytest.raises(OutcomeUnknown, match=r"redirects to 127\.0\.0\.1") as caught:
                await fal.submit(O1, ARGUMENTS)
        assert (len(server.requests), len(other.requests)) == (1, 0)
    assert caught.value.stops


async def test_each_submission_has_a_connection_of_its_own() -> None:
    async with wire(says(200, ACCEPTED)) as server, fal_at(server.url) as fal:
        for _ in range(3):
            await fal.submit(O1, ARGUMENTS)
        await asyncio.gather(*(fal.submit(O1, ARGUMENTS) for _ in range(5)))
    assert (server.connections, len(server.requests)) == (8, 8)


async def test_the_body_is_the_arguments_and_the_key_is_in_the_header_only() -> None:
    async with wire(says(200, ACCEPTED)) as server, fal_at(server.url) as fal:
        await fal.submit(O1, {"prompt": "Schnee schmilzt. ❄️", "duration": "5"})
    [seen] = server.requests
    assert seen.target == f"/queue.fal.run/{O1}"
    assert seen.headers["authorization"] == f"Key {KEY}"
    assert json.loads(seen.body) == {"prompt": "Schnee schmilzt. ❄️", "duration": "5"}
    assert KEY.encode() not in seen.body


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/requests/r-1/status",
        "https://queue.fal.run.evil.example/x",
        "https://user:pass@queue.fal.run/x",
        "http://queue.fal.run/x",
        "https://queue.fal.run:8443/x",
        "//evil.example/x",
        "http://[bad",
        "",
        None,
        7,
    ],
)
async def test_a_foreign_url_gives_way_to_the_one_that_the_id_makes(url: object) -> None:
    told = {**ACCEPTED, "status_url": url, "response_url": url}
    async with wire(says(200, told)) as server, fal_at(server.url) as fal:
        request = await fal.submit(O1, ARGUMENTS)
    assert request.status_url == ACCEPTED["status_url"]
    assert request.response_url == ACCEPTED["response_url"]


@pytest.mark.parametrize(
    "endpoint", ["", "o1", "a/../b", "a/b?x=1", "a/b#x", "https://x/y", "a//b"]
)
async def test_a_name_that_is_no_endpoint_is_not_sent(endpoint: str) -> None:
    async with wire(says(200, ACCEPTED)) as server, fal_at(server.url) as fal:
        with pytest.raises(UsageError):
            await fal.submit(endpoint, ARGUMENTS)
        assert server.requests == []


async def test_text_that_can_not_be_encoded_is_refused_before_it_is_sent() -> None:
    async with wire(says(200, ACCEPTED)) as server, fal_at(server.url) as fal:
        with pytest.raises(Refused, match="lone surrogates"):
            await fal.submit(O1, {"prompt": "\ud800"})
        assert server.requests == []


async def test_a_cancelled_submission_is_not_sent_again() -> None:
    arrived = asyncio.Event()

    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with wire(hang) as server, fal_at(server.url) as fal:
        task = asyncio.create_task(fal.submit(O1, ARGUMENTS))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(server.requests) == 1
