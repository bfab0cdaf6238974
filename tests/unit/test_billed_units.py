"""Units that fal bills are worth what the row's own price says, and never less."""

from decimal import Decimal
from typing import Any

import pytest

from tweenbatch.emulator.model import catalog
from tweenbatch.fal import ListedPrice
from tweenbatch.models import ENDPOINTS, KLING_O1, Price, Prices, Unit
from tweenbatch.planning.quote import judged

FIVE = {"duration": "5"}
PRICED = [model for model in ENDPOINTS.values() if model.price and model.id in catalog.ENDPOINTS]


@pytest.mark.parametrize("model", PRICED, ids=lambda model: model.id)
def test_what_a_clip_usually_comes_to_is_never_more_than_was_reserved(model: Any) -> None:
    assert model.price is not None
    values = {name: each.default for name, each in model.parameters.items() if each.default}
    for parameters in (values, {**FIVE, **values}):
        billed = catalog.ENDPOINTS[model.id]
        units = billed.price_usd(parameters) / billed.unit_usd(parameters)
        usd = Prices().units_usd(model.id, parameters, units)
        assert usd is not None
        assert usd <= model.price.clip_usd({**FIVE, **parameters})


@pytest.mark.parametrize(
    ("units", "usd"),
    [("5", "0.56"), ("5.0000000001", "0.56"), ("5.00001", "0.560002"), ("10", "1.12")],
)
def test_units_count_to_the_millionth_and_their_price_is_rounded_up(units: str, usd: str) -> None:
    assert Prices().units_usd(KLING_O1.id, FIVE, Decimal(units)) == Decimal(usd)


def test_the_dearer_of_the_known_and_the_listed_price_counts() -> None:
    for listed, usd in (("0.05", "0.56"), ("0.2", "1.00")):
        prices = Prices(listed={KLING_O1.id: Price(unit=Unit.SECOND, usd=Decimal(listed))})
        assert prices.units_usd(KLING_O1.id, FIVE, Decimal(5)) == Decimal(usd)


def test_units_of_another_kind_are_compared_with_nothing() -> None:
    tokens = ListedPrice(usd=Decimal(1), unit="1m tokens", words="1 USD per 1m tokens")
    prices = judged([KLING_O1], {KLING_O1.id: tokens}).prices
    assert prices.units_usd(KLING_O1.id, FIVE, Decimal(108_000)) is None
    by_the_clip = Prices(listed={KLING_O1.id: Price(unit=Unit.CLIP, usd=Decimal("0.2"))})
    assert by_the_clip.units_usd(KLING_O1.id, FIVE, Decimal(5)) is None
    assert prices.units_usd("fal-ai/not/known", FIVE, Decimal(5)) is None
