"""Who may ask the emulator: programs, not web pages that a browser on this machine shows.

A page can send requests to loopback, and under a name of its own that it has pointed here (DNS
rebinding) it can read the answers as well: the ledger holds prompts and addresses of files.
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
    """Return a middleware for a server that listens on this host."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(request.host, listens_on):
            return _no(f"the Host {request.host!r} is not this server; use its IP address")
        if request.path in CONTROL_PATHS:
            if _is_from_a_page_elsewhere(request):
                return _no("this is not for pages of other sites")
            if request.method == "POST" and request.content_type != "application/json":
                return _no(
                    f"expected Content-Type: application/json, not {request.content_type}",
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                )
        return await handler(request)

    return admit


def _is_ours(host: str, listens_on: str) -> bool:
    """Tell whether a Host header names this server in a way that no stranger can arrange.

    Clients of fal that are led here by their transport name fal's hosts. An address can't be
    pointed elsewhere. A name without a dot is one of the own network, such as that of a container:
    it counts only where other machines may ask.
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


def _is_from_a_page_elsewhere(request: web.Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "none") in _FROM_ELSEWHERE:
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin.lower() != f"http://{request.host}".lower()


def _no(detail: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> web.Response:
    return web.json_response({"detail": detail}, status=status)
