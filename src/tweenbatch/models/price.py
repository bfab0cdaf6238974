"""The price of a clip: per second or per clip, fixed or by the value of a parameter.

Amounts are US dollars. A price is never too low: an empty cell counts at the highest rate.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

_MICRO = Decimal("0.000001")
_SECONDS = re.compile(r"([0-9]{1,4})s?")


class Unit(StrEnum):
    """The unit of a price."""

    SECOND = "second"
    CLIP = "clip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Longer:
    """A clip whose parameter ``by`` is above ``above`` costs ``times`` as much."""

    by: str
    above: Decimal
    times: Decimal

    def factor(self, parameters: Mapping[str, str]) -> Decimal:
        """Return the factor of the price; a row without the parameter counts as longer."""
        value = parameters.get(self.by)
        return self.times if value is None or Decimal(value) > self.above else Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """``usd`` for each unit or, where a parameter decides, ``rates`` by the value of ``by``."""

    unit: Unit
    usd: Decimal | None = None
    by: str = ""
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    longer: Longer | None = None

    @property
    def dearest_usd(self) -> Decimal:
        """The highest price of a unit, in US dollars."""
        usd = max(self.rates.values()) if self.usd is None else self.usd
        return usd if self.longer is None else usd * self.longer.times

    def clip_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return the price of one clip with these parameters, to a millionth of a dollar.

        A missing parameter counts at its highest rate. Raises ``ValueError`` if the duration is
        not a number of seconds.
        """
        rate = self.unit_usd(parameters)
        price = rate * seconds(parameters) if self.unit is Unit.SECOND else rate
        if self.longer is not None:
            price *= self.longer.factor(parameters)
        return in_micro_dollars(price)

    def unit_usd(self, parameters: Mapping[str, str]) -> Decimal:
        """Return the price of one unit with these parameters, regardless of the clip's length."""
        if self.usd is not None:
            return self.usd
        return self.rates.get(parameters.get(self.by, ""), max(self.rates.values()))


def in_micro_dollars(usd: Decimal) -> Decimal:
    """Return an amount in whole millionths of a dollar, as the job table stores it; rounds up."""
    return usd if usd == round(usd, 6) else usd.quantize(_MICRO, ROUND_CEILING)


def seconds(parameters: Mapping[str, str]) -> int:
    """Return the length of a clip with these parameters."""
    return length(parameters["duration"])


def length(duration: str) -> int:
    """Return the seconds of ``5`` or ``5s``; raise ``ValueError``."""
    match = _SECONDS.fullmatch(duration)
    if match is None or not int(match[1]):
        raise ValueError(f"'{duration}' isn't a number of seconds")
    return int(match[1])


_UNITS: Mapping[str, tuple[Unit, int]] = {
    **dict.fromkeys(("second", "sec"), (Unit.SECOND, 1)),
    **dict.fromkeys(("minute", "min"), (Unit.SECOND, 60)),
    **dict.fromkeys(("clip", "video", "generation", "request"), (Unit.CLIP, 1)),
}
"""fal's names of units, in the singular, with our unit and how many of it they contain."""


def listed_price(unit: str, usd: Decimal) -> Price | None:
    """Return the price of ``usd`` for each ``unit``, in fal's words; None: the unit is unknown.

    Case, spaces and the plural are ignored ("Seconds", "per video").
    """
    word = unit.strip().lower().removeprefix("per ").strip()
    ours, count = _UNITS.get(word) or _UNITS.get(word.removesuffix("s")) or (None, 1)
    if ours is None:
        return None
    unit_usd = usd / count
    if unit_usd != round(unit_usd, 9):
        unit_usd = unit_usd.quantize(Decimal("0.000000001"), ROUND_CEILING)
    return Price(unit=ours, usd=unit_usd)
