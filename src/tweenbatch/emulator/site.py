"""Shared state of all HTTP handlers: ledger, storage, queue, URLs, accounts."""

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
    """Generates ids and paths; with a seed they are the same in each run."""

    chance: random.Random = field(default_factory=secrets.SystemRandom)

    def request_id(self) -> str:
        """Return a new request id."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def path(self, name: str) -> str:
        """Return a new path on the CDN that ends with this file name."""
        unique = "".join(self.chance.choices(_LETTERS, k=21))
        return f"/files/b/{self.chance.choice(_ANIMALS)}/{unique}_{safe_name(name, 'file.bin')}"


@dataclass(slots=True, kw_only=True)
class Site:
    """The parts of one emulator. ``url`` is set when it listens."""

    settings: Settings
    ledger: Ledger
    script: Script
    storage: Storage
    queue: Queue
    journal: Journal
    names: Names
    url: str = ""

    def address(self, host: Host, path: str) -> str:
        """Return the emulator's URL for a path on one of fal's hosts."""
        return f"{self.url}/{host}{path}"


@lru_cache(maxsize=1024)
def _fingerprint(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def account_of(request: web.Request) -> str | None:
    """Return a fingerprint of the caller's key, or None without a key; the key isn't stored."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    return _fingerprint(key) if key and scheme.lower() in {"key", "bearer"} else None


def unauthorized() -> Answer:
    """Return the answer to a call without a key."""
    return refusal(401, "Authentication is required to access this application.")


def request_id_header(request: FalRequest) -> dict[str, str]:
    """Return the header that names a request."""
    return {"x-fal-request-id": request.request_id}


def request_urls(site: Site, request: FalRequest) -> dict[str, str]:
    """Return a request's id and URLs; they contain only owner and app of the endpoint."""
    path = f"/{request.app}/requests/{request.request_id}"
    return {
        "request_id": request.request_id,
        "response_url": site.address(Host.QUEUE, path),
        "status_url": site.address(Host.QUEUE, f"{path}/status"),
        "cancel_url": site.address(Host.QUEUE, f"{path}/cancel"),
    }
