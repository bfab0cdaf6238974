"""What the answer to a submission proves: accepted, not accepted, refused, or unknown.

Pure judgement. In doubt the outcome is unknown: a submission taken for unsent is sent again,
and paid again.
"""

import re
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from tweenbatch.errors import AccountRefused, FalError, NotSent, OutcomeUnknown, Refused
from tweenbatch.fal.addresses import QUEUE
from tweenbatch.fal.errors import KEPT_CHARACTERS, clean, json_of, retry_after_seconds, said
from tweenbatch.fal.exchange import Reply
from tweenbatch.http_statuses import REFUSES_ACCOUNT

_PAGE_SHOWN = 200

URLS = ("response_url", "status_url", "cancel_url")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_AMBIGUOUS = frozenset({408, 409, 425, 499})
_OF_A_PROXY = frozenset({407})


def accepted(reply: Reply) -> dict[str, str]:
    """Return ``request_id`` and the three URLs of an accepted submission, "" for one not given.

    Raises ``NotSent``, ``OutcomeUnknown``, ``Refused`` or ``AccountRefused`` for all else.
    """
    if reply.unsent:
        raise NotSent(f"no connection to {QUEUE} ({reply.trouble})")
    status = reply.status
    if status is None or reply.trouble is not None:
        raise _unknown(reply, f"no answer to the submission came through ({reply.trouble})")
    if status >= HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(reply, status)
    data = json_of(reply.body)
    if not isinstance(data, dict) or not is_request_id(data.get("request_id")):
        raise _unknown(reply, f"the answer to the submission names no request (HTTP {status})")
    urls = {name: url if isinstance(url := data.get(name), str) else "" for name in URLS}
    return {"request_id": data["request_id"], **urls}


def is_request_id(value: object) -> bool:
    """Tell whether a value can stand in a URL as the id of a request."""
    return isinstance(value, str) and bool(_REQUEST_ID.fullmatch(value)) and ".." not in value


def _refusal(reply: Reply, status: int) -> FalError:
    """Return what an answer that names no accepted request proves, if it proves anything.

    Only fal's own words refuse. A page of a proxy or a gateway says nothing of what fal did with
    the submission that it passed on, and a 303 is the ordinary answer to a POST carried out.
    """
    words = said(reply.headers, reply.body)
    text = words.message if words else clean(reply.body.decode("utf-8", "replace"), _PAGE_SHOWN)
    told = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if _names_request(reply) or status in _AMBIGUOUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unknown(reply, f"fal's answer leaves open whether it accepted (HTTP {status})")
    if status < HTTPStatus.BAD_REQUEST:
        return _unknown(
            reply,
            f"{QUEUE} redirects to {_target(reply.headers)} (HTTP {status}), which leaves open "
            "whether it accepted; a submission is never sent elsewhere",
            stops=True,
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = retry_after_seconds(reply.headers, now=datetime.now(UTC))
        return NotSent(f"fal asks to slow down ({told})", retry_after_seconds=pause, reached=True)
    if words is None or not _in_fals_form(reply) or status in _OF_A_PROXY:
        return _unknown(
            reply,
            f"something between here and fal answered a submission ({told}), which leaves open "
            "whether fal accepted it",
            stops=True,
        )
    if status in REFUSES_ACCOUNT:
        return AccountRefused(f"fal refuses this key or account ({told})", http_status=status)
    kind = words.type
    return Refused(
        f"fal refuses this submission ({told})",
        http_status=status,
        error_type=kind or f"http_{status}",
    )


def _in_fals_form(reply: Reply) -> bool:
    data = json_of(reply.body)
    detail = data.get("detail") if isinstance(data, dict) else None
    told = isinstance(detail, str | list | dict) and bool(detail)
    return told or "x-fal-error-type" in reply.headers


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
        return httpx.URL(headers.get("location", "")).host or "another address of its own"
    except httpx.InvalidURL:
        return "an unreadable address"
