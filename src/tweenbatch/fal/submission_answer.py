"""Decide what the answer to a submission proves: accepted, not accepted, refused or unknown.

Pure functions. In doubt the outcome is unknown: a submission wrongly counted as unsent would be
sent, and paid, twice.
"""

import re
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from tweenbatch.errors import AccountRefused, FalError, NotSent, OutcomeUnknown, Refused
from tweenbatch.fal.addresses import QUEUE
from tweenbatch.fal.errors import (
    KEPT_CHARACTERS,
    clean,
    error_answer,
    json_of,
    retry_after_seconds,
)
from tweenbatch.fal.exchange import Reply
from tweenbatch.http_statuses import REFUSES_ACCOUNT

_PAGE_SHOWN = 200

URLS = ("response_url", "status_url", "cancel_url")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_AMBIGUOUS = frozenset({408, 409, 425, 499})
_OF_A_PROXY = frozenset({407})


def accepted(reply: Reply) -> dict[str, str]:
    """Return ``request_id`` and the three URLs of an accepted submission; "" for a missing URL.

    Raises ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``AccountRefused`` otherwise.
    """
    if reply.unsent:
        raise NotSent(f"no connection to {QUEUE} ({reply.trouble})")
    status = reply.status
    if status is None or reply.trouble is not None:
        raise _unknown(reply, f"no complete answer to the submission ({reply.trouble})")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(reply, status)
    data = json_of(reply.body)
    if not isinstance(data, dict) or not is_request_id(data.get("request_id")):
        raise _unknown(reply, f"the answer to the submission names no request (HTTP {status})")
    urls = {name: url if isinstance(url := data.get(name), str) else "" for name in URLS}
    return {"request_id": data["request_id"], **urls}


def is_request_id(value: object) -> bool:
    """Tell whether a value is a request id that is safe in a URL."""
    return isinstance(value, str) and bool(_REQUEST_ID.fullmatch(value)) and ".." not in value


def _refusal(reply: Reply, status: int) -> FalError:
    """Return the error for an answer that does not confirm acceptance.

    Only an answer in fal's own form refuses. A page of a proxy or gateway does not show what fal
    did with the submission, and a 303 is a normal answer to a successful POST.
    """
    answer = error_answer(reply.headers, reply.body)
    text = answer.message if answer else clean(reply.body.decode("utf-8", "replace"), _PAGE_SHOWN)
    shown = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if _names_request(reply) or status in _AMBIGUOUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unknown(reply, f"fal may have accepted the submission (HTTP {status})")
    if status < HTTPStatus.BAD_REQUEST:
        return _unknown(
            reply,
            f"{QUEUE} redirects to {_target(reply.headers)} (HTTP {status}), so fal may have "
            "accepted the submission; it is never sent to another URL",
            stops=True,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = retry_after_seconds(reply.headers, now=datetime.now(UTC))
        return NotSent(f"fal asks to slow down ({shown})", retry_after_seconds=pause, reached=True)
    if answer is None or not _in_fals_form(reply) or status in _OF_A_PROXY:
        return _unknown(
            reply,
            f"a proxy or gateway answered in place of fal ({shown}), so fal may have accepted "
            "the submission",
            stops=True,
        )
    if status in REFUSES_ACCOUNT:
        return AccountRefused(f"fal refuses this key or account ({shown})", http_status=status)
    return Refused(
        f"fal refuses this submission ({shown})",
        http_status=status,
        error_type=answer.type or f"http_{status}",
    )


def _in_fals_form(reply: Reply) -> bool:
    data = json_of(reply.body)
    detail = data.get("detail") if isinstance(data, dict) else None
    has_detail = isinstance(detail, str | list | dict) and bool(detail)
    return has_detail or "x-fal-error-type" in reply.headers


def _names_request(reply: Reply) -> bool:
    data = json_of(reply.body)
    return isinstance(data, dict) and is_request_id(data.get("request_id"))


def _unknown(reply: Reply, message: str, *, stops: bool = False) -> OutcomeUnknown:
    return OutcomeUnknown(
        message,
        http_status=reply.status,
        body=clean(reply.body.decode("utf-8", "replace"), KEPT_CHARACTERS),
        stops=stops,
    )


def _target(headers: httpx.Headers) -> str:
    try:
        return httpx.URL(headers.get("location", "")).host or "another of its own URLs"
    except httpx.InvalidURL:
        return "an invalid URL"
