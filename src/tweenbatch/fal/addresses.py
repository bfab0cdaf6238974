"""fal's hosts, the ones that may receive the key, and their replacement by a loopback server.

With ``connect_to``, a request for ``https://HOST/path`` goes to ``{connect_to}/HOST/path``. Stored
and displayed URLs always have the canonical form ``https://HOST/path``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tweenbatch.errors import Unintelligible, UsageError
from tweenbatch.loopback import is_loopback

QUEUE = "queue.fal.run"
REST = "rest.fal.ai"
API = "api.fal.ai"
CDN = "v3.fal.media"
SITE = "fal.ai"
"""fal's public model pages: no key is sent there."""

KEY_HOSTS = frozenset({QUEUE, REST, API})
"""The only hosts that receive the key."""

_MEDIA_SUFFIX = ".fal.media"


def is_media(host: str) -> bool:
    """Tell whether a host serves fal's files: uploads and results."""
    return host.endswith(_MEDIA_SUFFIX)


def admitted(url: str | httpx.URL) -> httpx.URL:
    """Return the parsed URL if it is https, on one of fal's hosts, without port or user.

    Raises ``Unintelligible`` otherwise. Opens no connection.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    plain = parsed.scheme == "https" and parsed.port is None and not parsed.userinfo
    if plain and (parsed.host in KEY_HOSTS or is_media(parsed.host)):
        return parsed
    shown = parsed.copy_with(userinfo=b"", query=None, fragment=None)
    raise Unintelligible(f"not a URL of fal: {str(shown)[:200]!r}; nothing was sent to it")


def serves_files(url: str) -> bool:
    """Tell whether a URL names a file at fal, which can be downloaded free."""
    try:
        return is_media(admitted(url).host)
    except Unintelligible:
        return False


@dataclass(frozen=True, slots=True)
class Addresses:
    """Translates canonical URLs into URLs to connect to, and back."""

    base: httpx.URL | None = None

    @classmethod
    def parse(cls, connect_to: str | None) -> "Addresses":
        """Return the addresses of fal (``connect_to`` is None) or of a loopback server.

        Raises ``UsageError`` unless ``connect_to`` is ``http://`` and a loopback address.
        """
        if connect_to is None:
            return cls()
        try:
            base = httpx.URL(connect_to)
        except httpx.InvalidURL:
            base = httpx.URL()
        odd = base.userinfo or base.query or base.fragment or base.path not in ("", "/")
        if base.scheme != "http" or odd or not is_loopback(base.host):
            raise UsageError(
                f"can't connect to {connect_to!r}: expected the address of a server on this "
                "machine, such as http://127.0.0.1:8911"
            )
        return cls(base)

    @property
    def on_loopback(self) -> bool:
        """Tell whether a server on this machine replaces fal."""
        return self.base is not None

    def wire(self, url: httpx.URL) -> httpx.URL:
        """Return the URL to connect to for a canonical URL."""
        if self.base is None:
            return url
        return self.base.copy_with(raw_path=b"/" + url.raw_host + url.raw_path)

    def canonical(self, url: str) -> str:
        """Return the ``https://HOST/path`` for a URL of the loopback server; others unchanged."""
        if self.base is None or not url.startswith("http://"):
            return url
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            return url
        host, _, rest = parsed.raw_path.decode("ascii").lstrip("/").partition("/")
        if not is_loopback(parsed.host) or not (host in KEY_HOSTS or is_media(host)):
            return url
        return f"https://{host}/{rest}"

    def canonical_in(self, value: Any) -> Any:
        """Return a JSON value with every URL in it canonical."""
        if self.base is None:
            return value
        if isinstance(value, str):
            return self.canonical(value)
        if isinstance(value, Mapping):
            return {name: self.canonical_in(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.canonical_in(part) for part in value]
        return value
