"""What may be stored of a key."""

import base64
import json

import pytest

from tweenbatch.fal.credentials import Credentials


def login(**claims: object) -> Credentials:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Credentials(scheme="Bearer", token=f"head.{body}.signature")


def test_a_login_keeps_its_fingerprint_when_its_token_is_renewed() -> None:
    assert login(sub="me", exp=1).fingerprint == login(sub="me", exp=2).fingerprint
    assert login(sub="me", exp=1).fingerprint != login(sub="you", exp=1).fingerprint


@pytest.mark.parametrize(
    "token", ["opaque", "a.b", "a.!!!.c", "a.e30.c", "a.W10.c", "a.eyJzdWIiOjd9.c"]
)
def test_a_login_that_names_nobody_is_known_by_its_token(token: str) -> None:
    one, other = Credentials(scheme="Bearer", token=token), Credentials(scheme="Bearer", token="x")
    assert one.fingerprint != other.fingerprint


def test_a_key_and_a_login_are_never_the_same_account() -> None:
    assert (
        Credentials(scheme="Key", token="x").fingerprint
        != Credentials(scheme="Bearer", token="x").fingerprint
    )


def test_credentials_do_not_show_themselves() -> None:
    assert "hunter2" not in repr(Credentials(scheme="Key", token="hunter2"))
