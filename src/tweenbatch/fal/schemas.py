"""Download fal's public OpenAPI document of an endpoint, without a key.

Source: ``https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=…``.
"""

import json
from http import HTTPStatus
from typing import Any

import httpx

from tweenbatch.errors import Unintelligible, Unreachable
from tweenbatch.fal.addresses import SITE, Addresses
from tweenbatch.fal.errors import http_error
from tweenbatch.fal.exchange import exchange, http_client, trust

URL = f"https://{SITE}/api/openapi/queue/openapi.json"
SECONDS = 30.0


async def schema(endpoint: str, *, connect_to: str | None = None) -> Any:
    """Return the OpenAPI document of an endpoint.

    Raises ``Answered`` (404: fal has no such endpoint), ``Unreachable`` or ``Unintelligible``.
    """
    addresses = Addresses.parse(connect_to)
    url = httpx.URL(URL, params={"endpoint_id": endpoint})
    async with http_client(addresses, trust(), keepalive_connections=0) as client:
        request = client.build_request("GET", addresses.wire(url))
        reply = await exchange(client, request, seconds=SECONDS)
    if reply.status is None or (reply.trouble is not None and reply.status == HTTPStatus.OK):
        raise Unreachable(f"{SITE} gave no schema of {endpoint} ({reply.trouble})")
    if reply.status != HTTPStatus.OK:
        raise http_error(reply.status, reply.headers, reply.body)
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise Unintelligible(f"{SITE}'s schema of {endpoint} isn't JSON") from error
