"""Whether a key may do what a run needs, asked for nothing before anything is spent.

Keys of fal have permissions: one may submit, and so pay, that may not read what it paid for.
"""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from tweenbatch.errors import KeyRefused
from tweenbatch.fal import Fal

LIST_PERMISSION = "models:requests:read"
"""What a key needs for the list of past requests; fal's default preset has it."""


async def check(connect: Callable[[], Fal], endpoint: str, *, now: datetime) -> str | None:
    """Return what a person should know of the key, if there is something.

    Raises ``KeyRefused`` for one that fal does not know, or that may not read requests. What can't
    be asked just now is no reason to stop.
    """
    async with connect() as fal:
        refusal = await fal.refuses_to_tell(endpoint)
        if refusal is not None and refusal.http_status == HTTPStatus.UNAUTHORIZED:
            raise KeyRefused(
                f"fal does not know this key ({refusal}); check FAL_KEY, or make a new key at "
                "https://fal.ai/dashboard/keys. Nothing was submitted"
            )
        if refusal is not None:
            raise KeyRefused(
                f"this key may not read requests ({refusal}): what it pays for could not be "
                "collected. Give it the permission to read requests beside the one to submit, or "
                "make a key with the preset API at https://fal.ai/dashboard/keys. Nothing was "
                "submitted"
            )
        refusal = await fal.refuses_to_list(endpoint, since=now)
    if refusal is None:
        return None
    return (
        f"this key may not read the list of past requests ({refusal}): a submission whose answer "
        "is lost can't be looked up, and stays uncertain with its price until a person settles "
        f"it. The permission {LIST_PERMISSION} changes that"
    )
