"""Check the permissions of a key, at no cost and before anything is spent.

Some fal keys may submit, and so pay, but may not read the results.
"""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from tweenbatch.errors import KeyRefused
from tweenbatch.fal import Fal

LIST_PERMISSION = "models:requests:read"
"""The permission for the list of past requests; fal's default preset includes it."""


async def check(connect: Callable[[], Fal], endpoint: str, *, now: datetime) -> str | None:
    """Return a warning about the key, if any.

    Raises ``KeyRefused`` if fal does not know the key, or if it may not read requests. A check that
    fails for another reason does not stop the run.
    """
    async with connect() as fal:
        refusal = await fal.status_refusal(endpoint)
        if refusal is not None and refusal.http_status == HTTPStatus.UNAUTHORIZED:
            raise KeyRefused(
                f"fal does not know this key ({refusal}); check FAL_KEY, or make a new key at "
                "https://fal.ai/dashboard/keys. Nothing was submitted"
            )
        if refusal is not None:
            raise KeyRefused(
                f"this key may not read requests ({refusal}), so its paid clips could not be "
                "downloaded. Add the permission to read requests, or make a key with the preset "
                "API at https://fal.ai/dashboard/keys. Nothing was submitted"
            )
        refusal = await fal.history_refusal(endpoint, since=now)
    if refusal is None:
        return None
    return (
        f"this key may not read the list of past requests ({refusal}): if the answer to a "
        "submission is lost, it can't be looked up and stays uncertain, with its price reserved, "
        f"until a person resolves it. Add the permission {LIST_PERMISSION} to avoid that"
    )
