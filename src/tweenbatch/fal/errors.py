"""What fal's error answers mean, and every foreign exception as one of ours.

Decisions rest on the HTTP status, the error's type and the retryable header, never on text;
text from outside is cleaned and shown. Source: fal's error reference.
"""

import email.utils
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import fal_client
import httpx
from fal_client.auth import MissingCredentialsError
from fal_client.client import RealtimeError

from tweenbatch.errors import (
    Answered,
    FalError,
    MissingKey,
    TweenbatchError,
    Unintelligible,
    Unreachable,
)
from tweenbatch.records import Billed, Failure, Phase, RemoteStatus

_RUNNER = "runner_"

UNTYPED = "unknown_error"
"""The type of a failure that fal gives none."""

NEVER_BILLED: frozenset[str] = frozenset(
    {
        "internal_server_error",
        "generation_timeout",
        "downstream_service_unavailable",
        "request_timeout",
        "startup_timeout",
        "internal_error",
    }
)
"""Types that come with an HTTP status of 500 and above, which fal does not charge for."""

OF_THE_READ: frozenset[int] = frozenset({401, 402, 403, 404, 408, 409, 410, 425, 429})
"""Statuses that speak of the key, the address or the moment, not of the generation."""

MESSAGE_CHARACTERS = 500
KEPT_CHARACTERS = 4096
"""What is kept of an answer that has been paid for and can't be read."""
MAX_DEPTH = 100
"""JSON that is nested deeper is nobody's answer, and would exhaust whoever walks through it."""
_TYPE_CHARACTERS = 100
_DETAILS_SHOWN = 3
_TELLING = ("detail", "error", "message")
_MARKUP = re.compile(r"<[^<>]*>")
_CONTEXT_SHOWN = 4

RETRY_AFTER_CAP_SECONDS = 600.0

_DIRECTION_MARKS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An error answer in one of the forms that fal documents; ``type`` is None where untyped."""

    type: str | None
    message: str
    retryable: bool | None


def clean(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return text from outside as one line, without anything that steers a terminal."""
    visible = "".join(
        " " if character.isspace() else character
        for character in text[: 8 * limit]
        if character.isspace()
        or (
            unicodedata.category(character) not in ("Cc", "Cs")
            and character not in _DIRECTION_MARKS
        )
    )
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def said(headers: Mapping[str, str], body: bytes) -> Said | None:
    """Return what an error answer says; None if it has none of fal's forms (HTML, nothing)."""
    low = {name.lower(): value for name, value in headers.items()}
    typed = low.get("x-fal-error-type")
    data = json_of(body)
    if not isinstance(data, dict) or "detail" not in data:
        if typed is None:
            return None
        data = {"detail": body.decode("utf-8", "replace")}
    detail = data["detail"]
    entries = detail if isinstance(detail, list) else [detail]
    first = entries[0].get("type") if entries and isinstance(entries[0], dict) else None
    kind = next(
        (k for k in (first, data.get("error_type"), typed) if isinstance(k, str) and k), None
    )
    return Said(
        type=clean(kind, _TYPE_CHARACTERS) if kind else None,
        message=clean("; ".join(_sentences(entries))),
        retryable=_flag(low.get("x-fal-retryable", low.get("x-fal-needs-retry"))),
    )


def http_error(http_status: int, headers: Mapping[str, str], body: bytes) -> Answered:
    """Return an HTTP error as an error of ours, with fal's own words if it has any."""
    words = said(headers, body)
    return Answered(
        http_status=http_status,
        headers=dict(headers),
        body=body,
        said=words.message if words else "",
    )


def failure_of(answered: Answered) -> Failure | None:
    """Return the failed generation that a read of the result replays.

    None where the answer says nothing of the generation: then the read had trouble, and
    the clip may well exist.
    """
    if answered.http_status in OF_THE_READ:
        return None
    words = said(answered.headers, answered.body)
    if words is None or words.type is None:
        return None
    by_the_service = answered.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Failure(
        type=words.type,
        message=words.message or words.type,
        http_status=answered.http_status,
        retryable=words.retryable,
        billed=Billed.NO if by_the_service else Billed.UNKNOWN,
    )


def untyped_failure_of(answered: Answered) -> Failure | None:
    """Return the failure that an answer without a type may replay, in fal's own words.

    None where its status speaks of the read. Not all endpoints follow the documented form.
    """
    if answered.http_status in OF_THE_READ:
        return None
    words = clean(_words(answered.body))
    return Failure(
        type=UNTYPED,
        message=words or f"HTTP {answered.http_status}",
        http_status=answered.http_status,
    )


def failure_of_status(status: RemoteStatus) -> Failure | None:
    """Return the failure that a status announces, if it announces one."""
    if status.phase is not Phase.COMPLETED or not (status.error or status.error_type):
        return None
    kind = status.error_type or UNTYPED
    free = kind in NEVER_BILLED or kind.startswith(_RUNNER)
    return Failure(
        type=kind,
        message=status.error or kind,
        billed=Billed.NO if free else Billed.UNKNOWN,
    )


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return how long the answer asks to wait: seconds or an HTTP date, at most ten minutes.

    A date is measured against the answer's own ``Date``, so that a wrong clock here does no
    harm; ``now`` serves where there is none.
    """
    low = {name.lower(): value for name, value in headers.items()}
    text = low.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:10])
    else:
        until = _http_date(text)
        if until is None:
            return None
        seconds = (until - (_http_date(low.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_SECONDS)


def json_of(body: bytes) -> Any:
    """Return the JSON value of a body, or None for anything that is not JSON, or too deep."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if _too_deep(value) else value


def shown(answer: Any) -> str:
    """Return as much of a JSON value as is kept of an answer that can't be read, cleaned."""
    return clean(json.dumps(answer, ensure_ascii=False), KEPT_CHARACTERS)


def map_exception(exc: Exception) -> TweenbatchError:
    """Return the exception of ours that a read which ended in ``exc`` should raise.

    Nothing of ``exc`` but its text is kept: frames of the HTTP library hold the key.
    """
    text = f"{type(exc).__name__}: {clean(str(exc))}".removesuffix(": ")
    ours: TweenbatchError
    match exc:
        case TweenbatchError():
            ours = exc
        case MissingCredentialsError():
            ours = MissingKey(clean(str(exc)))
        case fal_client.FalClientHTTPError() | httpx.HTTPStatusError():
            answer = exc.response
            ours = http_error(answer.status_code, answer.headers, answer.content)
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            ours = Unintelligible(text)
        case httpx.DecodingError() | httpx.TooManyRedirects():
            ours = Unintelligible(text)
        case httpx.HTTPError() | OSError():
            ours = Unreachable(text)
        case httpx.InvalidURL() | httpx.StreamError() | httpx.CookieConflict():
            ours = Unintelligible(text)
        case ValueError() | LookupError() | TypeError() | AttributeError() | RecursionError():
            ours = Unintelligible(text)
        case fal_client.FalClientError() | RealtimeError():
            ours = Unintelligible(text)
        case _:
            ours = FalError(text)
    return ours


def _too_deep(value: Any) -> bool:
    """Tell whether a JSON value is nested deeper than any answer of fal."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        parts = (each.values() if isinstance(each, dict) else each for each in level)
        level = [part for each in parts for part in each if isinstance(part, dict | list)]
        if not level:
            return False
    return True


def _flag(value: str | None) -> bool | None:
    match (value or "").strip().lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    return None


def _words(body: bytes) -> str:
    """Return what an error answer of any form says to a person."""
    data = json_of(body)
    if isinstance(data, dict):
        told = next((data[name] for name in _TELLING if data.get(name)), data)
        return "; ".join(_sentences(told if isinstance(told, list) else [told]))
    if data is not None:
        return "; ".join(_sentences(data if isinstance(data, list) else [data]))
    return _MARKUP.sub(" ", body.decode("utf-8", "replace"))


def _sentences(entries: list[Any]) -> Iterable[str]:
    for entry in entries[:_DETAILS_SHOWN]:
        if not isinstance(entry, dict):
            yield entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)
            continue
        message = entry.get("msg") or entry.get("message") or entry.get("type")
        text = message if isinstance(message, str) else json.dumps(entry, ensure_ascii=False)
        limits = entry.get("ctx")
        if isinstance(limits, dict):
            shown = [f"{k} {v}" for k, v in limits.items() if isinstance(v, str | int | float)]
            text += f" ({', '.join(shown[:_CONTEXT_SHOWN])})" if shown else ""
        loc = entry.get("loc")
        field = ".".join(str(p) for p in loc if p != "body") if isinstance(loc, list) else ""
        yield f"{field}: {text}" if field else text


def _http_date(text: str) -> datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
