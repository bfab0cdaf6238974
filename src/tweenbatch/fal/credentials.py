"""Find and check the key for fal; derive a fingerprint of it that may be stored."""

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
    "no key for fal: try it free with --rehearse, or set FAL_KEY (https://fal.ai/dashboard/keys)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The key or login token of the account that pays; never shown."""

    scheme: str
    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the Authorization header."""
        return f"{self.scheme} {self.token}"

    @property
    def fingerprint(self) -> str:
        """Return an identifier of the account that may be stored.

        A login token changes every hour; its subject identifies the account instead.
        """
        named = _subject(self.token) if self.scheme == "Bearer" else None
        text = f"tweenbatch {self.scheme} {named or self.token}"
        return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]


def find(key: str | None) -> Credentials:
    """Return the given key, or the one that fal's own client finds (FAL_KEY, a login, …).

    Raises ``MissingKey``, or ``UsageError`` for a key that no HTTP header can carry; the message
    never shows the key.
    """
    _refuse_foreign_hosts()
    scheme, token = ("Key", key) if key is not None else _find_with_client()
    if not token:
        raise MissingKey(_NO_KEY)
    if not _SENDABLE.fullmatch(token):
        raise UsageError(
            "the key for fal (FAL_KEY) has spaces, line breaks or other invalid characters; "
            "copy it again"
        )
    return Credentials(scheme=scheme, token=token)


def _find_with_client() -> tuple[str, str]:
    trouble: Exception
    try:
        credentials = fal_client.auth.fetch_auth_credentials()
    except fal_client.auth.MissingCredentialsError as error:
        if str(error) == fal_client.auth.MISSING_CREDENTIALS_MESSAGE:
            raise MissingKey(_NO_KEY) from None
        trouble = error  # an expired login
    except (httpx.HTTPError, OSError, ValueError) as error:
        trouble = error
    else:
        return credentials.scheme, credentials.token
    raise map_exception(trouble)


def _refuse_foreign_hosts() -> None:
    """Refuse the variables that send fal's client to another host: it would receive the key."""
    if QUEUE != fal_client.auth.FAL_QUEUE_RUN_HOST:
        names = [n for n in ("FAL_RUN_HOST", "FAL_QUEUE_RUN_HOST") if n in os.environ]
        raise UsageError(
            f"{' and '.join(names) or 'FAL_QUEUE_RUN_HOST'} would send the key to "
            f"{fal_client.auth.FAL_QUEUE_RUN_HOST!r} instead of {QUEUE}; "
            f"unset {'them' if len(names) > 1 else 'it'}"
        )


def _subject(token: str) -> str | None:
    """Return the ``sub`` claim of a JWT without verifying it; None if there is no such claim."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        subject = claims["sub"]
    except (ValueError, LookupError, TypeError):
        return None
    return subject if isinstance(subject, str) else None
