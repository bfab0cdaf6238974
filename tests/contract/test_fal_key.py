"""The key goes to fal's own hosts, in one header, and shows up nowhere else."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import fal_client.auth
import httpx
import pytest

from support.virtual import virtually
from support.wire import Behaviour, Seen, answer, says, sends, wire
from tweenbatch.errors import MissingKey, TweenbatchError, Unintelligible, UsageError
from tweenbatch.fal import Deadlines, Fal
from tweenbatch.fal.addresses import Addresses
from tweenbatch.fal.exchange import trust
from tweenbatch.fal.transport import FalTransport
from tweenbatch.records import Request

SECRET = "canary-key-secret"
KEY = f"canary-key-id:{SECRET}"
O1 = "fal-ai/kling-video/o1/image-to-video"


def fal_at(url: str, key: str = KEY) -> Fal:
    return Fal.connect(connect_to=url, key=key)


def request_at(url: str) -> Request:
    return Request(request_id="r-1", status_url=url, response_url=url, cancel_url=url)


FOREIGN = [
    "https://evil.example/x",
    "https://queue.fal.run.evil.example/x",
    "https://queue.falrun.com/x",
    "https://fal.run/x",
    "https://user:pass@queue.fal.run/x",
    "https://queue.fal.run:8443/x",
    "https://v3.fal.media/x",
    "https://v3b.fal.media/x",
    "http://queue.fal.run/x",
    "http://127.0.0.1:1/x",
    "ftp://queue.fal.run/x",
    "//queue.fal.run/x",
    "https://a:bad/",
    "",
]


@pytest.mark.parametrize("url", FOREIGN)
@pytest.mark.parametrize("on_loopback", [True, False])
async def test_a_stored_address_outside_fal_is_not_connected_to(
    url: str, *, on_loopback: bool
) -> None:
    async with (
        wire(says(200, {})) as server,
        Fal.connect(connect_to=server.url if on_loopback else None, key=KEY) as fal,
    ):
        request = request_at(url)
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: fal.status(request, logs=True),
            lambda: fal.result(request),
            lambda: fal.cancel(request),
        ]
        for call in calls:
            with pytest.raises(Unintelligible):
                await call()
    assert server.connections == 0


@pytest.mark.parametrize("request_id", ["../../etc/passwd", "", "a/b", "a?b", "a\n", "x" * 201])
@pytest.mark.parametrize("url", ["https://queue.fal.run/a/b/requests/r-1", "https://rest.fal.ai/x"])
async def test_a_stored_request_that_is_none_of_the_queue_is_not_followed(
    request_id: str, url: str
) -> None:
    request = Request(request_id=request_id, status_url=url, response_url=url, cancel_url=url)
    async with wire(says(200, {"status": "COMPLETED"})) as server, fal_at(server.url) as fal:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: fal.status(request, logs=True),
            lambda: fal.result(request),
            lambda: fal.cancel(request),
        ]
        for call in calls:
            with pytest.raises(Unintelligible, match="not a request in fal's queue"):
                await call()
        assert server.connections == 0


@pytest.mark.parametrize("url", ["https://rest.fal.ai/x", "https://api.fal.ai/x"])
async def test_a_stored_address_of_another_host_of_fal_is_not_followed(url: str) -> None:
    async with wire(says(200, {"status": "COMPLETED"})) as server, fal_at(server.url) as fal:
        with pytest.raises(Unintelligible):
            await fal.cancel(request_at(url))
        assert server.connections == 0


async def test_another_server_named_by_a_submission_never_hears_of_the_key() -> None:
    async with wire(says(200, {"status": "COMPLETED"})) as thief:
        told = {
            "request_id": "r-1",
            **{f"{name}_url": f"{thief.url}/{name}" for name in ("status", "response", "cancel")},
        }
        async with wire(says(200, told)) as server, fal_at(server.url) as fal:
            request = await fal.submit(O1, {"prompt": "x"})
            assert request.status_url.startswith("https://queue.fal.run/")
            for stolen in (request_at(f"{thief.url}/x"), request_at(f"{thief.url}/queue.fal.run")):
                with pytest.raises(Unintelligible):
                    await fal.result(stolen)
        assert thief.connections == 0


async def test_the_key_is_kept_from_the_file_host_even_if_it_is_its_token() -> None:
    async def sly(seen: Seen, writer: asyncio.StreamWriter) -> None:
        token = {"token": KEY, "token_type": "Key", "base_url": "", "expires_at": "2999-01-01"}
        assert "/token" in seen.target
        writer.write(answer(200, json.dumps(token).encode()))

    async with wire(sly) as server, fal_at(server.url) as fal:
        # The echo of the key is struck out, so that not the key but stars would be sent.
        with pytest.raises((Unintelligible, TweenbatchError)):
            await fal.upload(b"x", content_type="image/png", file_name="a.png")
    assert not any(
        SECRET in seen.headers.get("authorization", "")
        for seen in server.requests
        if "v3.fal.media" in seen.target
    )


async def test_the_client_of_the_file_host_does_not_know_the_key() -> None:
    async with fal_at("http://127.0.0.1:1") as fal, fal._client._cdn_client() as client:
        assert "authorization" not in client.headers


async def test_the_transport_refuses_to_carry_the_key_to_a_file_host() -> None:
    transport = FalTransport(key=KEY, addresses=Addresses(), context=trust(), deadlines=Deadlines())
    for value in (f"Key {KEY}", f"Bearer {SECRET}"):
        request = httpx.Request("POST", "https://v3.fal.media/x", headers={"Authorization": value})
        with pytest.raises(Unintelligible, match="must not receive the key"):
            await transport.handle_async_request(request)
    await transport.aclose()


ECHO = f"<pre>Authorization: Key {KEY} / {SECRET}</pre>".encode()


def behaviours() -> dict[str, Behaviour]:
    def echo(status: int) -> Behaviour:
        detail = json.dumps({"detail": ECHO.decode(), "error_type": KEY}).encode()
        return says(status, detail, x_echo=KEY, x_fal_error_type=KEY, location=f"https://{SECRET}/")

    return {
        "reset": sends(b"", then="reset"),
        "hang": sends(b"", then="hang"),
        "html": says(200, ECHO),
        "half": sends(answer(200, ECHO)[:-5]),
        **{str(status): echo(status) for status in (200, 307, 400, 401, 403, 422, 429, 500, 502)},
    }


def everything_visible(error: BaseException) -> str:
    """What a person or a report could come to see of an error: words, values, frames, locals."""
    shown: list[str] = []
    seen: set[int] = set()

    def look(one: BaseException | None) -> None:
        if one is None or id(one) in seen:
            return
        seen.add(id(one))
        shown.extend([str(one), repr(one), repr(vars(one)), repr(one.args)])
        found = traceback.TracebackException.from_exception(one, capture_locals=True)
        # The test's own frames know the key; what is looked at begins below them.
        shown.extend(
            f"{frame.filename}:{frame.name}: {frame.locals}"
            for frame in found.stack
            if "/tests/" not in frame.filename
        )
        look(one.__cause__)
        look(one.__context__)

    look(error)
    return "\n".join(shown)


@pytest.mark.parametrize("name", behaviours())
def test_no_error_shows_the_key(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    # At this level httpcore writes down the headers of answers, an echo of the key included.
    caplog.set_level(logging.INFO, logger="httpcore")
    base = "https://queue.fal.run/fal-ai/kling-video/requests/r-1"

    async def body() -> None:
        async with wire(behaviours()[name]) as server, fal_at(server.url) as fal:
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda: fal.submit(O1, {"prompt": "x"}),
                lambda: fal.status(request_at(base), logs=True),
                lambda: fal.result(request_at(base)),
                lambda: fal.cancel(request_at(base)),
                lambda: fal.upload(b"x", content_type="image/png", file_name="a.png"),
            ]
            for call in calls:
                try:
                    shown = repr(await call())
                except TweenbatchError as error:
                    shown = everything_visible(error)
                assert SECRET not in shown
            assert SECRET not in repr(fal)
            assert SECRET not in repr(vars(fal))

    virtually(body)
    assert SECRET not in caplog.text


async def test_a_key_as_short_as_a_word_spoils_no_answer() -> None:
    said = {"request_id": "b1b-0", "status_url": "", "response_url": "", "cancel_url": ""}
    async with (
        wire(says(200, json.dumps(said).encode())) as server,
        fal_at(server.url, key="a:b") as fal,
    ):
        request = await fal.submit(O1, {"prompt": "x"})
    assert request.request_id == "b1b-0"
    assert request.status_url.startswith("https://queue.fal.run/fal-ai/kling-video/")


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f" {KEY}", f"{SECRET} x", f"é{SECRET}", f"{SECRET}\0", f"{SECRET}❄"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="FAL_KEY") as caught:
        Fal.connect(key=key)
    assert SECRET not in repr(caught.value)
    if "\0" not in key:
        monkeypatch.setenv("FAL_KEY", key)
        with pytest.raises(UsageError, match="FAL_KEY") as caught:
            Fal.connect()
        assert SECRET not in repr(caught.value)


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "FAL_FORCE_AUTH_BY_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FAL_HOME_DIR", str(tmp_path))


@pytest.mark.usefixtures("no_key")
def test_a_missing_key_is_reported_in_one_line_that_names_both_ways_on() -> None:
    for key in (None, ""):
        with pytest.raises(MissingKey) as caught:
            Fal.connect(key=key)
        message = str(caught.value)
        assert "FAL_KEY" in message
        assert "--rehearse" in message
        assert "\n" not in message


@pytest.mark.usefixtures("no_key")
async def test_the_key_is_found_where_fals_own_client_finds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAL_KEY_ID", "canary-key-id")
    monkeypatch.setenv("FAL_KEY_SECRET", SECRET)
    async with wire(says(200, {})) as server, Fal.connect(connect_to=server.url) as fal:
        await fal.result(request_at("https://queue.fal.run/x"))
    assert server.requests[0].headers["authorization"] == f"Key {KEY}"


@pytest.mark.usefixtures("no_key")
def test_a_login_that_has_ended_is_reported_as_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended() -> None:
        raise fal_client.auth.MissingCredentialsError("Please run `fal auth login` again.")

    monkeypatch.setattr(fal_client.auth, "fetch_auth_credentials", ended)
    with pytest.raises(MissingKey, match="fal auth login"):
        Fal.connect()


def test_the_fingerprint_tells_keys_apart_and_gives_nothing_away() -> None:
    prints = {fal_at("http://127.0.0.1:1", key).key_fingerprint for key in (KEY, KEY, "another")}
    assert len(prints) == 2
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in prints)


@pytest.mark.parametrize("name", ["FAL_RUN_HOST", "FAL_QUEUE_RUN_HOST"])
def test_fals_own_way_to_another_host_is_refused(name: str) -> None:
    code = (
        "from tweenbatch.fal import Fal\nfrom tweenbatch.errors import UsageError\n"
        f"try: Fal.connect(key='x')\nexcept UsageError as error: assert {name!r} in str(error)\n"
        "else: raise SystemExit('connected')"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, name: "evil.example"}
    )


@pytest.mark.parametrize(
    "connect_to",
    ["http://evil.example", "http://10.0.0.1:80", "https://127.0.0.1", "http://u:p@127.0.0.1",
     "http://127.0.0.1:1/path", "http://127.0.0.1/?a", "127.0.0.1:80", "http://0.0.0.0:80",
     "", "http://a:bad"],
)  # fmt: skip
def test_only_a_server_on_loopback_can_stand_in_for_fal(connect_to: str) -> None:
    with pytest.raises(UsageError, match="on this machine"):
        Fal.connect(connect_to=connect_to, key=KEY)


def test_certificates_that_can_not_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    with pytest.raises(UsageError, match="SSL_CERT_FILE"):
        Fal.connect(key=KEY)


@pytest.mark.parametrize(
    "proxy", ["nonsense://user:hunter2@x", "socks5://user:hunter2@127.0.0.1:1"]
)
def test_a_proxy_that_can_not_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageError, match="HTTPS_PROXY") as caught:
        Fal.connect(key=KEY)
    assert "hunter2" not in str(caught.value)
