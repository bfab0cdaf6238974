"""Messages to whoever wants to hear of a run: over a webhook, or through apprise.

An address holds a secret, more often than not: none is ever shown but for its host.
"""

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from tweenbatch.errors import UsageError

ATTEMPTS = 4
TIMEOUT_SECONDS = 15.0
OF_THE_MOMENT = frozenset({408, 425, 429})


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

        Raises ``UsageError`` where it is none, or where nothing is there to send it with.
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
        return target

    @property
    def is_webhook(self) -> bool:
        """Tell whether JSON is posted to it as it is."""
        return self.url.partition("://")[0].lower() in {"http", "https"}

    def __str__(self) -> str:
        scheme = self.url.partition("://")[0]
        host = urlsplit(self.url).hostname if self.is_webhook else None
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
        for_now = answer.status_code in OF_THE_MOMENT or answer.is_server_error
        raise _NotTaken(f"HTTP {answer.status_code}", for_now=for_now)

    _retrying()(once)


def _through_apprise(message: Message, target: Target) -> None:
    import apprise

    # Its own log says the address where it does not understand it.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

    def once() -> None:
        told = apprise.Apprise()
        if not told.add(target.url):
            raise _NotTaken("apprise does not understand the address")
        if not told.notify(title=message.title, body=message.text):
            raise _NotTaken("apprise could not deliver it", for_now=True)

    _retrying()(once)
