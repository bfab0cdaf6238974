"""fal's price list: what is believed of it, and whether the queue knows the key."""

from decimal import Decimal

import pytest

from support.command import KEY
from support.wire import says, wire
from tweenbatch.emulator.server import Emulator
from tweenbatch.errors import Answered, KeyRefused, Unintelligible
from tweenbatch.fal import Fal
from tweenbatch.models import KLING_O1
from tweenbatch.plan.quote import ask

ENTRY = {"endpoint_id": KLING_O1.id, "unit_price": 0.15, "unit": "seconds", "currency": "USD"}


async def test_the_price_of_a_second_is_read_to_the_digit() -> None:
    async with Emulator() as emulator, Fal.connect(connect_to=emulator.url, key=KEY) as fal:
        assert await fal.prices([KLING_O1.id]) == {KLING_O1.id: Decimal("0.112")}


@pytest.mark.parametrize(
    "odd",
    [
        {"unit": "video"},
        {"unit": None},
        {"currency": "EUR"},
        {"unit_price": "free"},
        {"unit_price": True},
        {"unit_price": -0.1},
        {"unit_price": 0},
        {"unit_price": 1e9},
        {"unit_price": float("nan")},
        {"unit_price": None},
        {"endpoint_id": 7},
    ],
    ids=str,
)
async def test_an_entry_that_is_no_price_of_a_second_in_dollars_is_left_out(
    odd: dict[str, object],
) -> None:
    async with (
        wire(says(200, {"prices": [{**ENTRY, **odd}, None, ENTRY]})) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        assert await fal.prices([KLING_O1.id]) == {KLING_O1.id: Decimal("0.15")}


@pytest.mark.parametrize("body", [[], {"prices": {}}, {"error": "no"}, b"<html>"], ids=str)
async def test_an_answer_that_is_no_price_list_is_said_to_be_none(body: object) -> None:
    async with (
        wire(says(200, body)) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        with pytest.raises(Unintelligible):
            await fal.prices([KLING_O1.id])


async def test_a_refused_price_list_is_an_answer() -> None:
    async with (
        wire(says(403, {"error": "no"})) as server,
        Fal.connect(connect_to=server.url, key=KEY) as fal,
    ):
        with pytest.raises(Answered):
            await fal.prices([KLING_O1.id])


async def test_a_key_is_bad_only_where_the_queue_says_so_too() -> None:
    """The price list may be closed to a key that may submit."""
    async with wire(says(401, {"detail": "no"})) as server:
        with pytest.raises(KeyRefused, match="does not know this key"):
            await ask(lambda: Fal.connect(connect_to=server.url, key=KEY), {KLING_O1.id})
        assert all(seen.method == "GET" for seen in server.requests)
    for status in (403, 404, 500):
        async with wire(says(status, {"detail": "no"})) as server:
            quote = await ask(lambda: Fal.connect(connect_to=server.url, key=KEY), {KLING_O1.id})
            assert quote.unread == f"HTTP {status}"
            assert quote.risen == ()
