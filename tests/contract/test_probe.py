"""Frames at https addresses are requested once, without a key, and judged by first bytes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from support import manifests
from support.command import Command
from support.fal import Server
from support.wire import Behaviour, Seen, Wire, answer, drips, says, sends, wire
from tweenbatch.frames import urls as probe

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
MOST = 10_000_000


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of authorities that SSL_CERT_FILE names."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return file


@asynccontextmanager
async def host(
    authority: trustme.CA, behave: Behaviour, *, name: str = "localhost"
) -> AsyncIterator[Wire]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with wire(behave, tls=context) as server:
        server.url = f"https://localhost:{server.port}"
        yield server


async def wrong(
    authority: trustme.CA, behave: Behaviour, *, name: str = "localhost", seconds: float = 20.0
) -> str:
    """Return what is said of an address where a host behaves like this; "" of a good one."""
    async with host(authority, behave, name=name) as server:
        url = f"{server.url}/a.png"
        found = await probe.ask_all([url], max_bytes=MOST, deadline_seconds=seconds)
        return found.get(url, "")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    "behave",
    [
        says(200, PNG, content_type="image/png"),
        says(206, PNG[:64], content_range="bytes 0-63/208"),
        says(200, b"\xff\xd8\xff\xe0" + bytes(99), content_type="binary/octet-stream"),
        says(200, b"RIFF\0\0\0\0WEBPVP8 ", content_type="IMAGE/WEBP; x=y"),
    ],
)
async def test_an_image_is_good_however_it_is_served(
    authority: trustme.CA, behave: Behaviour
) -> None:
    assert await wrong(authority, behave) == ""


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (says(404, b""), "answers with HTTP 404"),
        (says(403, PNG, content_type="image/png"), "answers with HTTP 403"),
        (says(500, b""), "answers with HTTP 500"),
        (says(200, PNG, content_type="text/html; charset=utf-8"), "is 'text/html', not an image"),
        (says(200, b"<html>", content_type="image/png"), "is not a PNG, JPEG or WebP image"),
        (says(200, b"GIF89a" + bytes(99), content_type="image/gif"), "is not a PNG"),
        (says(200, b""), "is not a PNG"),
        (
            says(206, PNG[:64], content_range="bytes 0-63/10000001"),
            "is 10000001 bytes; the endpoint accepts at most 10000000",
        ),
        (says(302, b"", location="http://localhost/a.png"), "redirects to http, not https"),
        (says(302, b"", location="/a.png"), "redirects more than 3 times"),
        (sends(b"", then="reset"), "can't be reached ("),
    ],
)
async def test_what_is_no_image_is_reported_in_a_sentence(
    authority: trustme.CA, behave: Behaviour, said: str
) -> None:
    assert said in await wrong(authority, behave)


@pytest.mark.usefixtures("trusted")
async def test_an_answer_that_drips_is_not_waited_for(authority: trustme.CA) -> None:
    slow = drips(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\nx-dripping:", seconds=0.01)
    async with asyncio.timeout(20):
        said = await wrong(authority, slow, seconds=0.2)
    assert "did not answer within 0.2 s" in said


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_name_is_not_accepted(authority: trustme.CA) -> None:
    said = await wrong(authority, says(200, PNG), name="evil.example")
    assert "CERTIFICATE_VERIFY_FAILED" in said


async def test_an_authority_that_nobody_trusts_is_not_trusted(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert "CERTIFICATE_VERIFY_FAILED" in await wrong(authority, says(200, PNG))


async def test_nobody_listening_is_told_at_once() -> None:
    found = await probe.ask_all(["https://localhost:9/a.png"], max_bytes=MOST)
    assert "can't be reached" in found["https://localhost:9/a.png"]


@pytest.mark.usefixtures("trusted")
async def test_three_redirects_are_followed_and_nothing_of_an_account_is_sent(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "some-id:some-secret")

    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        hops = seen.target.count("x")
        onward = answer(302, location=f"/{'x' * (hops + 1)}")
        writer.write(onward if hops < 3 else answer(200, PNG))

    async with host(authority, behave) as server:
        url = f"https://anna:secret@localhost:{server.port}/"
        assert await probe.ask_all([url], max_bytes=MOST) == {}
    assert [seen.target for seen in server.requests] == ["/", "/x", "/xx", "/xxx"]
    for seen in server.requests:
        assert seen.method == "GET"
        assert seen.headers["range"] == "bytes=0-63"
        assert not {"authorization", "cookie"} & set(seen.headers)
        assert "secret" not in str(seen)


@pytest.mark.usefixtures("trusted")
async def test_eight_are_asked_at_one_time(authority: trustme.CA) -> None:
    asked, most = 0, 0
    enough = asyncio.Event()

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        if asked == probe.AT_ONCE:
            enough.set()
        await enough.wait()
        asked -= 1
        writer.write(answer(200, PNG))

    async with host(authority, behave) as server:
        urls = [f"{server.url}/{n}.png" for n in range(24)]
        assert await probe.ask_all(urls, max_bytes=MOST) == {}
    assert most == probe.AT_ONCE == 8
    assert sorted(seen.target for seen in server.requests) == sorted(f"/{n}.png" for n in range(24))


async def test_an_invalid_address_is_reported() -> None:
    found = await probe.ask_all(["https://[::1/a.png", "https:///a.png"], max_bytes=MOST)
    assert len(found) == 2


async def test_each_address_is_asked_once_and_told_at_every_row_that_names_it(
    authority: trustme.CA, trusted: Path, tweenbatch: Command, fal: Server
) -> None:
    async def behave(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, PNG) if seen.target == "/good.png" else answer(404))

    command = replace(tweenbatch, environment={"SSL_CERT_FILE": str(trusted)})
    async with host(authority, behave) as server:
        good, bad = f"{server.url}/good.png", f"{server.url}/gone.png"
        (row,) = manifests.rows(1)
        pairs = [(good, bad), (good, good), (bad, good)]
        rows = [{**row, "start_image": start, "end_image": end} for start, end in pairs]
        manifests.write(command.folder / "manifest.csv", rows)
        unasked = await asyncio.to_thread(command, "plan", "manifest.csv")
        assert unasked.returncode == 0
        assert server.requests == []
        for arguments in (("plan",), ("run", "--yes")):
            server.requests.clear()
            refused = await asyncio.to_thread(command, *arguments, "manifest.csv", "--check-urls")
            assert refused.returncode == 2
            assert "2 problems; nothing was imported" in refused.stderr
            said = f"'{bad}' answers with HTTP 404"
            assert f"row 2, column 'end_image': {said}" in refused.stderr
            assert f"row 4, column 'start_image': {said}" in refused.stderr
            assert sorted(seen.target for seen in server.requests) == ["/gone.png", "/good.png"]
    assert sum(fal.ledger()["requests"].values()) == 0
