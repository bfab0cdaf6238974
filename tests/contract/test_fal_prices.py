"""fal's price list: what is believed of it, and whether the queue knows the key."""

from decimal import Decimal

import pytest

from support.command import KEY
from support.wire import says, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.errors import Answered, KeyRefused, Unintelligible
from tweenbatch.fal import Fal, ListedPrice
from tweenbatch.models import KLING_O1, find
from tweenbatch.planning.quote import ask, judged

ENTRY = {"endpoint_id": KLING_O1.id, "unit_price": 0.15, "unit": "seconds", "currency": "USD"}


async def price_list(*entries: object) -> dict[str, ListedPrice]:
    async with (
        wire(says(200, {"prices": list(entries)})) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        return await fal.price_list([KLING_O1.id])


async def test_a_price_is_read_to_the_digit() -> None:
    async with Emulator() as emulator, Fal.connect(connect_to=emulator.url, key=KEY) as fal:
        (listed,) = (await fal.price_list([KLING_O1.id])).values()
    assert (listed.usd, listed.unit) == (Decimal("0.112"), "second")


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"unit": None}, "0.15 USD per None"),
        ({"currency": "EUR"}, "0.15 EUR per seconds"),
        ({"currency": None}, "0.15 None per seconds"),
        ({"unit_price": "free"}, "free USD per seconds"),
        ({"unit_price": True}, "True USD per seconds"),
        ({"unit_price": -0.1}, "-0.1 USD per seconds"),
        ({"unit_price": 0}, "0 USD per seconds"),
        ({"unit_price": 1e9}, "1000000000.0 USD per seconds"),
        ({"unit_price": float("nan")}, "nan USD per seconds"),
        ({"unit_price": None}, "None USD per seconds"),
        ({"unit": "tokens\x1b[2J"}, "0.15 USD per tokens[2J"),
    ],
    ids=str,
)
async def test_an_entry_that_is_no_price_in_dollars_is_a_doubt_in_fals_words(
    odd: dict[str, object], words: str
) -> None:
    entries = await price_list({**ENTRY, **odd}, None, {**ENTRY, "endpoint_id": 7})
    (doubt,) = judged([KLING_O1], entries).doubts
    assert (doubt.endpoint, doubt.words) == (KLING_O1.id, words)


async def test_entries_that_contradict_each_other_are_a_doubt() -> None:
    assert not judged([KLING_O1], await price_list(ENTRY, ENTRY)).doubts
    dearer = {**ENTRY, "unit_price": 0.3}
    (doubt,) = judged([KLING_O1], await price_list(ENTRY, dearer)).doubts
    assert doubt.words == "0.15 USD per seconds; 0.3 USD per seconds"


async def test_what_has_no_duration_is_not_priced_by_the_second() -> None:
    wan = find("wan")
    entries = await price_list({**ENTRY, "endpoint_id": wan.id})
    (doubt,) = judged([wan], entries).doubts
    assert doubt.words == "0.15 USD per seconds"


async def test_an_endpoint_that_the_list_does_not_have_is_not_read() -> None:
    quote = judged([KLING_O1], await price_list())
    assert (quote.doubts, quote.risen) == ((), ())
    assert quote.unread == f"it does not list {KLING_O1.id}"


@pytest.mark.parametrize("body", [[], {"prices": {}}, {"error": "no"}, b"<html>"], ids=str)
async def test_an_answer_that_is_no_price_list_is_reported(body: object) -> None:
    async with (
        wire(says(200, body)) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        with pytest.raises(Unintelligible):
            await fal.price_list([KLING_O1.id])


async def test_a_refused_price_list_is_an_answer() -> None:
    async with (
        wire(says(403, {"error": "no"})) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        with pytest.raises(Answered):
            await fal.price_list([KLING_O1.id])


async def test_a_key_is_bad_only_where_the_queue_says_so_too() -> None:
    """The price list may be closed to a key that may submit."""
    async with wire(says(401, {"detail": "no"})) as server:
        with pytest.raises(KeyRefused, match="does not know this key"):
            await ask(lambda: Fal.connect(connect_to=server.url, key=KEY), {KLING_O1.id})
        assert all(seen.method == "GET" for seen in server.requests)
    for status in (403, 404, 500):
        async with wire(says(status, {"detail": "no"})) as server:
            quote = await ask(lambda: Fal.connect(connect_to=server.url, key=KEY), {KLING_O1.id})
            assert quote.unread == f"HTTP {status}: no"
            assert quote.risen == ()
