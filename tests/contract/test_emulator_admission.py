"""The emulator answers programs on this machine, and no page that a browser shows."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.command import Command
from tweenbatch.emulator.addresses import CONTROL_PATHS
from tweenbatch.emulator.api.control import ControlApi
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.site import Site

FAULT = {"on": "submit", "do": "reset"}
O1 = "/queue.fal.run/fal-ai/kling-video/o1/image-to-video"


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as running:
        yield running


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=emulator.url, trust_env=False) as speaking:
        yield speaking


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8911", "127.0.0.1.evil.example", "192.168.1.20", "nas", ""],
)
@pytest.mark.parametrize(
    "path",
    [
        *(*sorted(CONTROL_PATHS), O1, "/v3.fal.media/files/a.mp4", "/v3.fal.media/upload/x"),
        *("/fal.run/fal-ai/x", "/rest.fal.ai/.well-known/jwks.json"),
    ],
)
async def test_a_name_that_a_stranger_pointed_here_is_refused(
    client: httpx.AsyncClient, host: str, path: str
) -> None:
    answer = await client.get(path, headers={"Host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8911", "localhost:1", "[::1]:8911"])
async def test_this_machine_goes_by_all_its_own_names(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/ledger", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.20:8911", 200),
        ("emulator:8911", 200),
        ("127.0.0.1", 200),
        ("evil.example", 403),
    ],
)
async def test_an_exposed_emulator_goes_by_addresses_and_names_of_its_own_network(
    host: str, status: int
) -> None:
    async with Emulator(host="0.0.0.0") as exposed:
        url = exposed.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            answer = await client.get("/ledger", headers={"Host": host})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_can_neither_read_nor_script(
    client: httpx.AsyncClient, emulator: Emulator, headers: dict[str, str]
) -> None:
    for path in sorted(CONTROL_PATHS):
        assert (await client.get(path, headers=headers)).status_code == 403
    assert (await client.post("/faults", json=FAULT, headers=headers)).status_code == 403
    assert (await client.delete("/faults", headers=headers)).status_code == 403
    assert emulator.faults() == []


async def test_a_page_of_the_emulator_itself_may_ask(
    client: httpx.AsyncClient, emulator: Emulator
) -> None:
    headers = {"Origin": emulator.url, "Sec-Fetch-Site": "same-origin"}
    assert (await client.get("/ledger", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
@pytest.mark.parametrize("path", ["/faults", "/release"])
async def test_what_a_form_can_send_is_refused(
    client: httpx.AsyncClient, emulator: Emulator, path: str, content_type: str
) -> None:
    body = b'{"on": "submit", "do": "reset"}'
    answer = await client.post(path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
    assert emulator.faults() == []


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_whoever_exposes_it_is_warned(tmp_path: Path, host: str, *, warns: bool) -> None:
    # It ends with its input, which is empty.
    ended = Command(folder=tmp_path)(
        *("emulator", "--host", host, "--port", "0", "--no-render", "--exit-with-stdin")
    )
    assert ended.returncode == 0
    assert (f"listening on {host}: other machines can read" in ended.stderr) == warns


def test_all_of_the_emulators_own_paths_are_guarded() -> None:
    api = ControlApi(Site.__new__(Site))
    assert {route.path for route in api.routes()} == CONTROL_PATHS
