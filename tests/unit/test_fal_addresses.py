"""Where a URL leads, with and without a stand-in for fal on loopback."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.errors import Unintelligible
from tweenbatch.fal.addresses import Addresses, admitted

STAND_IN = Addresses.parse("http://127.0.0.1:8911")
FAL = Addresses.parse(None)


@pytest.mark.parametrize(
    ("url", "wire"),
    [
        ("https://queue.fal.run/a/b?logs=1", "http://127.0.0.1:8911/queue.fal.run/a/b?logs=1"),
        (
            "https://v3.fal.media/files/a%20b.png",
            "http://127.0.0.1:8911/v3.fal.media/files/a%20b.png",
        ),
        ("https://rest.fal.ai", "http://127.0.0.1:8911/rest.fal.ai/"),
    ],
)
def test_every_host_of_fal_is_a_path_of_the_stand_in(url: str, wire: str) -> None:
    assert str(STAND_IN.wire(httpx.URL(url))) == wire
    assert STAND_IN.canonical(wire).rstrip("/") == url.rstrip("/")
    assert FAL.wire(httpx.URL(url)) == httpx.URL(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "http://127.0.0.1:8911/evil.example/x",
        "http://127.0.0.1:8911/",
        "http://10.0.0.1/queue.fal.run/x",
        "http://evil.example/queue.fal.run/x",
        "http://a:bad/queue.fal.run/x",
        "not a url",
        "",
    ],
)
def test_whatever_the_stand_in_does_not_serve_for_fal_stays_as_it_is(url: str) -> None:
    assert STAND_IN.canonical(url) == url


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://localhost:8911", "http://[::1]:2"])
def test_urls_of_an_earlier_stand_in_mean_the_same(base: str) -> None:
    assert STAND_IN.canonical(f"{base}/queue.fal.run/x") == "https://queue.fal.run/x"


def test_without_a_stand_in_nothing_on_loopback_is_fal() -> None:
    url = "http://127.0.0.1:8911/queue.fal.run/x"
    assert FAL.canonical(url) == url
    with pytest.raises(Unintelligible):
        admitted(url)


def test_every_url_in_a_json_value_becomes_canonical() -> None:
    value = {"video": {"url": "http://127.0.0.1:8911/v3b.fal.media/a"}, "n": [1, None, "text"]}
    told = {"video": {"url": "https://v3b.fal.media/a"}, "n": [1, None, "text"]}
    assert STAND_IN.canonical_in(value) == told
    assert FAL.canonical_in(value) == value


@given(st.text())
def test_no_text_but_an_https_url_of_fal_is_admitted(text: str) -> None:
    try:
        url = admitted(text)
    except Unintelligible:
        return
    assert url.scheme == "https"
    assert url.host.endswith((".fal.media", "queue.fal.run", "rest.fal.ai", "api.fal.ai"))


def test_a_refused_address_is_shown_without_what_may_be_secret_in_it() -> None:
    with pytest.raises(Unintelligible) as caught:
        admitted("https://user:hunter2@evil.example/x?token=hunter3")
    assert "evil.example" in str(caught.value)
    assert "hunter" not in str(caught.value)
