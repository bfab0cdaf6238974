"""fal's JavaScript client walks from upload to download, as a user would lead it here."""

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tweenbatch.emulator.server import Emulator
from tweenbatch.emulator.settings import Settings

WALK = Path(__file__).parent / "javascript"
INSTALL = (
    *("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"),
    *("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000"),
)
INSTALL_SECONDS = 120.0
WALK_SECONDS = 120.0


REQUIRED = "TWEENBATCH_TEST_NODE"
"""Set where every check has to run: what is missing is a failure then."""


def give_up(reason: str) -> None:
    """Skip on a machine of a person, fail where every check has to run."""
    if REQUIRED in os.environ or os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the walk and the client that it needs."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        give_up(f"{' and '.join(missing)}: not installed")
    folder = tmp_path_factory.mktemp("client") / "walk"
    shutil.copytree(WALK, folder)
    try:
        subprocess.run(
            INSTALL, cwd=folder, capture_output=True, check=True, timeout=INSTALL_SECONDS
        )
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"it took too long").decode()
        give_up(f"npm could not install fal's client: {said[:300]}")
    return folder


async def walk(folder: Path, url: str) -> dict[str, Any]:
    """Walk, and return what the client saw."""
    picture = folder / "frame.png"
    Image.new("RGB", (400, 300), "teal").save(picture)
    node = await asyncio.create_subprocess_exec(
        *("node", "walk.mjs", url, str(picture)),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WALK_SECONDS):
        said, errors = await node.communicate()
    assert node.returncode == 0, errors.decode()
    saw: dict[str, Any] = json.loads(said)
    return saw


async def test_the_client_uploads_subscribes_downloads_and_runs(client: Path) -> None:
    """It polls and streams, uploads whole and in parts, and understands a refusal."""
    async with Emulator(Settings(seconds=0.2)) as emulator:
        saw = await walk(client, emulator.url)
        ledger = emulator.ledger()
    clips = {each["request_id"]: each["video"] for each in ledger["accepted"]}
    for way in ("polling", "streaming", "run"):
        clip = clips[saw[way]["requestId"]]
        assert saw[way]["clip"] == {"status": 200, "sha256": clip["sha256"]}
    assert saw["polling"]["last"] == saw["streaming"]["last"] == "COMPLETED"
    assert saw["refused"] == {"name": "ValidationError", "status": 422, "type": "missing"}
    assert saw["inParts"]["got"] == {"status": 200, "sha256": saw["inParts"]["sent"]}
    assert len(ledger["uploads"]) == 3
    assert (ledger["accepted_count"], ledger["billed_usd"]) == (4, "1.68")
    assert (ledger["requests"]["run"], ledger["requests"]["stream"]) == (1, 1)
    assert ledger["downloads"]["with_credentials"] == 0
