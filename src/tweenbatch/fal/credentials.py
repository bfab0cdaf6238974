"""The key: where it is found, what it may look like, and what may be stored of it."""

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass, field

import fal_client.auth
import httpx

from tweenbatch.errors import MissingKey, UsageError
from tweenbatch.fal.addresses import QUEUE
from tweenbatch.fal.errors import map_exception

_FINGERPRINT_CHARACTERS = 16
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_NO_KEY = (
    "no key for fal: set FAL_KEY (https://fal.ai/dashboard/keys), or try it without one: --rehearse"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What proves to fal who pays; never shown."""

    scheme: str
    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"{self.scheme} {self.token}"

    @property
    def fingerprint(self) -> str:
        """Return what tells accounts apart and may be stored.

        A login's token changes from hour to hour: there, the subject that it names counts.
        """
        named = _subject(self.token) if self.scheme == "Bearer" else None
        text = f"tweenbatch {self.scheme} {named or self.token}"
        return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]


def find(key: str | None) -> Credentials:
    """Return the given key, or what fal's own client finds: FAL_KEY, a login, and so on.

    Raises ``MissingKey``, or ``UsageError`` (which never shows the key) for one that no HTTP
    header can carry.
    """
    _refuse_foreign_hosts()
    scheme, token = ("Key", key) if key is not None else _looked_up()
    if not token:
        raise MissingKey(_NO_KEY)
    if not _SENDABLE.fullmatch(token):
        raise UsageError(
            "the key for fal (FAL_KEY) has spaces, line breaks or characters that no key has; "
            "copy it again"
        )
    return Credentials(scheme=scheme, token=token)


def _looked_up() -> tuple[str, str]:
    trouble: Exception
    try:
        found = fal_client.auth.fetch_auth_credentials()
    except fal_client.auth.MissingCredentialsError as error:
        if str(error) == fal_client.auth.MISSING_CREDENTIALS_MESSAGE:
            raise MissingKey(_NO_KEY) from None
        trouble = error  # a login that has ended
    except (httpx.HTTPError, OSError, ValueError) as error:
        trouble = error
    else:
        return found.scheme, found.token
    raise map_exception(trouble)


def _refuse_foreign_hosts() -> None:
    """Refuse fal's own way of pointing its client elsewhere: the key would go along."""
    if QUEUE != fal_client.auth.FAL_QUEUE_RUN_HOST:
        names = [n for n in ("FAL_RUN_HOST", "FAL_QUEUE_RUN_HOST") if n in os.environ]
        raise UsageError(
            f"{' and '.join(names) or 'FAL_QUEUE_RUN_HOST'} would send the key to "
            f"{fal_client.auth.FAL_QUEUE_RUN_HOST!r} instead of {QUEUE}; unset it"
        )


def _subject(token: str) -> str | None:
    """Return the ``sub`` of a JWT, unverified; None where there is none."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        subject = claims["sub"]
    except (ValueError, LookupError, TypeError):
        return None
    return subject if isinstance(subject, str) else None
