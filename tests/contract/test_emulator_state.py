"""An emulator goes on from its folder, renders previews, and dies with its parent."""

import asyncio
import base64
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from tweenbatch.emulator.process import EmulatorProcess, emulator
from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings
from tweenbatch.errors import UsageError

SUBMIT = "/queue.fal.run/fal-ai/kling-video/o1/image-to-video"
KEY = {"Authorization": "Key one"}
INPUT = {"prompt": "Snow melts.", "start_image_url": "https://example.com/winter.png"}


async def submit(http: httpx.AsyncClient, **changed: Any) -> dict[str, Any]:
    handle: dict[str, Any] = (await http.post(SUBMIT, json={**INPUT, **changed})).json()
    return handle


async def test_a_new_emulator_finishes_what_an_earlier_one_accepted(tmp_path: Path) -> None:
    """Nothing is accepted twice, nothing is forgotten, whatever state it was in."""
    async with (
        Emulator(Settings(slots=1), state=tmp_path) as first,
        httpx.AsyncClient(base_url=first.url, headers=KEY) as http,
    ):
        first.script([{"on": "submit", "do": "reply", "status": 429, "nth": 4}])
        done = await submit(http, prompt="done")
        await first.wait_for("completed")
        video = (await http.get(done["response_url"])).json()["video"]
        first.add_fault(on="generation", do="hold")
        running = await submit(http, prompt="running")
        waiting = await submit(http, prompt="waiting")
        await http.post(SUBMIT, json=INPUT)
        await first.wait_for("held", request_id=running["request_id"])
        before = first.ledger()
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"kind":"accepted","request_id":"torn')
    async with (
        Emulator(Settings(slots=1), state=tmp_path) as second,
        httpx.AsyncClient(base_url=second.url, headers=KEY) as http,
    ):
        await second.wait_for("completed", count=2)
        ledger = second.ledger()
        assert ledger["posts"] == before["posts"] == 4
        assert [entry["request_id"] for entry in ledger["accepted"]] == [
            handle["request_id"] for handle in (done, running, waiting)
        ]
        assert ledger["billed_usd"] == "1.68"
        assert ledger["requests"]["submit"] == 0
        old_path = video["url"].removeprefix(first.url)
        assert len((await http.get(old_path)).content) == video["file_size"]
        result = await http.get(running["response_url"].removeprefix(first.url))
        assert result.status_code == 200


async def test_urls_of_an_earlier_port_are_still_known_as_frames(tmp_path: Path) -> None:
    """What was uploaded before a restart can be used after it."""
    async with (
        Emulator(state=tmp_path) as first,
        httpx.AsyncClient(base_url=first.url, headers=KEY) as http,
    ):
        token = (await http.post("/rest.fal.ai/storage/auth/token", json={})).json()["token"]
        answer = await http.post(
            "/v3.fal.media/files/upload",
            content=b"no picture",
            headers={"Authorization": f"Bearer {token}"},
        )
        url = answer.json()["access_url"]
    async with (
        Emulator(state=tmp_path) as second,
        httpx.AsyncClient(base_url=second.url, headers=KEY) as http,
    ):
        handle = await submit(http, start_image_url=url)
        await second.wait_for("completed")
        result = await http.get(handle["response_url"])
        assert result.json()["detail"][0]["type"] == "image_load_error"


async def test_ids_repeat_with_a_seed() -> None:
    """A test can name what the server will say."""
    ids = []
    for _ in range(2):
        async with (
            Emulator(seed=7) as running,
            httpx.AsyncClient(base_url=running.url, headers=KEY) as http,
        ):
            ids.append((await submit(http))["request_id"])
    assert ids[0] == ids[1]


async def test_a_rendered_clip_has_the_length_that_was_asked_for() -> None:
    """Frames that the emulator can't have are drawn from their URL."""
    settings = Settings(render=True, width=128, height=72, fps=8)
    async with (
        Emulator(settings) as running,
        httpx.AsyncClient(base_url=running.url, headers=KEY) as http,
    ):
        handle = await submit(http, end_image_url="https://example.com/spring.png")
        await running.wait_for("completed", timeout=60)
        video = (await http.get(handle["response_url"])).json()["video"]
        data = (await http.get(video["url"])).content
    with av.open(io.BytesIO(data), "r") as container:
        assert len(list(container.decode(video=0))) == 40


async def test_a_picture_that_breaks_off_is_refused_when_it_is_drawn() -> None:
    """Its header is fine, so only the rendering finds out; also inside a data URL."""
    buffer = io.BytesIO()
    Image.effect_noise((400, 300), 64).save(buffer, format="PNG")
    whole, half = (
        "data:image/png;base64," + base64.b64encode(data).decode()
        for data in (buffer.getvalue(), buffer.getvalue()[:20_000])
    )
    settings = Settings(render=True, width=128, height=72, fps=8)
    async with (
        Emulator(settings) as running,
        httpx.AsyncClient(base_url=running.url, headers=KEY) as http,
    ):
        good = await submit(http, start_image_url=whole)
        bad = await submit(http, start_image_url=whole, end_image_url=half)
        await running.wait_for("completed", count=2, timeout=60)
        assert (await http.get(good["response_url"])).status_code == 200
        result = await http.get(bad["response_url"])
        assert result.status_code == 422
        [problem] = result.json()["detail"]
        assert problem["loc"] == ["body", "end_image_url"]
        assert problem["type"] == "image_load_error"


def test_a_child_serves_and_ends_with_the_block(tmp_path: Path) -> None:
    """Its address comes from its first line."""
    with emulator(state=tmp_path, options=["--no-render", "--seconds", "0"]) as url:
        assert httpx.get(f"{url}/ledger").json()["accepted_count"] == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/ledger")


def test_a_child_outlives_ctrl_c_and_a_kill_loses_nothing_that_was_accepted(
    tmp_path: Path,
) -> None:
    """The parent decides when the child ends; its journal is on disk before each reply."""
    options = ["--no-render", "--seconds", "3600"]
    with EmulatorProcess(state=tmp_path, options=options) as child:
        os.kill(child.pid, signal.SIGINT)
        accepted = httpx.post(f"{child.url}{SUBMIT}", json=INPUT, headers=KEY).json()
        child.kill()
    with EmulatorProcess(state=tmp_path, options=options) as child:
        [entry] = httpx.get(f"{child.url}/ledger").json()["accepted"]
        assert entry["request_id"] == accepted["request_id"]


def test_a_child_that_can_t_start_says_why() -> None:
    """What it wrote to standard error is in the message."""
    with pytest.raises(UsageError, match="--slots"), emulator(options=["--slots", "0"]):
        pass
    with (
        emulator(options=["--no-render"]) as url,
        pytest.raises(UsageError, match="can't listen on"),
        emulator(port=int(url.rpartition(":")[2]), options=["--no-render"]),
    ):
        pass


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    """The pipe to its standard input ends with the parent, however that ends."""
    code = (
        "import sys; from tweenbatch.emulator.process import EmulatorProcess\n"
        "child = EmulatorProcess(options=['--no-render']); print(child.start(), flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        with httpx.Client() as http:
            waiting = http.build_request("GET", f"{url}/events?timeout=30&since=99")
            parent.kill()
            with pytest.raises(httpx.TransportError):
                http.send(waiting)


async def test_ctrl_c_ends_the_command_cleanly() -> None:
    """It prints where it listens, two example lines, and exits with 0."""
    command = [sys.executable, "-m", "tweenbatch", "emulator", "--port", "0", "--no-render"]
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert (await child.stdout.readline()).startswith(b"listening on http://127.0.0.1:")
    child.send_signal(signal.SIGINT)
    _, errors = await child.communicate()
    assert child.returncode == 0
    assert errors.count(b"curl") == 2
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("absent", "option", "code"),
    [("aiohttp", "--no-render", 2), ("cryptography", "--no-render", 2), ("cv2", "--render", 2)],
)
def test_without_the_extra_the_command_names_what_to_install(
    absent: str, option: str, code: int
) -> None:
    """One line on standard error, exit code 2."""
    script = (
        "import importlib.util as util; find = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {absent!r} else find(name, *rest)\n"
        f"from tweenbatch.cli.commands.emulator import command; command([{option!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert ended.returncode == code
    assert ended.stderr.decode() == (
        f"tweenbatch: the emulator needs {absent}, which is not installed: "
        'pip install "tweenbatch[rehearsal]"\n'
    )
