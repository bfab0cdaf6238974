"""Admit programs to the emulator and refuse web pages open in a browser on this machine.

A page can send requests to loopback. With a host name that it points here (DNS rebinding) it can
also read the answers, and the ledger holds prompts and URLs of files.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from tweenbatch.emulator.addresses import CONTROL_PATHS, Host
from tweenbatch.loopback import is_loopback

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FROM_ELSEWHERE = frozenset({"cross-site", "same-site"})


def admission(listens_on: str) -> Middleware:
    """Return a middleware that checks each request to a server listening on this host."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(request.host, listens_on):
            return _refusal(f"the Host {request.host!r} isn't this server; use its IP address")
        if request.path in CONTROL_PATHS:
            if _is_from_another_site(request):
                return _refusal("pages of other sites can't use this path")
            if request.method == "POST" and request.content_type != "application/json":
                return _refusal(
                    f"expected Content-Type: application/json, not {request.content_type}",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                )
        return await handler(request)

    return admit


def _is_ours(host: str, listens_on: str) -> bool:
    """Tell whether a Host header names this server in a way that no outside page can arrange.

    Clients of fal whose transport is redirected here name fal's hosts. An IP address can't be
    pointed elsewhere. A name without a dot belongs to the local network, such as a container's: it
    counts only if other machines may connect.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == listens_on or is_loopback(name) or name in set(Host):
        return True
    return not is_loopback(listens_on) and (_is_address(name) or "." not in name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_from_another_site(request: web.Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") in _FROM_ELSEWHERE:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.lower() != f"http://{request.host}".lower()


def _refusal(detail: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> web.Response:
    return web.json_response({"detail": detail}, status=status)
