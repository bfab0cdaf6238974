"""fal's stand-in for tests that run the installed command: the emulator, over HTTP only."""

import json
import os
import socket
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.forked import Child, Zygote
from tweenbatch.emulator.process import LISTENING

WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running emulator; its ledger is the judge."""

    url: str

    def ledger(self) -> dict[str, Any]:
        """What was accepted, billed and downloaded."""
        return self._call("GET", "/ledger")

    def totals(self) -> dict[str, Any]:
        """The same without its long lists."""
        return self._call("GET", "/ledger?totals=1")

    def script(self, *faults: dict[str, Any]) -> None:
        """Replace the faults in force."""
        self._call("POST", "/faults", list(faults))

    def release(self, name: str | None = None) -> None:
        """Let go what is held."""
        self._call("POST", "/release", {} if name is None else {"name": name})

    def wait_for(self, event: str, *, count: int = 1, **match: str) -> list[dict[str, Any]]:
        """Return the first events of that name, as soon as they have happened."""
        query = urllib.parse.urlencode(
            {"event": event, "count": count, "timeout": WAIT_SECONDS, **match}
        )
        return list(self._call("GET", f"/events?{query}")["events"])

    def prompts(self) -> list[str]:
        """The prompts of all accepted requests, in order of acceptance."""
        return [accepted["input"]["prompt"] for accepted in self.ledger()["accepted"]]

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        json_type = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, json_type, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS + 10) as answer:
                said: dict[str, Any] = json.load(answer)
                return said
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error


class Emulated:
    """An emulator, forked, that draws nothing; use it as a context manager.

    ``clock`` is its own time: see ``zygote.py``.
    """

    def __init__(
        self, zygote: Zygote, *options: str, clock: Mapping[str, float] | None = None
    ) -> None:
        usual = ("--exit-with-stdin", "--port", "0", "--no-render", "--seconds", "0.2")
        keep = {name: value for name, value in os.environ.items() if name != "FAL_KEY"}
        self._input, theirs = socket.socketpair()
        self._input.settimeout(WAIT_SECONDS)
        with tempfile.TemporaryFile() as errors, theirs, self._input.makefile() as said:
            self._child = Child(
                zygote,
                ["emulator", *usual, *options],
                folder=Path.cwd(),
                environment=keep,
                streams=[theirs.fileno(), theirs.fileno(), errors.fileno()],
                clock=clock,
            )
            theirs.close()
            line = said.readline()
            if not line.startswith(LISTENING):
                errors.seek(0)
                raise AssertionError(f"no emulator: {line}{errors.read().decode()}")
        self.server = Server(line.removeprefix(LISTENING).strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._child.code()

    def kill(self) -> None:
        """Let it crash."""
        self._child.kill()
        self._child.code()


@contextmanager
def server(zygote: Zygote, *options: str) -> Iterator[Server]:
    """Fork an emulator that answers at once and draws nothing; it ends with its input."""
    with Emulated(zygote, *options) as emulated:
        yield emulated.server
