"""Names of fal's own client that it does not export and may change in any release."""

import re

import fal_client
import fal_client.auth
import fal_client.client
import httpx
import pytest

from tweenbatch.fal import protocol, request_of

PRIVATE_NAMES = {
    "AsyncClient": (fal_client.AsyncClient, ("_client", "_token_manager", "_cdn_client")),
    "AsyncRequestHandle": (fal_client.AsyncRequestHandle, ("_parse_status",)),
    "client.AsyncCDNTokenManager": (
        fal_client.client.AsyncCDNTokenManager(fal_client.auth.AuthCredentials("Key", "")),
        ("_token", "_url", "_refresh_token"),
    ),
    "client": (
        fal_client.client,
        ("AsyncCDNTokenManager", "CDNToken", "RealtimeError", "USER_AGENT"),
    ),
    "auth": (
        fal_client.auth,
        (
            "AuthCredentials",
            "FAL_QUEUE_RUN_HOST",
            "MISSING_CREDENTIALS_MESSAGE",
            "MissingCredentialsError",
            "fetch_auth_credentials",
        ),
    ),
}


def test_every_private_name_that_we_use_exists() -> None:
    missing = [
        f"{owner}.{name}"
        for owner, (value, names) in PRIVATE_NAMES.items()
        for name in names
        if not hasattr(value, name)
    ]
    assert missing == []


def test_the_docstring_lists_exactly_these_names() -> None:
    listed = (protocol.__doc__ or "").partition("each of them:")[2]
    names = {name for _, names in PRIVATE_NAMES.values() for name in names}
    assert set(re.findall(r"``([\w.]+)``", listed)) == names | set(PRIVATE_NAMES)


@pytest.mark.parametrize(
    "endpoint",
    ["fal-ai/wan-flf2v", "fal-ai/kling-video/o1/image-to-video", "workflows/ours/clip/v2"],
)
def test_a_request_has_the_urls_that_fals_client_would_build(endpoint: str) -> None:
    theirs = fal_client.AsyncRequestHandle.from_request_id(
        httpx.AsyncClient(), endpoint, "d2a5b5d7-3c7c-4b7a-9d0e-0a6a0f6a9d57"
    )
    ours = request_of(endpoint, theirs.request_id)
    assert (ours.status_url, ours.response_url, ours.cancel_url) == (
        theirs.status_url,
        theirs.response_url,
        theirs.cancel_url,
    )
