"""A digest is sent only to addresses where nobody else can read it on its way."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from apprise.manager_plugins import NotificationManager

from tweenbatch.errors import UsageError
from tweenbatch.nights.notify import ALWAYS_CLEARTEXT, Target

# A plugin of apprise tries to import it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

SECRET = "token-canary"

ENCRYPTED = [
    f"https://hooks.example.com/{SECRET}",
    f"HTTPS://hooks.example.com/{SECRET}",
    f"jsons://hooks.example.com/{SECRET}",
    f"mailtos://user:{SECRET}@example.com",
    f"mailto://user:{SECRET}@gmail.com",
    f"mailto://user:{SECRET}@example.com?mode=starttls",
    f"ntfy://{SECRET}",
    f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET}",
    f"discord://4174216298/{SECRET}",
]
ON_THIS_MACHINE = [
    f"http://127.0.0.1:8080/{SECRET}",
    f"http://localhost/{SECRET}",
    f"http://[::1]:8080/{SECRET}",
    f"json://127.0.0.1/{SECRET}",
    f"mailto://user:{SECRET}@localhost",
    "syslog://",
]
IN_THE_CLEAR = [
    f"http://hooks.example.com/{SECRET}",
    f"HTTP://hooks.example.com/{SECRET}",
    f"http://192.168.1.20/{SECRET}",
    f"http://127.0.0.1.example.com/{SECRET}",
    f"http://localhost@example.com/{SECRET}",
    f"http://[bad/{SECRET}",
    f"json://hooks.example.com/{SECRET}",
    f"JSON://hooks.example.com/{SECRET}",
    f"xml://hooks.example.com/{SECRET}",
    f"gotify://example.com/{SECRET}abcdefg",
    f"ntfy://ntfy.example.com/{SECRET}",
    f"matrix://user:{SECRET}@example.com",
    f"mailto://user:{SECRET}@example.com",
    f"mailtos://user:{SECRET}@example.com?mode=insecure",
    "rsyslog://logs.example.com",
]


@pytest.mark.parametrize("url", [*ENCRYPTED, *ON_THIS_MACHINE])
def test_an_encrypted_address_is_taken_and_any_on_this_machine(url: str) -> None:
    assert Target.parse(url).url == url


@pytest.mark.parametrize("url", IN_THE_CLEAR)
def test_a_cleartext_address_is_refused_in_one_sentence_without_its_secret(url: str) -> None:
    with pytest.raises(UsageError, match="is not encrypted") as refused:
        Target.parse(url)
    assert SECRET not in str(refused.value)


def test_the_refusal_names_the_encrypted_form() -> None:
    with pytest.raises(UsageError, match="use https://"):
        Target.parse("http://hooks.example.com/x")
    with pytest.raises(UsageError, match="use jsons://"):
        Target.parse("json://hooks.example.com/x")


def test_an_address_of_the_environment_is_held_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", f"http://hooks.example.com/{SECRET}")
    with pytest.raises(UsageError, match="is not encrypted") as refused:
        Target.parse("$HOOK")
    assert SECRET not in str(refused.value)


def _plugins() -> Iterator[Any]:
    known: Any = cast("Any", NotificationManager)()
    known.load_modules()
    yield from known.plugins(include_disabled=True)


def test_every_scheme_of_apprise_without_an_encrypted_form_was_looked_at() -> None:
    """A new one has to be read: does it stay on the machine, use https, or go in the clear?"""
    to_https = {"pushme", "sfr"}
    here = {"blink1", "dbus", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "windows"}
    without = {
        scheme
        for plugin in _plugins()
        if not plugin.secure_protocol and plugin.protocol
        for scheme in ([plugin.protocol] if isinstance(plugin.protocol, str) else plugin.protocol)
    }
    assert without <= to_https | here | ALWAYS_CLEARTEXT


def test_every_service_that_apprise_reaches_over_plain_http_is_known() -> None:
    plain = {
        plugin.secure_protocol
        for plugin in _plugins()
        for name in ("notify_url", "url", "api_url")
        if str(getattr(plugin, name, "")).startswith("http://")
    }
    assert plain <= ALWAYS_CLEARTEXT
