"""Messages to whoever wants to hear of a run: over a webhook, or through apprise.

An address holds a secret, more often than not: none is ever shown but for its host.
"""

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from tweenbatch.errors import UsageError
from tweenbatch.http_statuses import PASSING
from tweenbatch.loopback import is_loopback

ATTEMPTS = 4
TIMEOUT_SECONDS = 15.0

ALWAYS_CLEARTEXT = frozenset({"aprs", "dapnet", "growl", "kavenegar", "rsyslog"})
"""What apprise never encrypts, whatever it calls these schemes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told: a line, a text, and the same for programs."""

    title: str
    text: str
    shape: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send it; ``str`` shows no more of it than may be known."""

    url: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Return an address, or that which the environment has under ``$NAME``.

        Raises ``UsageError`` where it is none, where the message would go in the clear, or where
        nothing is there to send it with.
        """
        url = text
        if text.startswith("$"):
            url = os.environ.get(text[1:].strip("{}"), "")
            if not url:
                raise UsageError(f"--notify {text}: the environment has no {text[1:].strip('{}')}")
        scheme, there, _ = url.partition("://")
        if not (scheme and there):
            raise UsageError(
                f"--notify {text if url == text and '/' not in text else '…'}: expected an https "
                "address, an address of apprise such as mailto://… or slack://…, or $NAME for one "
                "that the environment has"
            )
        target = cls(url)
        if not target.is_webhook and importlib.util.find_spec("apprise") is None:
            raise UsageError(
                f'--notify {target} is sent by apprise: pip install "tweenbatch[notify]"'
            )
        if target._is_cleartext:
            scheme = target.scheme
            instead = "" if scheme in ALWAYS_CLEARTEXT else f"; use {scheme}s://"
            raise UsageError(
                f"--notify {target} is not encrypted, so that others could read the message and "
                f"the address on their way{instead}. Without encryption only this machine is "
                "accepted (127.0.0.1)"
            )
        return target

    @property
    def scheme(self) -> str:
        """Return what stands before ``://``."""
        return self.url.partition("://")[0].lower()

    @property
    def is_webhook(self) -> bool:
        """Tell whether JSON is posted to it as it is."""
        return self.scheme in {"http", "https"}

    @property
    def _is_cleartext(self) -> bool:
        """Tell whether others could read on the way what is sent."""
        if self.is_webhook:
            return self.scheme == "http" and not is_loopback(self._host or "")
        plugin = _apprise().Apprise.instantiate(self.url)
        # What apprise does not understand is not sent; a message without a host goes to the https
        # address of a service.
        host = getattr(plugin, "smtp_host", None) or getattr(plugin, "host", None) or ""
        return bool(host) and not is_loopback(host) and not _is_encrypted(plugin, self.scheme)

    @property
    def _host(self) -> str | None:
        try:
            return urlsplit(self.url).hostname
        except ValueError:
            return None

    def __str__(self) -> str:
        scheme = self.url.partition("://")[0]
        host = self._host if self.is_webhook else None
        return f"{scheme}://{host or '…'}/…" if host else f"{scheme}://…"


def send(message: Message, targets: Sequence[Target]) -> list[str]:
    """Send it to all, each a few times if that may help; return what could not be done."""
    trouble = []
    for target in targets:
        try:
            _post(message, target) if target.is_webhook else _through_apprise(message, target)
        except (httpx.HTTPError, httpx.InvalidURL, _NotTaken) as error:
            # Its text may hold the address.
            why = str(error) if isinstance(error, _NotTaken) else type(error).__name__
            trouble.append(f"{target} could not be told ({why})")
    return trouble


class _NotTaken(Exception):
    def __init__(self, why: str, *, for_now: bool = False) -> None:
        super().__init__(why)
        self.for_now = for_now


def _is_worth_repeating(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or (
        isinstance(error, _NotTaken) and error.for_now
    )


def _retrying() -> Retrying:
    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=8.0),
        retry=retry_if_exception(_is_worth_repeating),
        reraise=True,
    )


def _post(message: Message, target: Target) -> None:
    body = {"title": message.title, "text": message.text, "digest": message.shape}

    def once() -> None:
        answer = httpx.post(target.url, json=body, timeout=TIMEOUT_SECONDS)
        if answer.is_success:
            return
        for_now = answer.status_code in PASSING or answer.is_server_error
        raise _NotTaken(f"HTTP {answer.status_code}", for_now=for_now)

    _retrying()(once)


def _apprise() -> ModuleType:
    import apprise

    # Its own log says the address where it does not understand it.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return apprise


def _is_encrypted(plugin: Any, scheme: str) -> bool:
    if scheme in ALWAYS_CLEARTEXT:
        return False
    # Mail may be encrypted without saying so in its scheme: apprise knows the large providers.
    mode = getattr(plugin, "secure_mode", None)
    if mode is not None:
        return bool(mode != "insecure")
    # Without an encrypted form, the scheme is that of a service with an https address.
    return not plugin.secure_protocol or scheme not in _names(plugin.protocol)


def _names(schemes: Any) -> tuple[str, ...]:
    return (schemes,) if isinstance(schemes, str) else tuple(schemes or ())


def _through_apprise(message: Message, target: Target) -> None:
    apprise = _apprise()

    def once() -> None:
        told = apprise.Apprise()
        if not told.add(target.url):
            raise _NotTaken("apprise does not understand the address")
        if not told.notify(title=message.title, body=message.text):
            raise _NotTaken("apprise could not deliver it", for_now=True)

    _retrying()(once)
