"""An untrusted certificate does not get better: the run ends and says what to do."""

import random
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from support.virtual import virtually
from support.wire import says, wire
from support.world import World, world
from tweenbatch.exit_codes import ExitCode
from tweenbatch.fal import Fal
from tweenbatch.records.result import RunResult
from tweenbatch.runner import session
from tweenbatch.runner.inputs import Parts
from tweenbatch.settings import RunSettings

KEY = "canary-key-id:canary-key-secret"


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let every host name lead to a port on loopback."""
    real = anyio.connect_tcp

    def lead(port: int) -> None:
        async def connect_tcp(remote_host: str, remote_port: int, **_: Any) -> Any:
            assert (remote_host, remote_port) != ("127.0.0.1", port)
            return await real("127.0.0.1", port)

        monkeypatch.setattr(anyio, "connect_tcp", connect_tcp)

    return lead


async def run(played: World) -> RunResult:
    return await session.run(
        RunSettings(output=played.folder / "videos"),
        store=played.store,
        fal=lambda: Fal.connect(key=KEY),
        watcher=played.diary,
        clock=played.clock,
        parts=Parts(rng=random.Random(7)),
    )


def serving(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("kind", ["unknown authority", "another host"])
@pytest.mark.parametrize("paid", [False, True])
def test_a_run_behind_such_a_certificate_ends_after_a_few_tries(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leads_to: Callable[[int], None],
    kind: str,
    *,
    paid: bool,
) -> None:
    authority = trustme.CA()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if kind == "another host":
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    async def body() -> None:
        async with world(tmp_path, rows=2) as played:
            if paid:
                played.script({"on": "generation", "do": "hold"})
                await played.run(max_duration=timedelta(seconds=1), grace=timedelta(0))
            async with wire(says(200, {}), tls=serving(authority, "evil.example")) as server:
                leads_to(server.port)
                result = await run(played)
                assert server.requests == []
            assert result.exit_code is ExitCode.TROUBLE
            assert "SSL_CERT_FILE" in result.note
            assert "certificate not trusted" in result.note
            assert len(played.diary.notices) < 6

    virtually(body, within_seconds=3600)
