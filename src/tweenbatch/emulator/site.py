"""What the handlers of every host share: the rooms behind them, addresses, accounts."""

import hashlib
import random
import secrets
import uuid
from dataclasses import dataclass, field
from functools import lru_cache

from aiohttp import web

from tweenbatch.emulator.addresses import Host
from tweenbatch.emulator.api.exchange import Answer, refusal
from tweenbatch.emulator.faults.script import Script
from tweenbatch.emulator.settings import Settings
from tweenbatch.emulator.state.files import Storage, safe_name
from tweenbatch.emulator.state.journal import Journal
from tweenbatch.emulator.state.ledger import Ledger
from tweenbatch.emulator.state.queue import Queue
from tweenbatch.emulator.state.requests import FalRequest

_ANIMALS = ("koala", "rabbit", "tiger", "zebra", "panda", "lion", "monkey", "penguin", "elephant")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(slots=True, kw_only=True)
class Names:
    """Makes ids and paths; a seed makes them the same in each run."""

    chance: random.Random = field(default_factory=secrets.SystemRandom)

    def request_id(self) -> str:
        """Return a new request id."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def path(self, name: str) -> str:
        """Return a new path on the CDN that ends with this file name."""
        mark = "".join(self.chance.choices(_LETTERS, k=21))
        return f"/files/b/{self.chance.choice(_ANIMALS)}/{mark}_{safe_name(name, 'file.bin')}"


@dataclass(slots=True, kw_only=True)
class Site:
    """The rooms of one emulator. ``url`` is known once it listens."""

    settings: Settings
    ledger: Ledger
    script: Script
    storage: Storage
    queue: Queue
    journal: Journal
    names: Names
    url: str = ""

    def address(self, host: Host, path: str) -> str:
        """Return the URL under which one of fal's hosts is served here."""
        return f"{self.url}/{host}{path}"


@lru_cache(maxsize=1024)
def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def account_of(request: web.Request) -> str | None:
    """Return a fingerprint of the caller's key, which is kept nowhere, or None without a key."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    return _fingerprint(key) if key and scheme.lower() in {"key", "bearer"} else None


def unauthorized() -> Answer:
    """Return what a call without a key is told."""
    return refusal(401, "Authentication is required to access this application.")


def identity(found: FalRequest) -> dict[str, str]:
    """Return the header that names a request."""
    return {"x-fal-request-id": found.request_id}


def follow_ups(site: Site, found: FalRequest) -> dict[str, str]:
    """Return a request's id and URLs; they keep only owner and app of the endpoint."""
    path = f"/{found.app}/requests/{found.request_id}"
    return {
        "request_id": found.request_id,
        "response_url": site.address(Host.QUEUE, path),
        "status_url": site.address(Host.QUEUE, f"{path}/status"),
        "cancel_url": site.address(Host.QUEUE, f"{path}/cancel"),
    }
