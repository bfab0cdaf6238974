"""Send notifications of a run: to a webhook, or through apprise.

An address often contains a secret, so only its scheme and host are ever shown.
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
"""Schemes that apprise never encrypts, whatever their names suggest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """The content of a notification: a title, a text, and the same as JSON."""

    title: str
    text: str
    shape: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """An address for notifications; ``str`` hides its secret part."""

    url: str

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Parse an address, or ``$NAME`` for the address in that environment variable.

        Raises ``UsageError`` if it is not an address, if the message would be sent unencrypted, or
        if apprise is needed and not installed.
        """
        url = text
        if text.startswith("$"):
            url = os.environ.get(text[1:].strip("{}"), "")
            if not url:
                raise UsageError(
                    f"--notify {text}: the environment variable {text[1:].strip('{}')} is not set"
                )
        scheme, there, _ = url.partition("://")
        if not (scheme and there):
            raise UsageError(
                f"--notify {text if url == text and '/' not in text else '…'}: expected an https "
                "address, an apprise address such as mailto://… or slack://…, or $NAME for the "
                "address in that environment variable"
            )
        target = cls(url)
        if not target.is_webhook and importlib.util.find_spec("apprise") is None:
            raise UsageError(f'--notify {target} needs apprise: pip install "tweenbatch[notify]"')
        if target._is_cleartext:
            scheme = target.scheme
            instead = "" if scheme in ALWAYS_CLEARTEXT else f"; use {scheme}s://"
            raise UsageError(
                f"--notify {target} is not encrypted: others could read the message and the "
                f"address{instead}. Only addresses of this machine (127.0.0.1) may be unencrypted"
            )
        return target

    @property
    def scheme(self) -> str:
        """Return the part before ``://``."""
        return self.url.partition("://")[0].lower()

    @property
    def is_webhook(self) -> bool:
        """Return whether JSON is posted directly to the address."""
        return self.scheme in {"http", "https"}

    @property
    def _is_cleartext(self) -> bool:
        """Return whether others could read the message in transit."""
        if self.is_webhook:
            return self.scheme == "http" and not is_loopback(self._host or "")
        plugin = _apprise().Apprise.instantiate(self.url)
        # apprise sends nothing to an address it can't parse; an address without a host is a
        # service reached by https.
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
    """Send a message to all targets, retrying if that may help; return the failures."""
    trouble = []
    for target in targets:
        try:
            _post(message, target) if target.is_webhook else _through_apprise(message, target)
        except (httpx.HTTPError, httpx.InvalidURL, _NotDelivered) as error:
            # The text of other errors may contain the address.
            why = str(error) if isinstance(error, _NotDelivered) else type(error).__name__
            trouble.append(f"{target} could not be notified ({why})")
    return trouble


class _NotDelivered(Exception):
    def __init__(self, why: str, *, for_now: bool = False) -> None:
        super().__init__(why)
        self.for_now = for_now


def _is_worth_repeating(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or (
        isinstance(error, _NotDelivered) and error.for_now
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
        raise _NotDelivered(f"HTTP {answer.status_code}", for_now=for_now)

    _retrying()(once)


def _apprise() -> ModuleType:
    import apprise

    # apprise logs an address that it can't parse.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    return apprise


def _is_encrypted(plugin: Any, scheme: str) -> bool:
    if scheme in ALWAYS_CLEARTEXT:
        return False
    # Mail may be encrypted although its scheme does not show it: apprise knows large providers.
    mode = getattr(plugin, "secure_mode", None)
    if mode is not None:
        return bool(mode != "insecure")
    # A plugin without an encrypted scheme sends to the https address of a service.
    return not plugin.secure_protocol or scheme not in _names(plugin.protocol)


def _names(schemes: Any) -> tuple[str, ...]:
    return (schemes,) if isinstance(schemes, str) else tuple(schemes or ())


def _through_apprise(message: Message, target: Target) -> None:
    apprise = _apprise()

    def once() -> None:
        notifier = apprise.Apprise()
        if not notifier.add(target.url):
            raise _NotDelivered("apprise can't parse the address")
        if not notifier.notify(title=message.title, body=message.text):
            raise _NotDelivered("apprise could not deliver it", for_now=True)

    _retrying()(once)
