"""Build and check requests, URLs and results, before they are sent or after they arrive.

Pure functions: they send nothing.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from tweenbatch.errors import AnotherRequest, Refused, Unintelligible, UsageError
from tweenbatch.fal.addresses import QUEUE, admitted
from tweenbatch.fal.errors import clean
from tweenbatch.fal.submission_answer import is_request_id
from tweenbatch.records import RemoteVideo, Request

_MAX_SIZE = 2**63 - 1
"""The largest integer of the job table; no file has more bytes."""

_REQUEST_ID = "x-fal-request-id"
"""The response header that names the request."""

_ENDPOINT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_NAMESPACES = frozenset({"workflows", "comfy"})
"""First parts of an endpoint that stand before its owner. fal's URLs of a request name namespace,
owner and app, and nothing after them."""


def request_of(endpoint: str, request_id: str) -> Request:
    """Return the request with this id; raise ``UsageError`` for an invalid id or endpoint."""
    if not is_request_id(request_id):
        raise UsageError(f"not a request id of fal: {clean(request_id, 80)!r}")
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(f"not an endpoint of fal: {clean(endpoint, 80)!r}")
    parts = endpoint.split("/")
    app = "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])
    url = f"https://{QUEUE}/{app}/requests/{request_id}"
    return Request(
        request_id=request_id,
        status_url=f"{url}/status",
        response_url=url,
        cancel_url=f"{url}/cancel",
    )


def video_of(result: Mapping[str, Any]) -> RemoteVideo:
    """Return the clip that a result names; raise ``Unintelligible`` if it names none."""
    video = result.get("video")
    if not isinstance(video, Mapping) or not _is_https(video.get("url")):
        raise Unintelligible("the result has no video URL")
    size, kind = video.get("file_size"), video.get("content_type")
    counted = isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= _MAX_SIZE
    return RemoteVideo(
        url=video["url"],
        bytes=size if counted else None,
        content_type=kind if isinstance(kind, str) else None,
    )


def refuse_another(request: Request, headers: Mapping[str, str]) -> None:
    """Raise ``AnotherRequest`` if the headers of an answer name another request."""
    # Unverified: whether every answer has this header. Without it nothing is compared. If it always
    # named something else, the clip would still be found in fal's list of past requests.
    named = httpx.Headers(headers).get(_REQUEST_ID, "").strip()
    if named and named.lower() != request.request_id.lower():
        raise AnotherRequest(f"fal answered with another request, {clean(named, 80)}")


def require_on_queue(request: Request) -> Request:
    """Return a stored request; raise ``Unintelligible`` unless its URLs are in fal's queue."""
    urls = (request.status_url, request.response_url, request.cancel_url)
    # The prefix is enough: URLs are parsed when they are received and again when they are sent.
    on_queue = all(url.startswith(f"https://{QUEUE}/") for url in urls)
    if not on_queue or not is_request_id(request.request_id):
        raise Unintelligible(
            f"not a request in fal's queue: {clean(request.request_id, 80)!r}; nothing was sent"
        )
    return request


def is_on_queue(url: str) -> bool:
    """Tell whether a URL is in fal's queue."""
    try:
        return admitted(url).host == QUEUE
    except Unintelligible:
        return False


def refuse_unsendable(endpoint: str, arguments: Mapping[str, Any]) -> None:
    """Refuse an endpoint or text that an HTTP request can't carry, before anything is sent."""
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(f"not an endpoint of fal: {endpoint!r}")
    try:
        for text in (*arguments, *arguments.values()):
            str(text).encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(
            "the text has characters that can't be sent (lone surrogates); nothing was sent",
            http_status=HTTPStatus.UNPROCESSABLE_ENTITY,
            error_type="unsendable_text",
        ) from None


def _is_https(url: object) -> bool:
    try:
        parsed = httpx.URL(url) if isinstance(url, str) else httpx.URL()
    except httpx.InvalidURL:
        return False
    return parsed.scheme == "https" and bool(parsed.host)
