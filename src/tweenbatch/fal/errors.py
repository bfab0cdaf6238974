"""Read fal's error answers and translate foreign exceptions into our own.

Decisions depend on the HTTP status, the error type and the retryable header, never on text. Text
from outside is cleaned, then only displayed. Source: fal's error reference.
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
"""The type of a failure to which fal gives no type."""

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
"""Error types with an HTTP status of 500 or above, which fal does not charge for."""

OF_THE_READ: frozenset[int] = frozenset({401, 402, 403, 404, 408, 409, 410, 425, 429})
"""Statuses about the key, the URL or a passing condition, not about the generation."""

MESSAGE_CHARACTERS = 500
KEPT_CHARACTERS = 4096
"""How much text of a paid but unreadable answer is kept."""
MAX_DEPTH = 100
"""fal's answers are never nested deeper; deeper JSON could exhaust the stack."""
_TYPE_CHARACTERS = 100
_DETAILS_SHOWN = 3
_MESSAGE_FIELDS = ("detail", "error", "message")
_MARKUP = re.compile(r"<[^<>]*>")
_CONTEXT_SHOWN = 4

RETRY_AFTER_CAP_SECONDS = 600.0

_DIRECTION_MARKS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error answer in a form that fal documents; ``type`` is None if it has none."""

    type: str | None
    message: str
    retryable: bool | None


def clean(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Return text from outside as one line without terminal control characters."""
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


def error_answer(headers: Mapping[str, str], body: bytes) -> ErrorAnswer | None:
    """Return the parsed error answer; None if it has none of fal's forms (HTML, empty)."""
    lowered = {name.lower(): value for name, value in headers.items()}
    typed = lowered.get("x-fal-error-type")
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
    return ErrorAnswer(
        type=clean(kind, _TYPE_CHARACTERS) if kind else None,
        message=clean("; ".join(_sentences(entries))),
        retryable=_flag(lowered.get("x-fal-retryable", lowered.get("x-fal-needs-retry"))),
    )


def http_error(http_status: int, headers: Mapping[str, str], body: bytes) -> Answered:
    """Return an HTTP error as our own error, with fal's message if there is one."""
    answer = error_answer(headers, body)
    return Answered(
        http_status=http_status,
        headers=dict(headers),
        body=body,
        said=answer.message if answer else "",
    )


def failure_of(answered: Answered) -> Failure | None:
    """Return the failure of the generation that reading the result reported.

    None if the answer is not about the generation: then only the read failed, and the clip may
    exist.
    """
    if answered.http_status in OF_THE_READ:
        return None
    answer = error_answer(answered.headers, answered.body)
    if answer is None or answer.type is None:
        return None
    by_the_service = answered.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Failure(
        type=answer.type,
        message=answer.message or answer.type,
        http_status=answered.http_status,
        retryable=answer.retryable,
        billed=Billed.NO if by_the_service else Billed.UNKNOWN,
    )


def untyped_failure_of(answered: Answered) -> Failure | None:
    """Return the failure that an answer without a type may report, with fal's message.

    None if its status is about the read. Not all endpoints follow the documented form.
    """
    if answered.http_status in OF_THE_READ:
        return None
    message = clean(_message(answered.body))
    return Failure(
        type=UNTYPED,
        message=message or f"HTTP {answered.http_status}",
        http_status=answered.http_status,
    )


def failure_of_status(status: RemoteStatus) -> Failure | None:
    """Return the failure that a status reports, or None."""
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
    """Return the pause of ``Retry-After``: seconds or an HTTP date, at most ten minutes.

    A date is compared with the answer's own ``Date``, so that a wrong local clock does no harm;
    without one, with ``now``.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    text = lowered.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:10])
    else:
        until = _http_date(text)
        if until is None:
            return None
        seconds = (until - (_http_date(lowered.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_SECONDS)


def json_of(body: bytes) -> Any:
    """Return the JSON value of a body; None if it isn't JSON or is nested too deep."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if _too_deep(value) else value


def shown(answer: Any) -> str:
    """Return an unreadable answer's JSON as cleaned text, cut to the length that is kept."""
    return clean(json.dumps(answer, ensure_ascii=False), KEPT_CHARACTERS)


def map_exception(exc: Exception) -> TweenbatchError:
    """Return our own exception for an exception of a read.

    Only its text is kept: the stack frames of the HTTP library hold the key.
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
    """Tell whether a JSON value is nested deeper than ``MAX_DEPTH``."""
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


def _message(body: bytes) -> str:
    """Return the readable message of an error answer of any form."""
    data = json_of(body)
    if isinstance(data, dict):
        detail = next((data[name] for name in _MESSAGE_FIELDS if data.get(name)), data)
        return "; ".join(_sentences(detail if isinstance(detail, list) else [detail]))
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
