"""Translate the emulator's URLs to fal's hosts: each host is served under a path of its name."""

import re
from enum import StrEnum
from urllib.parse import urlsplit


class Host(StrEnum):
    """fal's hosts that the emulator serves."""

    QUEUE = "queue.fal.run"
    RUN = "fal.run"
    REST = "rest.fal.ai"
    REST_ALPHA = "rest.alpha.fal.ai"
    CDN = "v3.fal.media"
    CDN_B = "v3b.fal.media"
    PLATFORM = "api.fal.ai"
    SITE = "fal.ai"


CONTROL_PATHS = frozenset({"/ledger", "/events", "/faults", "/release"})
"""The emulator's own paths, which fal does not have."""

_MEDIA = (Host.CDN, Host.CDN_B)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_OWN_PATH = re.compile(r"/(v3b?\.fal\.media)(/.*)")


def file_name(url: str) -> str | None:
    """Return the storage path of a URL, or None for a URL outside fal's storage.

    Accepts fal's form (``https://v3.fal.media/files/…``) and the emulator's form on any loopback
    port: a restarted emulator still accepts its earlier URLs.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname in _MEDIA:
        return parts.path
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        own = _OWN_PATH.fullmatch(parts.path)
        return own[2] if own else None
    return None
